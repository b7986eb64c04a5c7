from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.providers.sse import MAX_EVENT_BYTES, EventStream

STREAM = (
    "\ufeffdata: first\n\n"
    ": a comment\n\n"
    "event: message\nid: 7\nretry: 10\ndata:no space\n\n"
    "data: two\ndata: lines\n\n"
    "data: Grüße 你好 😀\n\n"
    "data\n\n\n"
    "data: [DONE]\n\n"
)
PAYLOADS = ["first", "no space", "two\nlines", "Grüße 你好 😀", "[DONE]"]


def decoded(pieces: list[bytes]) -> list[str]:
    stream = EventStream()
    return [payload.decode() for piece in pieces for payload in stream.feed(piece)]


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"], ids=ascii)
def test_all_line_ends_are_read(line_end: str) -> None:
    body = STREAM.replace("\n", line_end).encode()
    assert decoded([body]) == PAYLOADS
    assert decoded([bytes([byte]) for byte in body]) == PAYLOADS


@given(st.sampled_from(["\n", "\r", "\r\n"]), st.lists(st.integers(0, 200), max_size=30))
def test_a_stream_may_be_cut_anywhere(line_end: str, cuts: list[int]) -> None:
    body = STREAM.replace("\n", line_end).encode()
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    assert decoded(pieces) == PAYLOADS


def test_an_event_that_is_not_ended_is_not_given() -> None:
    assert decoded([b"data: whole\n\ndata: half\n"]) == ["whole"]


def test_a_line_without_end_is_no_event_stream() -> None:
    with pytest.raises(ValueError, match="an event of more than"):
        decoded([b"x" * (MAX_EVENT_BYTES // 2)] * 3)


def test_comments_for_hours_are_no_event() -> None:
    stream = EventStream()
    for _ in range(100):
        assert list(stream.feed((b": " + b"x" * 10_000 + b"\n") * 2)) == []
        assert list(stream.feed(b"\n")) == []
    assert list(stream.feed(b"data: at last\n\n")) == [b"at last"]

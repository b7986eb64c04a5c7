from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.providers.thoughts import ThoughtFilter


def said(*pieces: str) -> str:
    thoughts = ThoughtFilter()
    return "".join([thoughts.feed(piece) for piece in pieces] + [thoughts.flush()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there.", "Hello there."),
        ("<think>\nThe user greets me.\n</think>\n\nHello.", "Hello."),
        ("<think></think>Hello.", "Hello."),
        ("One. <think>hm</think> Two. <think>hm</think> Three.", "One. Two. Three."),
        ("<think>never ended", ""),
        ("1 < 2 and <b> and <thin", "1 < 2 and <b> and <thin"),
        ("<<think>x</think>y", "<y"),
    ],
)
def test_thoughts_are_not_said(text: str, expected: str) -> None:
    assert said(text) == expected
    assert said(*text) == expected


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "think>", "/", " ", "a", "\n"]), max_size=20),
    st.data(),
)
def test_it_does_not_matter_where_a_stream_is_cut(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    places = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert said(*pieces) == said(text)


def test_plain_words_are_not_held_back() -> None:
    thoughts = ThoughtFilter()
    assert [thoughts.feed(piece) for piece in ("Hello", " there", ". <", "b")] == [
        "Hello",
        " there",
        ". ",
        "<b",
    ]

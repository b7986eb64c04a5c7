"""The pipe's format, and the worker's end of a pipe."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.providers.worker_main import main
from voicertc.providers.worker_messages import (
    CANCEL,
    LENGTHS,
    MAX_BODY,
    MAX_HEADER,
    READ_AHEAD,
    Message,
    Pipe,
    PipeBroken,
    decode,
    encode,
    lengths,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=5,
)


@given(st.text(), st.integers(0, 2**40), st.dictionaries(st.text(), JSON, max_size=4), st.binary(max_size=99))
def test_a_message_is_what_it_was(kind: str, request_: int, fields: dict[str, object], body: bytes) -> None:
    fields = {name: value for name, value in fields.items() if name not in ("kind", "request")}
    message = Message(kind, request_, fields, body)
    data = encode(message)
    header, rest = lengths(data[: LENGTHS.size])
    assert len(data) == LENGTHS.size + header + rest
    assert decode(data[LENGTHS.size :][:header], data[LENGTHS.size + header :]) == message


@pytest.mark.parametrize(
    "message", [Message("a", 1, {"text": "x" * MAX_HEADER}), Message("a", 1, {}, b"x" * (MAX_BODY + 1))]
)
def test_what_is_too_long_is_not_sent(message: Message) -> None:
    with pytest.raises(ValueError, match="is too long"):
        encode(message)


@pytest.mark.parametrize(("header", "body"), [(MAX_HEADER + 1, 0), (0, MAX_BODY + 1)])
def test_what_is_too_long_is_not_received(header: int, body: int) -> None:
    with pytest.raises(PipeBroken, match="lengths"):
        lengths(LENGTHS.pack(header, body))


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"nonsense", b'{"kind": "a"}', b'{"kind": "a", "request": "b"}', b"\xff"]
)
def test_a_header_that_is_none_breaks_the_pipe(header: bytes) -> None:
    with pytest.raises(PipeBroken, match="header"):
        decode(header, b"")


@pytest.fixture
def pipe() -> Iterator[tuple[Pipe, int]]:
    """A worker's end, and where the server writes."""
    read_fd, write_fd = os.pipe()
    pipe = Pipe(read_fd, os.open(os.devnull, os.O_WRONLY))
    yield pipe, write_fd
    pipe.close()
    os.close(write_fd)


def test_messages_may_come_in_any_pieces(pipe: tuple[Pipe, int]) -> None:
    end, write_fd = pipe
    data = (
        encode(Message("one", 1)) + encode(Message("two", 2, {"n": 3}, b"body")) + encode(Message("three", 3))
    )
    os.write(write_fd, data[:5])
    assert not end.is_cancelled()
    os.write(write_fd, data[5:60])
    assert end.receive() == Message("one", 1)
    os.write(write_fd, data[60:])
    assert [end.receive(), end.receive()] == [Message("two", 2, {"n": 3}, b"body"), Message("three", 3)]


def test_a_cancellation_overtakes_what_waits(pipe: tuple[Pipe, int]) -> None:
    end, write_fd = pipe
    for kind in ("turn", "audio", "audio", CANCEL, "turn"):
        os.write(write_fd, encode(Message(kind, 1)))
    assert end.is_cancelled()
    cancel = end.receive()
    assert cancel == Message(CANCEL, 1)
    assert not end.is_cancelled()
    end.unread(cancel)
    assert end.is_cancelled()
    assert [end.receive(), end.receive()] == [cancel, Message("turn", 1)]


def test_a_worker_that_is_behind_lets_the_server_wait(pipe: tuple[Pipe, int]) -> None:
    end, write_fd = pipe
    os.set_blocking(write_fd, False)
    piece = encode(Message("audio", 1, {}, b"a" * 30_000))
    sent = 0
    for _ in range(1000):
        try:
            written = os.write(write_fd, piece)
        except BlockingIOError:
            before = end._waiting_bytes
            end.is_cancelled()  # takes what there is, up to its limit
            if end._waiting_bytes == before:
                break
            continue
        piece = piece[written:] or encode(Message("audio", 1, {}, b"a" * 30_000))
        sent += written
    assert READ_AHEAD <= end._waiting_bytes < READ_AHEAD + 100_000
    assert sent < READ_AHEAD + 200_000


def test_the_end_of_the_pipe_is_a_cancellation_too() -> None:
    read_fd, write_fd = os.pipe()
    end = Pipe(read_fd, os.open(os.devnull, os.O_WRONLY))
    os.close(write_fd)
    assert end.is_cancelled()
    assert end.receive() is None
    end.close()


def test_a_worker_whose_server_is_gone_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr("signal.signal", lambda number, action: done.append(int(number)))
    monkeypatch.setattr("faulthandler.enable", lambda: None)
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: type("Libc", (), {"prctl": lambda *_: 0})())
    assert main(["module:Engine", str(os.getpid())]) == 1  # which is nobody's own parent
    assert len(done) == 3

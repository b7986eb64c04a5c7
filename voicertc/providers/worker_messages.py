"""The pipe between the server and a worker: one message format, and the worker's end of it.

    4 bytes header length | 4 bytes body length | header, JSON | body, bytes

Lengths are big-endian. A header has ``kind`` and ``request`` (a number that a pool gives each request) and
what the engine needs; the body is audio or a long text. Both sides import this file, and the worker's side
wants to be up in a few milliseconds: standard library only.
"""

from __future__ import annotations

import json
import os
import select
import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LENGTHS = struct.Struct(">II")
MAX_HEADER = 1 << 16
"""Bytes. A longer header is not one of ours: the pipe is broken."""
MAX_BODY = 1 << 22
"""Bytes; 95 s of speech at 22.05 kHz in one piece, or a very long grammar."""
READ_AHEAD = 1 << 20
"""Bytes a worker takes while it is behind, 30 s of speech; beyond that the server has to wait."""
CANCEL = "cancel"
"""The one kind that overtakes: what waits before it in the pipe is not worked on any more."""


class PipeBroken(Exception):
    """What comes through the pipe are no messages."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``fields``: whatever JSON can say; the receiver turns it into types at once."""

    kind: str
    request: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""


def encode(message: Message) -> bytes:
    """Return ``message`` as bytes; raises ``ValueError`` if it is over the limits."""
    header = json.dumps({**message.fields, "kind": message.kind, "request": message.request}).encode()
    if len(header) > MAX_HEADER or len(message.body) > MAX_BODY:
        raise ValueError(f"a {message.kind} message of {len(header)} + {len(message.body)} bytes is too long")
    return LENGTHS.pack(len(header), len(message.body)) + header + message.body


def lengths(prefix: bytes) -> tuple[int, int]:
    """Read the eight bytes before a message: header and body length. Raises ``PipeBroken``."""
    header, body = LENGTHS.unpack(prefix)
    if header > MAX_HEADER or body > MAX_BODY:
        raise PipeBroken(f"lengths of {header} and {body} bytes")
    return int(header), int(body)


def decode(header: bytes, body: bytes) -> Message:
    """Build the message of its two parts. Raises ``PipeBroken``."""
    try:
        fields: dict[str, Any] = json.loads(header)
        return Message(str(fields.pop("kind")), int(fields.pop("request")), fields, body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PipeBroken(f"a header that is none: {header[:80]!r}") from error


class Pipe:
    """The worker's end: blocking, single-threaded. The server's end is asyncio's, in ``workers``."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._bytes = bytearray()  # not yet a message
        self._waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._ended = False

    def receive(self) -> Message | None:
        """Wait for the next message; ``None`` when the server has closed the pipe (or died)."""
        while not self._waiting and not self._ended:
            self._read()
        self._take_what_is_there()
        if not self._waiting:
            return None
        message = self._waiting.popleft()
        self._waiting_bytes -= len(message.body)
        return message

    def unread(self, message: Message) -> None:
        """Let ``message`` be the next that is received."""
        self._waiting.appendleft(message)
        self._waiting_bytes += len(message.body)

    def is_cancelled(self) -> bool:
        """Whether the next message is a cancellation, or no message can come any more. Does not wait."""
        self._take_what_is_there()
        return self._ended or (bool(self._waiting) and self._waiting[0].kind == CANCEL)

    def send(self, message: Message) -> None:
        """Write ``message``; waits while the pipe is full."""
        rest = memoryview(encode(message))
        while rest:
            rest = rest[os.write(self._write_fd, rest) :]

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _take_what_is_there(self) -> None:
        while not self._ended and self._waiting_bytes < READ_AHEAD and self._is_readable():
            self._read()

    def _is_readable(self) -> bool:
        return bool(select.select([self._read_fd], [], [], 0)[0])

    def _read(self) -> None:
        chunk = os.read(self._read_fd, 1 << 16)
        self._ended = not chunk
        self._bytes += chunk
        while (message := self._parse()) is not None:
            if message.kind == CANCEL:
                self._waiting.clear()
                self._waiting_bytes = 0
            self._waiting.append(message)
            self._waiting_bytes += len(message.body)

    def _parse(self) -> Message | None:
        if len(self._bytes) < LENGTHS.size:
            return None
        header, body = lengths(bytes(self._bytes[: LENGTHS.size]))
        middle, end = LENGTHS.size + header, LENGTHS.size + header + body
        if len(self._bytes) < end:
            return None
        message = decode(bytes(self._bytes[LENGTHS.size : middle]), bytes(self._bytes[middle:end]))
        del self._bytes[:end]
        return message

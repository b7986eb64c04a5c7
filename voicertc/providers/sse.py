"""Server-sent events as they come out of a socket: bytes in, whole ``data`` payloads out.

WHATWG HTML §9.2.6. Lines end in LF, CR or CRLF, and a read may end anywhere, also inside a character or
between CR and LF; lines that begin with a colon are comments that keep the connection open.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_EVENT_BYTES = 1 << 20
"""Longer than any token or error; what is longer is not an event stream."""


class EventStream:
    """Decodes one response's body. ``feed`` raises ``ValueError`` when an event grows beyond all sense."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._skips_newline = False
        self._is_first_line = True

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the payload of every event that ``piece`` completes."""
        if self._skips_newline and piece:
            self._skips_newline = False
            piece = piece.removeprefix(b"\n")
        if piece:
            self._skips_newline = piece.endswith(b"\r")
        *ended, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in ended:
            self._extend(line)
            yield from self._end_line()
        self._extend(rest)

    def _extend(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > MAX_EVENT_BYTES:
            raise ValueError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        self._line += part

    def _end_line(self) -> Iterator[bytes]:
        line = bytes(self._line)
        self._line.clear()
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            data, self._data, self._size = self._data, [], 0
            if data:
                yield b"\n".join(data)
        elif line.startswith(b":"):
            self._size -= len(line)
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        # Everything else (event, id, retry) says nothing here: the payloads carry their own types.

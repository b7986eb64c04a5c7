"""The line to a service: it can be cut, and laid to another one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal, Self

Mode = Literal["open", "refuse", "hold"]


class Line:
    """A TCP line to ``port`` on this machine that can be cut: refused, or accepted and never answered."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._held: set[asyncio.StreamWriter] = set()
        self._mode: Mode = "open"
        self.port = 0

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.set("open")
        await self._stop()

    async def set(self, mode: Mode, port: int | None = None) -> None:
        """Let new connections fare so from now on, and lead to ``port``; those that are there are cut."""
        self._mode, self._target = mode, port or self._target
        for writer in tuple(self._held):
            writer.transport.abort()
        if mode == "refuse":
            await self._stop()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._held.add(writer)
        try:
            if self._mode == "hold":
                while await reader.read(65536):
                    pass
                return
            theirs, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._held.add(back)
            try:
                await asyncio.gather(_copy(reader, back), _copy(theirs, writer))
            finally:
                self._held.discard(back)
                back.transport.abort()
        except OSError:
            pass  # the other end has gone, which is what this is for
        finally:
            self._held.discard(writer)
            writer.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.write_eof()

"""A few open sockets that read, shared by all calls: a clause that finds one saves a second of handshakes.

A socket has one voice and one speed for life, so they are kept by both. Whoever wants one and finds none has
one opened; it gets the first that becomes free, be it that or another. Those that nobody wants are closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ..errors import ProviderBusy, ProviderError
from ..logs import event
from .openai_reader_socket import ReaderSocket, Reading

_SETTLE = 2.0
"""Seconds for a cancelled response to end; a socket that takes longer is closed instead."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timbre:
    """How a socket sounds: what cannot be changed after its first sound."""

    voice: str
    speed: float


OpenReader = Callable[[Timbre, Callable[[ReaderSocket], None]], Awaitable[ReaderSocket]]
"""Opens a socket that sounds like this, and says whom to tell when it is lost."""


class ReaderPool:
    """Owned by the voice. Bounded: at most ``most`` sockets, open or being opened."""

    def __init__(
        self, provider: str, open_reader: OpenReader, *, most: int, keep_idle: float, max_age: float
    ) -> None:
        self._provider = provider
        self._open_reader = open_reader
        self._most, self._keep_idle, self._max_age = most, keep_idle, max_age
        self._timbres: dict[ReaderSocket, Timbre] = {}
        self._idle: dict[ReaderSocket, asyncio.TimerHandle] = {}
        self._wanted: list[tuple[Timbre, asyncio.Future[ReaderSocket]]] = []
        self._opening: list[Timbre] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closings: set[asyncio.Task[None]] = set()

    @property
    def n_open(self) -> int:
        """Sockets that are open or being opened."""
        return len(self._timbres) + len(self._opening)

    @property
    def n_idle(self) -> int:
        """Sockets that wait for a clause."""
        return len(self._idle)

    async def take(self, timbre: Timbre) -> ReaderSocket:
        """Borrow a socket that is not reading; ``give_back`` is due. Raises ``ProviderError``."""
        while reader := self._find_idle(timbre):
            self._idle.pop(reader).cancel()
            if reader.socket.is_open and reader.socket.age < self._max_age:
                return reader
            self._drop(reader)
        if self._opening.count(timbre) <= sum(each == timbre for each, _ in self._wanted):
            self._open(timbre)
        future: asyncio.Future[ReaderSocket] = asyncio.get_running_loop().create_future()
        want = (timbre, future)
        self._wanted.append(want)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._offer(future.result())  # it came at the very moment at which nobody wanted it
            raise
        finally:
            if want in self._wanted:
                self._wanted.remove(want)

    def give_back(self, reader: ReaderSocket, reading: Reading | None) -> None:
        """Return a socket; a reading that is not over is cancelled before anybody else gets it."""
        if reading is not None and reading.is_over and reader.socket.is_open:
            self._offer(reader)
        elif reading is None or not reader.socket.is_open:
            self._drop(reader)
        else:
            self._start(self._settle(reader, reading), "cancel")

    def warm(self, timbre: Timbre) -> None:
        """Have a socket opened in the background, unless one is idle or on its way."""
        if not self._find_idle(timbre) and timbre not in self._opening and self.n_open < self._most:
            self._open(timbre)

    async def settled(self) -> None:
        """Wait until all that goes on in the background is done: openings, cancels, closings."""
        while work := [*self._tasks, *self._closings]:
            await asyncio.gather(*work, return_exceptions=True)

    async def close(self) -> None:
        """Hang up all sockets; clauses that are being read fail. May be called twice."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for timer in self._idle.values():
            timer.cancel()
        self._idle.clear()
        closed = ProviderError(f"{self._provider} was closed", provider=self._provider)
        for _, future in self._wanted:
            if not future.done():
                future.set_exception(closed)
        for reader in [*self._timbres]:
            self._drop(reader)
        await asyncio.gather(*self._closings, return_exceptions=True)

    def _find_idle(self, timbre: Timbre) -> ReaderSocket | None:
        """Return the one used last: the others may come to be closed."""
        fitting = (reader for reader in reversed(self._idle) if self._timbres[reader] == timbre)
        return next(fitting, None)

    def _open(self, timbre: Timbre) -> None:
        """Begin to open a socket; raise ``ProviderBusy`` if there are as many as there may be."""
        if self.n_open >= self._most:
            spare = next(iter(self._idle), None)
            if spare is None:
                message = f"{self._provider} reads {self._most} clauses already"
                raise ProviderBusy(message, provider=self._provider)
            self._expire(spare)
        self._opening.append(timbre)
        self._start(self._opened(timbre), "open")

    async def _opened(self, timbre: Timbre) -> None:
        try:
            reader = await self._open_reader(timbre, self._lose)
        except ProviderError as error:
            if future := self._first_who_wants(timbre):
                future.set_exception(error)
            else:
                event(_log, logging.WARNING, "openai_reader_not_open", error=error.message)
            return
        finally:
            self._opening.remove(timbre)
        self._timbres[reader] = timbre
        self._offer(reader)

    async def _settle(self, reader: ReaderSocket, reading: Reading) -> None:
        if await reader.settle(reading, _SETTLE):
            self._offer(reader)
        else:
            self._drop(reader)

    def _offer(self, reader: ReaderSocket) -> None:
        """Hand a socket that is free to the first who wants it, or keep it for a while."""
        timbre = self._timbres.get(reader)
        if timbre is None or not reader.socket.is_open or reader.socket.age >= self._max_age:
            self._drop(reader)
            return
        if future := self._first_who_wants(timbre):
            future.set_result(reader)
            return
        loop = asyncio.get_running_loop()
        self._idle[reader] = loop.call_later(self._keep_idle, self._expire, reader)

    def _first_who_wants(self, timbre: Timbre) -> asyncio.Future[ReaderSocket] | None:
        return next((future for each, future in self._wanted if each == timbre and not future.done()), None)

    def _expire(self, reader: ReaderSocket) -> None:
        """Close a socket that is idle."""
        self._idle.pop(reader).cancel()
        self._drop(reader)

    def _lose(self, reader: ReaderSocket) -> None:
        """A socket has ended by itself."""
        if timer := self._idle.pop(reader, None):
            timer.cancel()
        self._timbres.pop(reader, None)

    def _drop(self, reader: ReaderSocket) -> None:
        """Close a socket, and count it no more."""
        self._timbres.pop(reader, None)
        closing = asyncio.create_task(reader.close(), name=f"{self._provider}/close")
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)

    def _start(self, work: Coroutine[Any, Any, None], what: str) -> None:
        task = asyncio.create_task(work, name=f"{self._provider}/{what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

"""One WebSocket between its owner and a client: what is read, at a bearable pace, and what is sent, bounded.

    client ──> socket.receive ──> take(message)      send(message) ──> [ waiting ] ──> socket.send ──> client
                  one after the other                    at once          bounded, in order

Nothing is dropped on the way in: who sends faster than can be taken is read more slowly, until TCP makes it
wait. On the way out a client that reads too slowly is cut off, for what it misses would be missing for good.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from .. import logs
from ..wire.flood import TokenBucket

_log = logging.getLogger(__name__)

NORMAL = 1000
"""The close code of what ends as it should (RFC 6455 §7.4.1)."""
GOING_AWAY = 1001
"""The close code of a server that is shut down."""
POLICY = 1008
"""The close code for a client that does not keep up."""
INTERNAL = 1011
"""The close code for a failure of ours."""

_RATE, _BURST = 1000.0, 4000.0
"""Messages per second in the long run, and at once: a file in pieces of 20 ms is read at twenty times its
speed, and a client that only wants to keep us busy gets a tenth of a core."""
_SPELL = 0.002
"""Seconds of work after which other calls have their turn: a message that is there is read without a wait."""
_MAX_WAITING = 512
"""Messages that may wait to be sent."""
_MAX_WAITING_CHARACTERS = 8 * 1024 * 1024
"""All of them together: two minutes of 16-bit audio, which a client has no use for."""
_GOODBYE = 1.0
"""Seconds that a client is given to read its last messages."""


class Socket(Protocol):
    """A WebSocket, whoever serves it. Messages are received by one task and sent by another."""

    async def receive(self) -> str | bytes | None:
        """Wait for a message; ``None``: the client has said goodbye. Raises ``ConnectionError``."""

    async def send(self, message: str) -> None:
        """Send a message; wait while the client does not read. Raises ``ConnectionError``."""

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, if that is still possible, and free it; takes a second or two at most."""


class SocketLine:
    """Owned by a call or a sideband. ``serve`` is run once, by the task that has the socket.

    ``take`` is given each message in turn; ``on_slow`` is told, once, that the client does not keep up.
    """

    def __init__(
        self, name: str, take: Callable[[str | bytes], Awaitable[None]], on_slow: Callable[[], None]
    ) -> None:
        self._name = name
        self._take = take
        self._on_slow = on_slow
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[str, str | None]] = deque()
        self._n_characters = 0
        self._arrived = asyncio.Event()
        self._code, self._reason = NORMAL, ""
        self._is_ending = False
        self._deadline: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()

    def send(self, message: str, *, reply_id: str | None = None) -> None:
        """Have a message sent; ``reply_id`` says whose sound it is."""
        if self._is_ending:
            return
        self._waiting.append((message, reply_id))
        self._n_characters += len(message)
        self._arrived.set()
        if len(self._waiting) > _MAX_WAITING or self._n_characters > _MAX_WAITING_CHARACTERS:
            logs.event(_log, logging.WARNING, "client_too_slow", waiting=len(self._waiting))
            self._waiting.clear()
            self.end(POLICY, "too slow")
            self._on_slow()

    def drop_sound(self, reply_id: str) -> None:
        """Do not send what still waits of a reply's sound."""
        kept = [entry for entry in self._waiting if entry[1] != reply_id]
        if len(kept) < len(self._waiting):
            self._waiting = deque(kept)
            self._n_characters = sum(len(message) for message, _ in kept)

    def end(self, code: int = NORMAL, reason: str = "") -> None:
        """Close the socket when all that waits has been sent, or soon; the first call decides the code."""
        if not self._is_ending:
            self._is_ending = True
            self._code, self._reason = code, reason
            self._arrived.set()
            if self._sending:
                self._deadline = self._loop.call_later(_GOODBYE, self._sending.cancel)

    async def ended(self) -> None:
        """Wait until the socket is closed, if it ever was served."""
        if self._sending:
            await self._is_over.wait()

    async def serve(self, socket: Socket) -> bool:
        """Carry messages both ways until one side ends it; return whether the client said goodbye."""
        self._sending = asyncio.create_task(self._send_all(socket), name=f"{self._name}/send")
        reading = asyncio.create_task(self._read_all(socket), name=f"{self._name}/read")
        try:
            await asyncio.wait({self._sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            if self._sending.done() and not self._sending.cancelled():
                self._sending.result()
            return reading.done() and reading.result()
        except BaseException:
            self.end(INTERNAL, "internal error")
            raise
        finally:
            self._is_ending = True
            if self._deadline:
                self._deadline.cancel()
            # Closed when nobody reads any more: so the client's own goodbye is waited for, and no message of
            # ours is lost because one of its was still on the way.
            self._sending.cancel()
            reading.cancel()
            await asyncio.gather(self._sending, reading, return_exceptions=True)
            await socket.close(self._code, self._reason)
            self._is_over.set()

    async def _read_all(self, socket: Socket) -> bool:
        """Return whether the client said goodbye; else it was lost."""
        bucket = TokenBucket(rate=_RATE, burst=_BURST)
        worked = 0.0
        while True:
            try:
                message = await socket.receive()
            except ConnectionError:
                return False
            if message is None:
                return True
            began = self._loop.time()
            await self._take(message)
            worked += self._loop.time() - began
            if worked > _SPELL:
                worked = 0.0
                await asyncio.sleep(0)
            await self._pause(bucket)

    async def _pause(self, bucket: TokenBucket) -> None:
        """Wait until the client may send one more."""
        while not bucket.take(self._loop.time()):  # noqa: ASYNC110 (time is all that is waited for)
            await asyncio.sleep(20 / _RATE)

    async def _send_all(self, socket: Socket) -> None:
        try:
            while True:
                while self._waiting:
                    message, _ = self._waiting.popleft()
                    self._n_characters -= len(message)
                    await socket.send(message)
                if self._is_ending:
                    return
                self._arrived.clear()
                await self._arrived.wait()
        except ConnectionError:
            await asyncio.Event().wait()  # the reading task finds out why, and ends this

"""A call's transcription socket, kept ready: opened ahead, reopened when lost, replaced before it is too old.

    attend ──> open ──> ready ──(lost)──> open again: at once, then ever slower
                          └───(max_age)──> open the next, then let the old one go when its words have come

A turn that finds no socket tries to open one at once, whatever the background is doing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from ..errors import ProviderError
from ..logs import event
from .base import RecognitionRequest
from .openai_live_ear import LiveEar, OnEarLost

OpenEar = Callable[[RecognitionRequest, OnEarLost], Awaitable[LiveEar]]
"""Opens a socket for turns like this, and says whom to tell when it is lost."""
Configure = Callable[[RecognitionRequest], Mapping[str, Any]]
"""The ``session`` of a ``session.update`` for turns like this."""

_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
"""Seconds before each attempt in the background; after the last one the next turn has to try."""
_SHORT_LIFE = 10.0
"""Seconds: sockets that are lost sooner, one after the other, are not reopened at once."""
_SETTLE = 1.0
"""Seconds for the service to take the turn before out of its buffer, so that its session may be changed."""
_RENEW_AGAIN = 30.0
"""Seconds until another successor is tried: the old socket still has minutes to go."""

_log = logging.getLogger(__name__)


class LiveLine:
    """Owned by one call's recognizer; ``ear`` is called by the turn whose sound is next."""

    def __init__(
        self,
        provider: str,
        open_ear: OpenEar,
        configure: Configure,
        request: RecognitionRequest,
        max_age: float,
    ) -> None:
        self._provider = provider
        self._open_ear, self._configure = open_ear, configure
        self._request = request
        self._max_age = max_age
        self._ear: LiveEar | None = None
        self._attempt: asyncio.Task[LiveEar] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closings: set[asyncio.Task[None]] = set()
        self._retired: set[LiveEar] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._n_short_lived = 0
        self._start(self._open_in_background(), "open")

    async def ear(self, request: RecognitionRequest) -> LiveEar:
        """Return a socket that is open and set up for ``request``; no sound may be in its buffer.

        Raises ``ProviderError`` if it cannot be opened now.
        """
        ear = self._ear
        if ear is None or not ear.socket.is_open:
            ear = await self._open_now(request)
        if _key(request) != _key(self._request):
            await self._change(ear, request)
        return ear

    def discard(self, ear: LiveEar) -> None:
        """Give up a socket that has stopped answering."""
        if ear is self._ear:
            self._ear = None
            self._start(self._open_in_background(), "open")
        self._hang_up(ear)

    def release(self, ear: LiveEar) -> None:
        """A turn waits no more for this socket: hang up if it was the last of a retired one."""
        if ear in self._retired and not ear.n_due:
            self._retired.discard(ear)
            self._hang_up(ear)

    async def close(self) -> None:
        """Hang up and end all that goes on in the background; may be called twice."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for ear in {*self._retired, *([self._ear] if self._ear else [])}:
            self._hang_up(ear)
        self._ear = None
        self._retired.clear()
        await asyncio.gather(*self._closings, return_exceptions=True)

    async def _open_now(self, request: RecognitionRequest) -> LiveEar:
        """Open a socket, or wait for the attempt that is being made."""
        if self._attempt is None or self._attempt.done():
            self._request = request
            self._attempt = self._start(self._open(), "attempt")
        return await asyncio.shield(self._attempt)

    async def _open(self) -> LiveEar:
        ear = await self._open_ear(self._request, self._lose)
        old, self._ear = self._ear, ear
        if old is not None:
            self._retire(old)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._max_age, self._renew)
        return ear

    async def _open_in_background(self) -> None:
        """Open a socket so that the next turn finds one; what keeps failing is left to the next turn."""
        for pause in _PAUSES[self._n_short_lived :]:
            # Not all calls at the same moment, after an outage.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            if self._ear is not None and self._ear.socket.is_open:
                return
            try:
                await self._open_now(self._request)
                return
            except ProviderError as error:
                self._warn("openai_socket_not_open", error)
                if not error.retryable:
                    return

    def _renew(self) -> None:
        """The socket is old: open its successor beside it."""
        self._start(self._replace(), "renew")

    async def _replace(self) -> None:
        try:
            if self._attempt is None or self._attempt.done():
                self._attempt = self._start(self._open(), "attempt")
            await asyncio.shield(self._attempt)
        except ProviderError as error:
            self._warn("openai_socket_not_renewed", error)
            self._timer = asyncio.get_running_loop().call_later(_RENEW_AGAIN, self._renew)

    def _retire(self, ear: LiveEar) -> None:
        """Hang up as soon as nobody waits for its words."""
        self._retired.add(ear)
        self.release(ear)

    def _lose(self, ear: LiveEar, error: ProviderError) -> None:
        """A socket has ended by itself."""
        self._retired.discard(ear)
        self._n_short_lived = self._n_short_lived + 1 if ear.socket.age < _SHORT_LIFE else 0
        if ear is self._ear and not self._is_closed:
            self._warn("openai_socket_lost", error)
            self._ear = None
            self._start(self._open_in_background(), "open")

    async def _change(self, ear: LiveEar, request: RecognitionRequest) -> None:
        """Set the socket up for other turns than before; one that does not follow is given up."""
        try:
            async with asyncio.timeout(_SETTLE):
                await ear.settled()
        except TimeoutError:
            event(_log, logging.WARNING, "openai_socket_unsettled", provider=self._provider)
        try:
            await ear.configure(self._configure(request))
        except ProviderError:
            self.discard(ear)
            raise
        self._request = request

    def _warn(self, what: str, error: ProviderError) -> None:
        event(_log, logging.WARNING, what, provider=self._provider, error=error.message)

    def _hang_up(self, ear: LiveEar) -> None:
        closing = asyncio.create_task(ear.close(), name=f"{self._provider}/close")
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)

    def _start(self, work: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=f"{self._provider}/{what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _key(request: RecognitionRequest) -> tuple[str | None, str]:
    """What of a request the service is told."""
    return request.language, request.prompt

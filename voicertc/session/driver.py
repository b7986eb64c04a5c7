"""Carries events to the core and its commands to those who execute them.

Handling an event never waits, so there is no inbox task: an event is handled in the call that posts it, and
what the execution of its commands posts in turn is handled right after it, in order. A queue exists only
for the length of one such call, which is why it needs no bound.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from .. import logs
from ..core import events
from ..core.commands import Command
from ..core.conversation import Conversation
from ..core.events import Event
from .recorder import Recorder

_log = logging.getLogger(__name__)


class Driver:
    """Owns the clock and the timer of one conversation. All methods are called on the event loop.

    ``execute`` must not wait; ``on_crash`` is told, once, when the core or an execution raised: our bug.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        recorder: Recorder,
        execute: Callable[[Command], None],
        on_crash: Callable[[], None],
    ) -> None:
        self._conversation = conversation
        self._recorder = recorder
        self._execute = execute
        self._on_crash = on_crash
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._queue: deque[Event] = deque()
        self._is_pumping = False
        self._has_crashed = False
        self._timer: asyncio.TimerHandle | None = None
        self._met = 0.0

    @property
    def now(self) -> float:
        """Seconds since the session began, monotonic."""
        return self._loop.time() - self._began

    def advance(self, by: float) -> None:
        """Let session time jump ``by`` seconds: a client sent its sound faster than it was made."""
        self._began -= by
        self.post(events.ClockAdvanced(by))

    def post(self, event: Event) -> None:
        """Have ``event`` handled: now, or right after the one being handled; not at all after a crash."""
        if not self._has_crashed:
            self._queue.append(event)
            self._pump()

    def post_first(self, event: Event) -> None:
        """Have ``event`` handled before any other that waits."""
        if not self._has_crashed:
            self._queue.appendleft(event)
            self._pump()

    def close(self) -> None:
        """Let no timer fire any more; may be called twice."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _pump(self) -> None:
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while self._queue:
                self._handle(self._queue.popleft())
        except Exception:
            # Our own bug: this call ends, with a record of how it came to pass; the others go on.
            self._has_crashed = True
            self._queue.clear()
            self._on_crash()
            logs.event(_log, logging.ERROR, "session_crashed", exc_info=True, journal=self._recorder.dump())
        finally:
            self._is_pumping = False
        self._set_timer()

    def _handle(self, event: Event) -> None:
        now = max(self.now, self._met)
        commands = self._conversation.handle(event, now)
        self._recorder.record(now, event, commands)
        for command in commands:
            self._execute(command)

    def _set_timer(self) -> None:
        self.close()
        deadline = None if self._has_crashed else self._conversation.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(self._began + deadline, self._meet, deadline)

    def _meet(self, deadline: float) -> None:
        # A sum and a difference of floats: ``now`` may be a hair before the deadline that has come.
        self._met = deadline
        self.post(events.TimeElapsed())

"""The conversation as its agent has it: what it may say unasked, when, and what clients are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..agents.base import ToolPhase
from ..core import events, facts
from ..core.events import Event
from ..core.facts import Fact
from ..core.replies import Cause

_MAX_TIMERS = 32
"""Utterances an agent may have planned for later in one session."""


class ForAgent:
    """The ``AgentSession`` of one session, which owns it; safe to call after the end, when nothing happens.

    ``post`` has an event handled, ``tell`` tells clients a fact.
    """

    def __init__(
        self, session_id: str, *, post: Callable[[Event], None], tell: Callable[[Fact], None]
    ) -> None:
        self.id = session_id
        self._post = post
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._n_timers = 0
        self._is_over = False

    def say(self, text: str) -> None:
        """Say something as soon as the floor is free."""
        self._say(text, Cause.SAY)

    def say_later(self, delay: float, text: str) -> int:
        """Say something when ``delay`` seconds have passed and the floor is free; see ``AgentSession``."""
        if len(self._timers) >= _MAX_TIMERS:
            raise ValueError(f"a session has at most {_MAX_TIMERS} timers")
        self._n_timers += 1
        number = self._n_timers
        if not self._is_over:
            self._timers[number] = self._loop.call_later(delay, self._ring, number, text)
        return number

    def take_back(self, number: int) -> None:
        """Do not say it after all."""
        timer = self._timers.pop(number, None)
        if timer:
            timer.cancel()

    def end_call(self) -> None:
        """End the call when the reply being given has been heard."""
        self._post(events.EndRequested())

    def handed_off(self, agent: str) -> None:
        """Tell clients that another agent has taken over."""
        self._tell(facts.HandedOff(agent))

    def tool_progressed(self, name: str, phase: ToolPhase, message: str | None = None) -> None:
        """Tell clients how far a tool has come that the agent runs itself."""
        self._tell(facts.ToolProgressed(name, phase, message))

    def close(self) -> None:
        """Let nothing be said any more; may be called twice."""
        self._is_over = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _ring(self, number: int, text: str) -> None:
        self._timers.pop(number, None)
        self._say(text, Cause.TIMER)

    def _say(self, text: str, cause: Cause) -> None:
        if not self._is_over and text.strip():
            self._post(events.SayRequested(text, cause))

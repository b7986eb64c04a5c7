"""What comes next on the WebSockets of the fake: the sequences of its scenario, shared by all connections."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..audio.pcm import Samples
from .openai_faults import Fault
from .openai_scenario import Calls, Scenario

_T = TypeVar("_T")


@dataclass(slots=True)
class Course:
    """How far a connection, a turn or a response has come, and what goes wrong on its way."""

    fault: Fault | None = None
    n_sent: int = 0
    is_stalled: bool = False


class Script:
    """Owned by the server; every connection asks it."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._turns = iter(scenario.realtime.turns)
        self._responses = iter(scenario.realtime.responses)
        self._delays = _in_turn(scenario.realtime.completion_delays)
        self._texts = None if callable(scenario.transcripts) else _in_turn(scenario.transcripts)
        self._replies = None if callable(scenario.replies) else _in_turn(scenario.replies)

    def next_text(self) -> str | None:
        """Return what the next turn says, or ``None`` if that has to be asked of its sound."""
        return None if self._texts is None else self._texts()

    def text_of(self, samples: Samples) -> str:
        """Return what this sound says, for a scenario that knows."""
        transcripts = self._scenario.transcripts
        assert callable(transcripts)  # otherwise next_text() has told it
        return transcripts(samples)

    def next_turn(self) -> tuple[float, Course]:
        """Return the delay of the next turn's transcript, and what goes wrong with it."""
        return self._delays(), Course(next(self._turns, None))

    def next_response(self) -> Course:
        """Return what goes wrong with the next response."""
        return Course(next(self._responses, None))

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> Calls:
        """Return what the model answers to a conversation, in the shape of chat messages."""
        replies = self._scenario.replies
        reply = replies(messages) if callable(replies) else self._next_reply()
        return reply if isinstance(reply, Calls) else Calls((), reply)

    def _next_reply(self) -> str | Calls:
        assert self._replies is not None  # the caller has looked
        return self._replies()


def _in_turn(answers: Sequence[_T]) -> Callable[[], _T]:
    """Return what gives one answer after another, and the last one for ever."""
    turns = itertools.count()
    return lambda: answers[min(next(turns), len(answers) - 1)]

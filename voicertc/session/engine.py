"""The port of what turns a request into a reply, and the pieces it yields.

The cascade (agent, clauses, voice) is one kind of it; a speech-to-speech service is another.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from ..audio.pcm import Samples
from ..core.items import Item
from ..core.replies import CutShort, ReplyRequest, ToolCall, Usage
from ..errors import ProviderCrashed
from ..providers.base import Used, WordMark


@dataclass(frozen=True, slots=True)
class TextBegan:
    """The agent has begun to answer, though not yet with a whole clause."""


@dataclass(frozen=True, slots=True)
class ClauseOpened:
    """The audio that follows says ``text`` (as it will stand in the history, spaces included)."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class AudioMade:
    """``samples``: ``(n,)`` int16 mono at 24 kHz; ``marks`` count from the clause's start.

    ``packets``: the same as Opus packets of 20 ms, all or none; see ``providers.base.SpeechChunk``.
    """

    samples: Samples
    marks: tuple[WordMark, ...] = ()
    packets: tuple[bytes, ...] = ()
    used: Used | None = None


@dataclass(frozen=True, slots=True)
class ClauseClosed:
    """The clause's audio is complete."""


@dataclass(frozen=True, slots=True)
class TextMade:
    """Written output, for replies that are not spoken."""

    text: str


Piece = TextBegan | ClauseOpened | AudioMade | ClauseClosed | TextMade | ToolCall | Usage | CutShort


class ReplyEngine(Protocol):
    """One object per session; ``reply`` is called once per reply and cancelled by cancellation."""

    def reply(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply as it is made. Raises ``ProviderError``; anything else is the engine's bug.

        ``reply_id``: the session's name for it; a filler has that of the reply it bridges.
        """


def check_call(call: ToolCall, request: ReplyRequest, provider: str) -> None:
    """Let nothing be called that the client cannot run: the agent would wait for it in vain."""
    if request.tool_choice.mode == "none" or all(tool.name != call.name for tool in request.tools):
        why = f"The agent called a tool that it was not offered: {call.name!a}."
        raise ProviderCrashed(why, provider=provider)
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        why = f"The agent called {call.name} with arguments that are no JSON object."
        raise ProviderCrashed(why, provider=provider)

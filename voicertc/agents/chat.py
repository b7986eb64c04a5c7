"""The agent behind a language model: history in, an answer fit to be spoken out.

The model sees the conversation as it was heard: an answer that the user cut off ends where they cut it, with
a dash, and it is told what the dash means. It is asked anew for every reply; nothing is remembered here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from .. import languages
from ..core.items import Item, Kind, Role, Status
from ..errors import ProviderCrashed
from ..providers.base import LanguageModel, Message
from .base import AgentRequest
from .spoken import SpokenText

INSTRUCTIONS = "You are a friendly assistant on a live voice call."
"""Who the agent is, if neither the operator nor the client says."""

SPEAKING_STYLE = """\
This is a spoken conversation: what you write is read aloud, and what you read was heard by a speech
recognizer, which makes mistakes.
Answer as people talk: the answer first, in one to three short sentences; offer more, do not tell it all.
Use plain words only: no lists, headings, markdown, code, emoji or web addresses. Write numbers, dates and
units the way they are said.
If something you heard makes no sense, work out what was meant; if you cannot, ask one short question.
A message of yours that ends in "—" was interrupted there and its rest was never heard: go on from what the
user says now, do not start over.
Speak the language the user speaks."""
"""What makes a chat model bearable on the telephone; it follows whatever instructions there are."""

INTERRUPTED = " —"
"""Put behind an answer that was cut off."""
CALL_BEGINS = "(The call begins.)"
"""Stands in for the user where the agent spoke first: many models' templates want the user to begin."""

_STEP = 16
"""Items by which the beginning of the history moves on: a prompt cache survives until it moves."""


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What a language model is told besides the conversation."""

    instructions: str = INSTRUCTIONS
    """System prompt where the session has none of its own."""
    style: str = SPEAKING_STYLE
    """Added to every system prompt; empty leaves the prompt as it is."""
    max_items: int = 160
    """Items of the history the model is given: about an hour of talk."""
    max_chars: int = 24_000
    """Characters of the history the model is given, 6,000 tokens: more delays the first word."""


class ChatAgent:
    """An agent made of a language model. One object serves all calls; it keeps nothing between replies."""

    grammar = None
    greeting = None

    def __init__(self, llm: LanguageModel, options: ChatOptions | None = None) -> None:
        self._llm = llm
        self._options = options or ChatOptions()

    @property
    def name(self) -> str:
        """The language model's name: that is what an operator wants to know."""
        return self._llm.name

    async def start(self) -> None:
        """Start the language model."""
        await self._llm.start()

    async def close(self) -> None:
        """Close the language model."""
        await self._llm.close()

    async def reply(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        """Ask the model and yield its answer without markup; closing the generator cancels the model.

        Raises ``ProviderError``, also when the answer holds nothing that could be said.
        """
        spoken = SpokenText()
        is_silent = True
        async with aclosing(self._llm.stream(messages_of(request, self._options))) as pieces:
            async for piece in pieces:
                if text := spoken.feed(piece):
                    is_silent = False
                    yield text
        if text := spoken.flush():
            is_silent = False
            yield text
        if is_silent:
            raise ProviderCrashed(f"{self._llm.name} answered without words", provider=self._llm.name)


def messages_of(request: AgentRequest, options: ChatOptions) -> list[Message]:
    """Return what the model is asked: instructions, then the conversation as it was heard.

    Neighbours of the same role become one message, and the user comes first: templates of open models insist
    on taking turns. Function calls are left out; a reply that needs them is not this agent's.
    """
    said = [message for item in _recent(request.history, options) if (message := _message(item))]
    talk = [message for message in said if message.role is not Role.SYSTEM]
    if not talk or talk[0].role is Role.ASSISTANT:
        said.insert(said.index(talk[0]) if talk else len(said), Message(Role.USER, CALL_BEGINS))
    return _merged([Message(Role.SYSTEM, _instructions(request, options)), *said])


def _instructions(request: AgentRequest, options: ChatOptions) -> str:
    """What never changes comes first, so that the provider's prompt cache holds it."""
    parts = [request.instructions.strip() or options.instructions, options.style]
    code = request.language
    if code is not None:
        name = languages.get(code).name if code.split("-")[0].lower() in languages.known() else code
        parts.append(f"The user speaks {name}.")
    return "\n\n".join(part for part in parts if part)


def _message(item: Item) -> Message | None:
    """What was heard of an item, or ``None`` if that is nothing."""
    text = (item.text or "").strip()
    if item.kind is not Kind.MESSAGE or not text:
        return None
    is_cut = item.role is Role.ASSISTANT and item.status is Status.INCOMPLETE
    return Message(item.role, text + INTERRUPTED if is_cut else text)


def _recent(history: Sequence[Item], options: ChatOptions) -> Iterable[Item]:
    """The newest items that fit, and all system items; the beginning moves in steps."""
    left, start = options.max_chars, len(history)
    while start > max(0, len(history) - options.max_items):
        left -= len(history[start - 1].text or "")
        if left < 0 and start < len(history):
            break
        start -= 1
    if start:
        start = min(-(-start // _STEP) * _STEP, len(history) - 1)
    return [item for index, item in enumerate(history) if index >= start or item.role is Role.SYSTEM]


def _merged(messages: Iterable[Message]) -> list[Message]:
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role is message.role:
            gap = "\n\n" if message.role is Role.SYSTEM else " "
            message = Message(message.role, merged.pop().text + gap + message.text)
        merged.append(message)
    return merged

"""The agent behind a language model: history in, an answer fit to be spoken out.

The model sees the conversation as it was heard: an answer that the user cut off ends where they cut it, with
a dash, and it is told what the dash means. It is asked anew for every reply; nothing is remembered here, also
not which functions it called: a call is an item of the history, and so is the client's answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from .. import languages
from ..core.items import Role
from ..core.replies import Cause, Usage
from ..errors import ProviderCrashed
from ..providers.base import AnswerRequest, LanguageModel, Message, WarmedMind
from .base import AgentPiece, AgentRequest
from .chat_history import add, messages_from, recent
from .spoken import SpokenText

INSTRUCTIONS = "You are a friendly assistant on a live voice call."
"""Who the agent is, if neither the operator nor the client says."""

SPEAKING_STYLE = """\
This is a spoken conversation: what you write is read aloud, and what you read was heard by a speech
recognizer, which makes mistakes.
Answer as people talk: the answer first, in one to three short, plain sentences; offer more, do not tell it
all, and ask one question at a time.
Write nothing but words and punctuation: no lists, headings, tables, markdown, code, emoji or web addresses.
Write numbers, dates, times, prices, units and abbreviations the way they are said ("half past three", "twenty
kilometers", "for example"), telephone numbers and codes digit by digit.
If something you heard makes no sense, work out what was meant; if you cannot, ask one short question.
A message of yours that ends in "—" was interrupted there and its rest was never heard: go on from what the
user says now, do not start over.
Answer in the language the user speaks, whatever language you read here."""
"""What makes a chat model bearable on the telephone; it follows whatever instructions there are."""

TOOL_STYLE = """\
Before you call a function, say in a few words what you are about to do. Of what it gives back, tell what
matters, never names or data as they stand there."""
"""Added to the style where there are functions: else the user hears nothing while one runs."""
CALL_BEGINS = "(The call begins.)"
"""Stands in for the user where the agent spoke first: many models' templates want the user to begin."""
SILENCE = "(The user has said nothing for a while.)"
"""Stands in for the user who is silent, when something is to be said all the same."""


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
    """Characters of the history the model is given, 6,000 tokens: more delays the first word. Of what a
    function gave back, half as many at most."""


class ChatAgent:
    """An agent made of a language model. One object serves all calls; it keeps nothing between replies."""

    grammar = None
    greeting = None
    may_be_asked_in_vain = True

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

    def warm(self) -> None:
        """Have the language model ready."""
        if isinstance(self._llm, WarmedMind):
            self._llm.warm()

    async def reply(self, request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
        """Ask the model and yield its answer without markup; closing the generator cancels the model.

        Raises ``ProviderError``, also when the answer holds nothing that could be said or done.
        """
        spoken = SpokenText()
        is_silent = True
        wanted = AnswerRequest(request.tools, request.tool_choice, request.max_output_tokens)
        async with aclosing(self._llm.stream(messages_of(request, self._options), wanted)) as pieces:
            async for piece in pieces:
                if text := spoken.feed(piece) if isinstance(piece, str) else spoken.flush():
                    is_silent = False
                    yield text
                if not isinstance(piece, str):
                    is_silent = is_silent and isinstance(piece, Usage)
                    yield piece
        if text := spoken.flush():
            is_silent = False
            yield text
        if is_silent:
            raise ProviderCrashed(f"{self._llm.name} answered without words", provider=self._llm.name)


def messages_of(request: AgentRequest, options: ChatOptions) -> list[Message]:
    """Return what the model is asked: instructions, then the conversation as it was heard.

    Neighbours of the same role become one message, and the user comes first: templates of open models insist
    on taking turns.
    """
    items = recent(request.history, max_items=options.max_items, max_chars=options.max_chars)
    told = messages_from(items, max_chars=options.max_chars)
    if request.cause is Cause.IDLE:
        add(told, Message(Role.USER, SILENCE))
    first = next((place for place, message in enumerate(told) if message.role is not Role.SYSTEM), len(told))
    if first == len(told) or told[first].role is Role.ASSISTANT:
        told.insert(first, Message(Role.USER, CALL_BEGINS))
    prompt = [Message(Role.SYSTEM, _instructions(request, options))]
    if told[0].role is Role.SYSTEM:
        add(prompt, told.pop(0))
    return prompt + told


def _instructions(request: AgentRequest, options: ChatOptions) -> str:
    """What never changes comes first, so that the provider's prompt cache holds it."""
    parts = [request.instructions.strip() or options.instructions, options.style]
    if request.tools and options.style:
        parts.append(TOOL_STYLE)
    code = request.language
    if code is not None:
        name = languages.get(code).name if code.split("-")[0].lower() in languages.known() else code
        parts.append(f"The user speaks {name}.")
    return "\n\n".join(part for part in parts if part)

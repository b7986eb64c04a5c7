"""The agent port, and how a plain function becomes an agent.

    async def my_agent(request):
        yield "Hello. "

An agent is asked once per reply, yields text as it comes to mind, and is cancelled by cancellation. It
sees the history as it was heard, so after a barge-in the last item ends where the user cut it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from ..core.items import Item, Kind, Role
from ..core.options import Tool, ToolChoice
from ..core.replies import Cause, CutShort, ToolCall, Usage

ToolPhase = Literal["started", "progress", "completed", "failed"]


class AgentSession(Protocol):
    """What an agent may do to the conversation it is part of, at any time while it lasts.

    One object for the whole session, hashable and weakly referable: agents key what they remember by it.
    """

    @property
    def id(self) -> str:
        """The session's id; it stays the same when a call is resumed."""

    def say(self, text: str) -> None:
        """Say something as soon as the floor is free; safe to call after the end (nothing happens)."""

    def say_later(self, delay: float, text: str) -> int:
        """Say something when ``delay`` seconds have passed and the floor is free; ends with the session.

        Return the number under which it can be taken back, unique within the session.
        """

    def take_back(self, number: int) -> None:
        """Do not say it after all; nothing happens if it was said already or never promised."""

    def end_call(self) -> None:
        """End the call when the reply being given has been heard."""

    def handed_off(self, agent: str) -> None:
        """Tell clients that another agent, of this name, has taken over (``voicertc.handoff``)."""

    def tool_progressed(self, name: str, phase: ToolPhase, message: str | None = None) -> None:
        """Tell clients how far a tool has come that the agent runs itself (``voicertc.tool``)."""


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One reply that is wanted.

    ``history``: the items as heard, oldest first; the last is usually the user's. ``instructions``: the
    system prompt in force. ``language``: ISO 639-1 or ``None``. ``cause``: why a reply is wanted; for
    ``Cause.IDLE`` the user has been silent for a while.

    ``tools`` are functions that the client offers to run: yield a ``ToolCall``, and the client answers with
    an item of kind ``function_call_output`` and asks again. ``max_output_tokens``: ``None`` for no limit.
    """

    history: tuple[Item, ...]
    session: AgentSession
    instructions: str = ""
    language: str | None = None
    cause: Cause = Cause.TURN
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    max_output_tokens: int | None = None

    @property
    def user_text(self) -> str:
        """What the user said since the last reply, joined; empty when they said nothing.

        A function call is a reply; what a function gave back is not what the user said.
        """
        words: list[str] = []
        for item in reversed(self.history):
            if item.kind is Kind.FUNCTION_CALL:
                break
            if item.kind is not Kind.MESSAGE or not item.text:  # what was cut unheard answered nothing
                continue
            if item.role is Role.ASSISTANT:
                break
            if item.role is Role.USER:
                words.append(item.text)
        return " ".join(reversed(words))


AgentPiece = str | ToolCall | Usage | CutShort
"""What an agent yields: text to be said, calls of the client's tools, and what a language model tells."""

AgentFunction = Callable[[AgentRequest], AsyncGenerator[AgentPiece, None]]
"""The smallest agent: an async generator function of text, and of tool calls where the client has tools."""


@runtime_checkable
class Agent(Protocol):
    """What answers. One object serves all calls; what belongs to one conversation hangs on its session."""

    @property
    def name(self) -> str:
        """What start-up prints and logs carry."""

    @property
    def grammar(self) -> str | None:
        """The JSGF grammar of all it understands, for command recognizers; ``None``: it takes free speech."""

    @property
    def greeting(self) -> str | None:
        """What it says first, unless the settings say otherwise; ``None`` for the language's own greeting."""

    def reply(self, request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
        """Yield the reply's text in pieces of any size; their concatenation is what is said, nothing if none.

        Tool calls come after the text that is said before them; the client's answer is another request.
        """

    async def start(self) -> None:
        """Prepare, or raise ``ProviderUnavailable``. Called once, before the first call."""

    async def close(self) -> None:
        """Free everything; may be called twice."""


def may_be_asked_in_vain(agent: Agent) -> bool:
    """Whether ``agent`` says of itself, by an attribute of this name, that asking it does nothing but cost.

    Then it is asked while the user pauses, and what it says is thrown away if the user goes on. One that
    books tables, ends calls or says things by itself must not be.
    """
    return getattr(agent, "may_be_asked_in_vain", False) is True


class FunctionAgent:
    """An agent made of one async generator function."""

    grammar = None
    greeting = None

    def __init__(self, function: AgentFunction) -> None:
        self._function = function

    @property
    def name(self) -> str:
        """The function's own name, with its module."""
        return f"{self._function.__module__}:{getattr(self._function, '__qualname__', 'agent')}"

    def reply(self, request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
        """Call the function."""
        return self._function(request)

    async def start(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to free."""


def as_agent(agent: Agent | AgentFunction) -> Agent:
    """Return ``agent`` as an ``Agent``; a function is wrapped. Raises ``TypeError`` for anything else."""
    if isinstance(agent, Agent):
        return agent
    if callable(agent):
        return FunctionAgent(agent)
    raise TypeError(f"an agent is an async generator function or has reply(): {agent!r}")

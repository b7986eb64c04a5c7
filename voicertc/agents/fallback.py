"""Answering with a plan B: each reply by the first agent that begins one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ..core.replies import Usage
from ..errors import ProviderCrashed
from ..providers.base import WarmedMind
from ..providers.checks import said_mistake
from ..providers.plan_b.chain import Chain, ChainReport, Clock
from ..providers.plan_b.member import Member
from ..providers.plan_b.probes import ProbeOptions
from ..providers.plan_b.stream import with_plan_b
from .base import Agent, AgentPiece, AgentRequest, may_be_asked_in_vain

FIRST_TIMEOUT = 2.0
"""Seconds until a reply's first words or call: several times the usual; the rest of 3 s is the next one's."""


class FallbackAgent:
    """An agent made of several, best first. One object serves all calls.

    It is meant for agents that do nothing but answer: one that has run a tool of its own and is then too slow
    is cancelled, and the next one begins anew. What it understands and how it greets are the first one's.
    """

    def __init__(
        self,
        members: Sequence[Member[Agent]],
        *,
        first_timeout: float = FIRST_TIMEOUT,
        probes: ProbeOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.chain = Chain("llm", members, probes=probes, clock=clock)
        self._first_timeout = first_timeout

    @property
    def name(self) -> str:
        """The first one's name."""
        return self.chain.primary.name

    @property
    def grammar(self) -> str | None:
        """The first one's grammar."""
        return self.chain.primary.provider.grammar

    @property
    def greeting(self) -> str | None:
        """The first one's greeting."""
        return self.chain.primary.provider.greeting

    @property
    def may_be_asked_in_vain(self) -> bool:
        """Whether all of them may be."""
        return all(may_be_asked_in_vain(member.provider) for member in self.chain.members)

    async def start(self) -> None:
        """Start all; raise ``ProviderUnavailable`` if none can."""
        await self.chain.start()

    async def close(self) -> None:
        """Close all; may be called twice."""
        await self.chain.close()

    def warm(self) -> None:
        """Have the one ready that would be asked now."""
        agent: object = self.chain.current().provider
        if isinstance(agent, WarmedMind):
            agent.warm()

    def report(self) -> ChainReport:
        """Say how the agents fare."""
        return self.chain.report()

    def reply(self, request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
        """Answer; who fails before the first word, or the first call, is replaced by the next."""
        return with_plan_b(self.chain, lambda member: _answer(member, request), _begins, self._first_timeout)


async def _answer(member: Member[Agent], request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
    """Answer; an agent that yields what is no piece of an answer has failed."""
    async with aclosing(member.provider.reply(request)) as pieces:
        async for piece in pieces:
            if mistake := said_mistake(piece):
                raise ProviderCrashed(f"{member.name} {mistake}", provider=member.name)
            yield piece


def _begins(piece: AgentPiece) -> bool:
    """Whether the user, or the client, gets something of a piece: token counts are for the log."""
    return piece != "" and not isinstance(piece, Usage)

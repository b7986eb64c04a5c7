"""Agents that answer by a script of pieces, and views of what a session told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import TypeVar

from voicertc.agents.base import Agent, AgentPiece, AgentRequest, as_agent
from voicertc.core.facts import Fact

from .conftest import Stage

_F = TypeVar("_F", bound=Fact)


class PieceAgent:
    """Gives each request the next of ``answers``: pieces, and numbers for seconds of thought in between."""

    def __init__(self, *answers: Iterable[AgentPiece | float | Exception]) -> None:
        self._answers = iter(answers)
        self.requests: list[AgentRequest] = []

    @property
    def agent(self) -> Agent:
        """It as the session takes it; it may be asked in vain."""
        agent = as_agent(self._reply)
        agent.may_be_asked_in_vain = True  # type: ignore[attr-defined]
        return agent

    async def _reply(self, request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
        self.requests.append(request)
        for piece in next(self._answers):
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            else:
                yield piece


def facts_of(stage: Stage, kind: type[_F]) -> list[_F]:
    """What was told of one kind, in order."""
    return [fact for _, fact in stage.line.facts if isinstance(fact, kind)]

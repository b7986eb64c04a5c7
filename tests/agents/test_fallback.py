from __future__ import annotations

import asyncio
from typing import cast

import pytest

from voicertc.agents.base import Agent, AgentPiece, AgentRequest, AgentSession
from voicertc.agents.fallback import FallbackAgent
from voicertc.core.replies import CutShort, ToolCall, Usage
from voicertc.errors import ProviderCrashed, ProviderTimeout, ProviderUnavailable
from voicertc.providers.plan_b.member import Member
from voicertc.testing import virtual_time

from ..providers.plan_b.services import HANGS, Script, Service, bad_key, crash

CALL = ToolCall("look_up")
USAGE = Usage(3, 4)
REQUEST = AgentRequest((), cast(AgentSession, object()))
"""These agents look at nothing."""


def agent_of(*services: Service) -> FallbackAgent:
    return FallbackAgent([Member[Agent](service) for service in services])


async def answer(agent: Agent) -> list[AgentPiece]:
    return [piece async for piece in agent.reply(REQUEST)]


@pytest.mark.parametrize(
    ("script", "answered", "at"),
    [
        (("Hello", 3.0, " there.", USAGE), ["Hello", " there.", USAGE], 3.0),
        ((1.9, CALL, 3.0, USAGE), [CALL, USAGE], 4.9),
        ((CutShort("content_filter"), USAGE), [CutShort("content_filter"), USAGE], 0.0),
        ((USAGE, 0.1, "Hello"), [USAGE, "Hello"], 0.1),
        ((USAGE,), [USAGE], 0.0),
        ((), [], 0.0),
        ((crash(),), ["I am the other."], 0.0),
        ((bad_key(),), ["I am the other."], 0.0),
        ((USAGE, crash()), ["I am the other."], 0.0),
        (("", crash()), ["I am the other."], 0.0),
        ((USAGE, HANGS), ["I am the other."], 2.0),
        (("", 1.0, "", HANGS), ["I am the other."], 2.0),
        ((HANGS,), ["I am the other."], 2.0),
        ((None,), ["I am the other."], 0.0),
        ((42,), ["I am the other."], 0.0),
        (("", b"Hello"), ["I am the other."], 0.0),
        ((ToolCall("look_up", {"where": "here"}),), ["I am the other."], 0.0),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_words_and_calls_begin_an_answer_and_counts_do_not(
    script: Script, answered: list[AgentPiece], at: float
) -> None:
    async def main() -> None:
        first, second = Service("a", script), Service("b", ("I am the other.",))
        assert await answer(agent_of(first, second)) == answered
        assert asyncio.get_running_loop().time() == pytest.approx(at)
        assert (first.n_open, second.requests) == (
            0,
            [REQUEST] if answered[-1:] == ["I am the other."] else [],
        )

    virtual_time.run(main())


@pytest.mark.parametrize("said", ["Hello", CALL, CutShort("max_output_tokens")], ids=repr)
def test_what_was_begun_by_one_is_not_begun_again_by_another(said: AgentPiece) -> None:
    async def main() -> None:
        first, second = Service("a", (said, crash("a"))), Service("b", ("I am the other.",))
        agent = agent_of(first, second)
        pieces = agent.reply(REQUEST)
        assert await anext(pieces) == said
        with pytest.raises(ProviderCrashed, match="a broke"):
            await anext(pieces)
        assert (second.n_requests, agent.report().members[0].error) == (0, "a broke")

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("piece", "mistake"),
    [
        (None, "a yielded None; it yields text, ToolCall, CutShort or Usage"),
        (b"Hello", "a yielded bytes; it yields text, ToolCall, CutShort or Usage"),
        (Usage(None), "a yielded Usage.input_tokens as None, not int"),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_what_is_no_piece_of_an_answer_is_told_with_who_yielded_it(piece: object, mistake: str) -> None:
    async def main() -> None:
        agent = agent_of(Service("a", (0.1, piece)))
        with pytest.raises(ProviderCrashed) as caught:
            await answer(agent)
        assert (caught.value.message, caught.value.provider) == (mistake, "a")
        assert agent.report().members[0].error == mistake

    virtual_time.run(main())


def test_an_interrupted_answer_is_cancelled_and_nobodys_failure() -> None:
    async def main() -> None:
        first, second = Service("a", ("Hello", HANGS), (HANGS,)), Service("b", ("I am the other.",))
        agent = agent_of(first, second)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer(agent), 0.5)
        assert (first.n_open, second.n_requests, agent.report().members[0].state) == (0, 0, "closed")

    virtual_time.run(main())


def test_if_all_fail_the_first_ones_error_is_raised() -> None:
    async def main() -> None:
        with pytest.raises(ProviderTimeout, match="a gave nothing within 2 s"):
            await answer(agent_of(Service("a", (HANGS,)), Service("b", (crash("b"),))))

    virtual_time.run(main())


def test_it_introduces_itself_as_its_first_also_if_that_cannot_start() -> None:
    async def main() -> None:
        first, second = Service("a", start=bad_key("a")), Service("b", ("I am the other.",))
        first.grammar, first.greeting = "#JSGF V1.0;", "Good day."
        agent = agent_of(first, second)
        await agent.start()
        assert isinstance(agent, Agent)
        assert (agent.name, agent.grammar, agent.greeting) == ("a", "#JSGF V1.0;", "Good day.")
        assert (agent.report().stage, agent.report().current) == ("llm", "b")
        assert await answer(agent) == ["I am the other."]
        await agent.close()
        assert second.n_closed == 1

    virtual_time.run(main())


def test_without_any_that_can_start_there_is_no_agent() -> None:
    async def main() -> None:
        with pytest.raises(ProviderUnavailable, match="a refused the key"):
            await agent_of(Service("a", start=bad_key("a")), Service("b", start=bad_key("b"))).start()

    virtual_time.run(main())

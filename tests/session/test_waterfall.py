"""Where the time of an answered turn went, and what agents tell clients themselves."""

from __future__ import annotations

import pytest

from tests.session.conftest import Stage
from tests.session.scripts import PieceAgent, facts_of
from voicertc.core import events, facts
from voicertc.core.replies import Cause, ReplyRequest
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice

TICK = 0.02
"""Seconds between two frames: how exact a simulated call is."""


def stages(fact: facts.TurnMeasured) -> list[float]:
    return [
        fact.silence,
        fact.recognition,
        fact.first_text,
        fact.first_clause,
        fact.first_audio,
        fact.playout,
        fact.heard,
    ]


def test_the_stages_follow_one_another_and_add_up_to_the_whole() -> None:
    async def main() -> None:
        script = PieceAgent([0.3, "One", 0.4, " two."])
        stage = Stage(
            agent=script.agent,
            recognizer=FakeRecognizer(["hello"], delay=0.25),
            voice=FakeVoice(first_audio=0.1),
        )
        stage.line.says(1.0, lasts=1.2)
        await stage.line.run(until=8.0)
        (fact,) = facts_of(stage, facts.TurnMeasured)
        assert (fact.item_id, fact.reply_id) == ("item_u1", "resp_1")
        assert stages(fact) == pytest.approx([0.5, 0.25, 0.3, 0.4, 0.1, 0.0, 0.06], abs=TICK)
        audible = stage.line.audible[0][0]
        assert sum(stages(fact)) == pytest.approx(audible - 2.2 + 0.06, abs=TICK)
        await stage.session.close()

    virtual_time.run(main())


def test_a_clause_that_is_there_at_once_costs_no_time_of_its_own() -> None:
    async def main() -> None:
        stage = Stage(agent=PieceAgent(["Okay."]).agent, recognizer=FakeRecognizer(["hello"]))
        stage.line.says(1.0, lasts=1.2)
        await stage.line.run(until=8.0)
        (fact,) = facts_of(stage, facts.TurnMeasured)
        assert stages(fact) == pytest.approx([0.5, 0.15, 0.0, 0.0, 0.1, 0.0, 0.06], abs=TICK)
        assert sum(stages(fact)) == pytest.approx(stage.line.audible[0][0] - 2.2 + 0.06, abs=TICK)
        await stage.session.close()

    virtual_time.run(main())


def test_each_turn_is_measured_once_and_nothing_else_is() -> None:
    async def main() -> None:
        script = PieceAgent(["Okay."], ["Fine."], ["Sure."])
        stage = Stage(["one", "two"], agent=script.agent)
        stage.session.for_agent.say("Welcome.")
        stage.line.says(3.0, lasts=1.0)
        stage.line.says(8.0, lasts=1.0)
        await stage.line.run(until=13.0)
        stage.session.post(events.ResponseRequested(ReplyRequest(Cause.CLIENT)))
        await stage.line.run(until=16.0)
        measured = facts_of(stage, facts.TurnMeasured)
        assert [fact.item_id for fact in measured] == ["item_u1", "item_u2"]
        for fact, end in zip(measured, (4.0, 9.0), strict=True):
            heard = next(begin for begin, _ in stage.line.audible if begin > end)
            assert sum(stages(fact)) == pytest.approx(heard - end + 0.06, abs=TICK)
        await stage.session.close()

    virtual_time.run(main())


def test_who_goes_on_speaking_is_measured_from_the_last_word() -> None:
    async def main() -> None:
        script = PieceAgent([2.0, "Too late."], [0.2, "Okay."])
        stage = Stage(["what is the weather", "in paris"], agent=script.agent)
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(3.2, lasts=0.6)  # before the answer is heard
        await stage.line.run(until=9.0)
        (fact,) = facts_of(stage, facts.TurnMeasured)
        assert fact.item_id == "item_u2"
        assert stages(fact) == pytest.approx([0.5, 0.15, 0.2, 0.0, 0.1, 0.0, 0.06], abs=TICK)
        await stage.session.close()

    virtual_time.run(main())


def test_agents_tell_of_handoffs_and_of_tools_that_they_run_themselves() -> None:
    async def main() -> None:
        stage = Stage()
        told: list[facts.Fact] = []
        leave = stage.session.subscribe(told.append)
        stage.session.for_agent.handed_off("billing")
        stage.session.for_agent.tool_progressed("search", "started")
        stage.session.for_agent.tool_progressed("search", "progress", "page 2")
        leave()
        stage.session.for_agent.handed_off("sales")
        assert told == [
            facts.HandedOff("billing"),
            facts.ToolProgressed("search", "started", None),
            facts.ToolProgressed("search", "progress", "page 2"),
        ]
        await stage.session.close()

    virtual_time.run(main())

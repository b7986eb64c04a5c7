"""The cascade with functions that the client runs: order, refusals, and what a reply cost."""

from __future__ import annotations

import pytest

from tests.session.conftest import QUIET, Stage
from tests.session.scripts import PieceAgent, facts_of
from voicertc.core import events, facts
from voicertc.core.items import Item, Kind, Modality, Role, Status
from voicertc.core.options import SessionOptions, Tool, ToolChoice
from voicertc.core.replies import Cause, CutShort, Outcome, ReplyRequest, ToolCall, Usage
from voicertc.testing import virtual_time

WEATHER = Tool("weather", parameters='{"type": "object"}')
OFFERED = SessionOptions(tools=(WEATHER,))
CALL = ToolCall("weather", '{"city": "Paris"}')


def output(call_id: str, text: str) -> events.ItemSubmitted:
    return events.ItemSubmitted(Item("", Role.USER, text, Kind.FUNCTION_CALL_OUTPUT, call_id=call_id))


def shown(stage: Stage) -> list[str | None]:
    """The words, or the name that is called, of each item."""
    return [item.name or item.text for item in stage.session.items]


async def offering(stage: Stage, options: SessionOptions = OFFERED) -> Stage:
    stage.session.post(events.SessionUpdated(options))
    stage.line.says(1.0, lasts=1.0)
    return stage


def test_a_call_comes_behind_the_words_before_it_and_its_output_is_answered() -> None:
    async def main() -> None:
        script = PieceAgent(["One mo", "ment", CALL], [0.2, "It is 21 degrees."])
        stage = await offering(Stage(["how is the weather"], agent=script.agent))
        await stage.line.run(until=3.0)
        assert shown(stage) == ["how is the weather", "One moment", "weather"]
        assert stage.voice.texts == ["One moment"]
        stage.session.post(output("call_1", "21"))
        await stage.line.run(until=5.0)
        stage.session.post(events.ResponseRequested(ReplyRequest(Cause.CLIENT, tools=OFFERED.tools)))
        await stage.line.run(until=12.0)
        assert shown(stage)[3:] == ["21", "It is 21 degrees."]
        assert len(stage.line.audible) == 2
        first, second = script.requests
        assert (first.tools, first.tool_choice) == ((WEATHER,), ToolChoice())
        kinds = [item.kind for item in second.history]
        assert kinds == [Kind.MESSAGE, Kind.MESSAGE, Kind.FUNCTION_CALL, Kind.FUNCTION_CALL_OUTPUT]
        await stage.session.close()
        assert stage.is_clean

    virtual_time.run(main())


def test_a_call_alone_is_told_at_once_and_makes_no_sound() -> None:
    async def main() -> None:
        script = PieceAgent([0.2, CALL, Usage(20, 8, 16)])
        stage = await offering(Stage(["how is the weather"], agent=script.agent))
        await stage.line.run(until=6.0)
        # Speech ends at 2.0 s, silence 0.5, words 0.15, agent 0.2.
        assert stage.line.when(facts.ReplyEnded) == [2.85]
        ended = facts_of(stage, facts.ReplyEnded)[0]
        assert [item.arguments for item in ended.items] == [CALL.arguments]
        assert (ended.outcome, ended.usage) == (Outcome.COMPLETED, Usage(20, 8, 16))
        assert stage.line.audible == []
        assert stage.voice.texts == []
        await stage.session.close()

    virtual_time.run(main())


def test_words_on_both_sides_of_a_call_are_one_message_in_front_of_it() -> None:
    async def main() -> None:
        script = PieceAgent(["One moment.", CALL, " Here it is."])
        stage = await offering(Stage(["how is the weather"], agent=script.agent))
        await stage.line.run(until=8.0)
        assert shown(stage)[1:] == ["One moment. Here it is.", "weather"]
        await stage.session.close()

    virtual_time.run(main())


def test_a_written_reply_may_call_as_well() -> None:
    async def main() -> None:
        script = PieceAgent(["One moment.", CALL])
        stage = Stage(agent=script.agent)
        request = ReplyRequest(Cause.CLIENT, output=Modality.TEXT, tools=(WEATHER,))
        stage.session.post(events.ResponseRequested(request))
        await stage.line.run(until=2.0)
        assert shown(stage) == ["One moment.", "weather"]
        assert facts_of(stage, facts.ReplyEnded)[0].outcome is Outcome.COMPLETED
        await stage.session.close()

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("call", "options"),
    [
        (ToolCall("stocks", "{}"), OFFERED),
        (CALL, SessionOptions()),
        (CALL, SessionOptions(tools=(WEATHER,), tool_choice=ToolChoice("none"))),
        (ToolCall("weather", "Paris"), OFFERED),
        (ToolCall("weather", '["Paris"]'), OFFERED),
        (ToolCall("weather", ""), OFFERED),
    ],
)
def test_a_call_that_no_client_could_run_fails_and_is_apologized_for(
    call: ToolCall, options: SessionOptions
) -> None:
    async def main() -> None:
        stage = await offering(Stage(["how is the weather"], agent=PieceAgent([call]).agent), options)
        await stage.line.run(until=10.0)
        assert shown(stage) == ["how is the weather", QUIET.conversation.phrases.apology]
        ended = facts_of(stage, facts.ReplyEnded)[0]
        assert (ended.outcome, ended.reason, ended.items) == (Outcome.FAILED, "provider_error", ())
        await stage.session.close()

    virtual_time.run(main())


def test_who_speaks_while_a_call_is_on_its_way_cancels_the_agent() -> None:
    async def main() -> None:
        script = PieceAgent([5.0, CALL], ["Okay."])
        stage = await offering(Stage(["how is the weather", "never mind"], agent=script.agent))
        stage.line.says(3.5, lasts=0.5)
        await stage.line.run(until=12.0)
        assert shown(stage) == ["how is the weather", "never mind", "Okay."]
        await stage.session.close()
        assert stage.is_clean

    virtual_time.run(main())


# --- what it cost -------------------------------------------------------------------------------


def test_a_reply_that_was_cut_short_says_so_behind_its_last_word() -> None:
    async def main() -> None:
        script = PieceAgent(["Once upon a", CutShort("max_output_tokens"), Usage(20, 3)])
        stage = await offering(Stage(["a story"], agent=script.agent))
        await stage.line.run(until=8.0)
        ended = facts_of(stage, facts.ReplyEnded)[0]
        assert (ended.outcome, ended.reason, ended.usage) == (
            Outcome.INCOMPLETE,
            "max_output_tokens",
            Usage(20, 3),
        )
        assert [(item.text, item.status) for item in ended.items] == [("Once upon a", Status.INCOMPLETE)]
        assert script.requests[0].max_output_tokens is None
        await stage.session.close()

    virtual_time.run(main())


def test_the_account_adds_up_what_was_heard_voiced_and_thought() -> None:
    async def main() -> None:
        script = PieceAgent(["One two.", Usage(20, 3)], ["Three.", Usage(30, 2, 16)], [CALL])
        stage = await offering(Stage(["a", "b", "c"], agent=script.agent))
        stage.line.says(6.0, lasts=1.0)
        stage.line.says(11.0, lasts=1.0)
        await stage.line.run(until=18.0)
        accounts = facts_of(stage, facts.UsageAdded)
        heard = [account.heard_seconds for account in accounts]
        assert heard == [round(sum(stage.recognizer.turns[: n + 1]), 3) for n in range(3)]
        # 60 ms a character
        assert [(account.spoken_seconds, account.spoken_characters) for account in accounts] == [
            (0.48, 8),
            (0.84, 14),
            (0.84, 14),
        ]
        assert [account.tokens for account in accounts] == [
            Usage(20, 3),
            Usage(50, 5, 16),
            Usage(50, 5, 16),
        ]
        await stage.session.close()

    virtual_time.run(main())


def test_a_reply_that_took_several_requests_costs_their_sum_and_each_service_its_own() -> None:
    async def main() -> None:
        script = PieceAgent([Usage(20, 3, provider="one"), "One two.", Usage(30, 2, provider="two")])
        stage = await offering(Stage(["a"], agent=script.agent))
        await stage.line.run(until=6.0)
        (ended,) = facts_of(stage, facts.ReplyEnded)
        assert ended.usage == Usage(50, 5, provider="one")
        (account,) = facts_of(stage, facts.UsageAdded)
        assert account.tokens == Usage(50, 5)
        counted = [(service.provider, service.tokens.input_tokens) for service in account.services]
        assert counted == [("one", 20), ("two", 30)]
        await stage.session.close()

    virtual_time.run(main())


def test_the_log_has_the_account_once_however_often_a_session_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        script = PieceAgent(["One two.", Usage(20, 3, provider="mind")])
        stage = await offering(Stage(["a"], agent=script.agent))
        await stage.line.run(until=6.0)
        await stage.session.close()
        await stage.session.close()

    with caplog.at_level("INFO"):
        virtual_time.run(main())
    told = [record.getMessage() for record in caplog.records]
    assert [told.count(name) for name in ("reply_used", "session_used", "service_used")] == [1, 1, 1]


def test_what_was_voiced_of_an_interrupted_reply_counts_whether_or_not_it_was_heard() -> None:
    async def main() -> None:
        script = PieceAgent(["One two three four five six seven eight nine ten."], ["Okay."])
        stage = await offering(Stage(["count", "stop"], agent=script.agent))
        stage.line.says(3.5, lasts=1.0)
        await stage.line.run(until=4.5)
        account = facts_of(stage, facts.UsageAdded)[0]
        assert account.spoken_characters == 49
        assert account.spoken_seconds > stage.line.audible[0][1] - stage.line.audible[0][0]
        await stage.session.close()

    virtual_time.run(main())

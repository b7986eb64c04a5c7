"""Responses outside the conversation, made by real engines beside a reply that is heard."""

from __future__ import annotations

import pytest

from tests.session.conftest import Stage
from tests.session.scripts import PieceAgent, facts_of
from voicertc.audio.pcm import Samples
from voicertc.core import events, facts
from voicertc.core.items import Item, Modality, Role
from voicertc.core.replies import Cause, Outcome, ReplyRequest
from voicertc.testing import virtual_time
from voicertc.testing.fakes import voiced

STORY = "Once upon a time there was a server."
TAG = events.ResponseRequested(ReplyRequest(Cause.CLIENT, output=Modality.TEXT, is_aside=True))
HINT = events.ResponseRequested(ReplyRequest(Cause.CLIENT, is_aside=True))
ASKED = events.ResponseRequested(ReplyRequest(Cause.CLIENT))


def test_a_written_aside_is_made_beside_a_spoken_reply_and_touches_nothing_of_it() -> None:
    async def main() -> None:
        script = PieceAgent([STORY], [0.3, "Topic: ", 0.3, "fairy tales."])
        stage = Stage(["tell me a story"], agent=script.agent)
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=3.2)
        stage.session.post(TAG)
        await stage.line.run(until=10.0)
        assert stage.line.history == [("user", "tell me a story"), ("assistant", STORY)]
        grown = [fact for fact in facts_of(stage, facts.ReplyTextGrew) if fact.reply_id == "resp_2"]
        assert "".join(fact.text for fact in grown) == "Topic: fairy tales."
        heard = [samples for _, samples in stage.line.heard]
        assert sum(map(len, heard)) >= len(voiced(STORY))
        assert len(stage.line.audible) == 1  # not a gap in it
        ended = {fact.reply_id: fact for fact in facts_of(stage, facts.ReplyEnded)}
        assert ended["resp_2"].outcome is ended["resp_1"].outcome is Outcome.COMPLETED
        await stage.session.close()
        assert stage.is_clean

    virtual_time.run(main())


def test_cancelling_an_aside_stops_its_agent_and_not_the_voice() -> None:
    async def main() -> None:
        script = PieceAgent([STORY], ["Topic: ", 60.0])
        stage = Stage(["tell me a story"], agent=script.agent)
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=3.2)
        stage.session.post(TAG)
        await stage.line.run(until=3.5)
        stage.session.post(events.ResponseCancelRequested("resp_2"))
        await stage.line.run(until=10.0)
        assert stage.line.history[-1] == ("assistant", STORY)
        ended = [fact for fact in facts_of(stage, facts.ReplyEnded) if fact.reply_id == "resp_2"]
        assert [(fact.outcome, fact.items[0].text) for fact in ended] == [(Outcome.CANCELLED, "Topic: ")]
        assert len(stage.line.audible) == 1
        await stage.session.close()

    virtual_time.run(main())


def test_a_response_to_its_own_input_is_given_that_instead_of_the_history() -> None:
    async def main() -> None:
        script = PieceAgent(["Yes."])
        stage = Stage(agent=script.agent)
        stage.session.post(events.ItemSubmitted(Item("mine", Role.USER, "hello")))
        question = Item("", Role.USER, "Is it so?")
        stage.session.post(events.ResponseRequested(ReplyRequest(Cause.CLIENT, input=(question,))))
        await stage.line.run(until=3.0)
        assert script.requests[0].history == (question,)
        assert stage.line.history == [("user", "hello"), ("assistant", "Yes.")]
        await stage.session.close()

    virtual_time.run(main())


@pytest.mark.parametrize("second", [ASKED, HINT])
def test_a_client_that_paces_itself_hears_one_behind_the_other_and_never_two_at_once(
    second: events.ResponseRequested,
) -> None:
    async def main() -> None:
        handed: list[tuple[str, int]] = []

        def take(reply_id: str, samples: Samples) -> None:
            handed.append((reply_id, len(samples)))

        script = PieceAgent(["One two three."], ["Four five."])
        stage = Stage(agent=script.agent, sink=take)
        await stage.line.run(until=0.5)
        stage.session.post(HINT)
        await stage.line.run(until=0.54)
        stage.session.post(second)  # asked for while the first is still made
        await stage.line.run(until=10.0)
        assert not stage.session.ended.is_set()
        order = [reply_id for reply_id, _ in handed]
        assert order == sorted(order)
        assert set(order) == {"resp_1", "resp_2"}
        assert [fact.reply_id for fact in facts_of(stage, facts.PlayoutStopped)] == ["resp_1", "resp_2"]
        await stage.session.close()
        assert stage.is_clean

    virtual_time.run(main())

"""What agents and engines should not have yielded, and what the caller hears then."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from tests.providers.plan_b.services import Ear, Hears, Service
from tests.session.conftest import QUIET, Stage
from tests.session.scripts import facts_of
from voicertc.agents.base import Agent, AgentRequest, as_agent
from voicertc.agents.fallback import FallbackAgent
from voicertc.core import facts
from voicertc.core.items import Modality
from voicertc.core.options import SessionOptions
from voicertc.core.replies import Outcome, Usage
from voicertc.providers.base import Final, SpeechChunk, SpeechToText, TextToSpeech
from voicertc.providers.plan_b.member import Member
from voicertc.providers.plan_b.stt import FallbackSpeechToText
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.session.setup import SessionSetup
from voicertc.testing import virtual_time

APOLOGY = QUIET.conversation.phrases.apology
WRITTEN = SessionSetup(QUIET.conversation, SessionOptions(output=Modality.TEXT))


def agent_of(*pieces: Any) -> Agent:
    async def agent(request: AgentRequest) -> AsyncGenerator[Any, None]:
        for piece in pieces:
            yield piece

    return as_agent(agent)


async def one_turn(**parts: Any) -> Stage:
    """The user says something at 1.0 s, and is listened to until 12 s."""
    stage = Stage(["hello"], **parts)
    stage.line.says(1.0, lasts=1.0)
    await stage.line.run(until=12.0)
    await stage.session.close()
    return stage


@pytest.mark.parametrize(
    ("setup", "answered"),
    [(QUIET, ["Well.", APOLOGY]), (WRITTEN, ["Well. "])],
    ids=["spoken", "written"],  # a written reply's end tells its client
)
@pytest.mark.parametrize(
    ("piece", "told"), [(None, "None"), (42, "42 (int)"), (b"Hello.", "bytes")], ids=repr
)
def test_an_agent_that_yields_what_is_no_answer_is_apologized_for_and_told_so(
    piece: object, told: str, setup: SessionSetup, answered: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        stage = await one_turn(agent=agent_of("Well. ", piece, "Never."), setup=setup)
        assert [text for role, text in stage.line.history if role == "assistant"] == answered
        assert facts_of(stage, facts.ReplyEnded)[0].outcome is Outcome.FAILED

    virtual_time.run(main())
    (record,) = (record for record in caplog.records if record.message == "agent_crashed")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == (
        f"{__name__}:agent_of.<locals>.agent yielded {told}; it yields text, ToolCall, CutShort or Usage"
    )


@pytest.mark.parametrize("pieces", [(), ("", " "), (Usage(3, 0),)], ids=repr)
def test_an_agent_that_yields_nothing_is_silent_and_the_log_says_that_it_was(
    pieces: tuple[object, ...], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        stage = await one_turn(agent=agent_of(*pieces))
        assert not [text for role, text in stage.line.history if role == "assistant" and text.strip()]
        (ended,) = facts_of(stage, facts.ReplyEnded)
        (record,) = (record for record in caplog.records if record.message == "agent_said_nothing")
        assert record.levelname == "INFO"
        assert record.voicertc_fields == {  # type: ignore[attr-defined]  # see logs.event
            "reply": ended.reply_id,
            "agent": f"{__name__}:agent_of.<locals>.agent",
        }

    with caplog.at_level("INFO", logger="voicertc"):
        virtual_time.run(main())


def test_wrong_pieces_of_the_first_engines_are_made_good_by_the_next() -> None:
    async def main() -> None:
        ears = Ear("e1", (Hears(), Final(None))), Ear("e2", (Hears(), Final("hello")))  # type: ignore[arg-type]
        minds = Service("m1", (None,)), Service("m2", ("Good day.",))
        float_sound = SpeechChunk(np.zeros(480, np.float32))  # type: ignore[arg-type]
        mouths = Service("v1", (float_sound,)), Service("v2", (SpeechChunk(np.ones(4_800, np.int16)),))
        stage = await one_turn(
            recognizer=FallbackSpeechToText([Member[SpeechToText](each) for each in ears]),
            agent=FallbackAgent([Member[Agent](each) for each in minds]),
            voice=FallbackTextToSpeech([Member[TextToSpeech](each) for each in mouths]),
        )
        assert stage.line.history == [("user", "hello"), ("assistant", "Good day.")]

    virtual_time.run(main())

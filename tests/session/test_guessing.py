"""A session that prepares an answer while its user pauses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace

import numpy as np
import pytest

from voicertc.agents.base import AgentRequest, as_agent
from voicertc.audio.pcm import HEARING_FRAME, HEARING_RATE_HZ, PcmFrame, Samples
from voicertc.core import facts
from voicertc.core.options import (
    ConversationOptions,
    EndpointingOptions,
    Phrases,
    SessionOptions,
    TurnDetection,
)
from voicertc.core.replies import Usage
from voicertc.providers.base import EndOfTurn, Final, HeardPiece, RecognitionRequest
from voicertc.session.setup import SessionSetup
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, ScriptedAgent

from .conftest import Stage
from .scripts import PieceAgent, facts_of

EAGER = EndpointingOptions(eager_silence=0.15)
SETUP = SessionSetup(
    conversation=ConversationOptions(phrases=Phrases(greeting=None, waiting=None), endpointing=EAGER)
)
TICK = 0.02


def run(main: Callable[[], object]) -> None:
    virtual_time.run(main())  # type: ignore[arg-type]


def test_the_answer_is_ready_when_the_turn_is_over() -> None:
    async def main() -> None:
        stage = Stage(
            recognizer=FakeRecognizer(["hello"], delay=0.2),
            agent=PieceAgent([0.25, "It is three."]).agent,
            voice=FakeVoice(first_audio=0.1),
            setup=SETUP,
        )
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=8.0)
        begin = stage.line.audible[0][0]
        assert begin == pytest.approx(2.0 + 0.15 + 0.2 + 0.25 + 0.1, abs=2 * TICK)
        assert stage.line.history == [("user", "hello"), ("assistant", "It is three.")]
        measured = facts_of(stage, facts.TurnMeasured)[0]
        assert measured.silence == pytest.approx(0.5, abs=TICK)
        assert measured.recognition == pytest.approx(0.0, abs=TICK)  # it was over by then
        stages = (measured.first_text, measured.first_clause, measured.first_audio, measured.playout)
        assert 0.5 + sum(stages) == pytest.approx(begin - 2.0, abs=2 * TICK)
        assert stage.is_clean
        await stage.session.close()

    run(main)


def test_who_goes_on_is_recognized_in_one_piece_and_answered_once() -> None:
    async def main() -> None:
        recognizer = FakeRecognizer(["tell me", "tell me a story"], delay=0.1)
        agent = PieceAgent([0.3, "Wrong."], [0.1, "Once upon a time."])
        stage = Stage(recognizer=recognizer, agent=agent.agent, setup=SETUP)
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(2.4, lasts=1.0)
        await stage.line.run(until=10.0)
        assert stage.line.history == [("user", "tell me a story"), ("assistant", "Once upon a time.")]
        first, second = recognizer.turns
        assert second == pytest.approx(first + 1.4, abs=0.1)  # from its beginning, the pause included
        assert [request.user_text for request in agent.requests] == ["tell me", "tell me a story"]
        assert len(facts_of(stage, facts.ReplyBegan)) == 1
        assert "Wrong." not in stage.voice.texts
        assert stage.is_clean
        await stage.session.close()

    run(main)


def test_words_with_times_lie_where_they_were_said() -> None:
    async def main() -> None:
        stage = Stage([Final("hello")], agent=PieceAgent(["Fine."]).agent, setup=SETUP)
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=5.0)
        heard = facts_of(stage, facts.FinalHeard)[0]
        assert (heard.start, heard.end) == (pytest.approx(1.0, abs=0.05), pytest.approx(2.0, abs=0.05))
        await stage.session.close()

    run(main)


def test_a_recognizer_that_is_slower_than_the_silence_is_not_asked_twice() -> None:
    async def main() -> None:
        recognizer = FakeRecognizer(["hello"], delay=1.0)
        stage = Stage(recognizer=recognizer, agent=PieceAgent(["Fine."]).agent, setup=SETUP)
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=8.0)
        assert len(recognizer.turns) == 1
        assert stage.line.history[-1] == ("assistant", "Fine.")
        # It began 0.35 s earlier all the same.
        assert stage.line.audible[0][0] == pytest.approx(2.0 + 0.15 + 1.0 + 0.1, abs=2 * TICK)
        await stage.session.close()

    run(main)


def test_a_recognizer_that_failed_in_the_pause_is_apologized_for_at_the_end() -> None:
    async def main() -> None:
        stage = Stage([RuntimeError("no")], setup=SETUP)
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=8.0)
        assert stage.line.history[-1] == ("assistant", Phrases().apology)
        await stage.session.close()

    run(main)


def test_nothing_is_left_of_a_guess_when_the_caller_hangs_up() -> None:
    async def main() -> None:
        stage = Stage(["hello"], agent=PieceAgent([5.0, "Fine."]).agent, setup=SETUP)
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=2.4)
        await stage.session.close()
        assert stage.is_clean

    run(main)


def test_a_patient_operator_has_nothing_begun_before_the_end() -> None:
    async def main() -> None:
        patient = replace(SETUP.conversation, endpointing=EndpointingOptions())
        recognizer = FakeRecognizer(["tell me a story"])
        stage = Stage(recognizer=recognizer, setup=replace(SETUP, conversation=patient))
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(2.4, lasts=1.0)
        await stage.line.run(until=8.0)
        assert len(recognizer.turns) == 1
        await stage.session.close()

    run(main)


def test_an_agent_of_ones_own_is_asked_when_the_turn_is_over_and_not_before() -> None:
    async def main() -> None:
        asked: list[str] = []

        async def books(request: AgentRequest) -> AsyncGenerator[str, None]:
            asked.append(request.user_text)
            request.session.say("I have booked a table.")
            yield "Fine."

        recognizer = FakeRecognizer(["a table", "a table for two"], delay=0.05)
        stage = Stage(recognizer=recognizer, agent=as_agent(books), setup=SETUP)
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(2.4, lasts=1.0)
        await stage.line.run(until=12.0)
        assert asked == ["a table for two"]
        said = [text for role, text in stage.line.history if role == "assistant"]
        assert said == ["Fine.", "I have booked a table."]
        await stage.session.close()

    run(main)


def test_a_recognizers_end_of_turn_on_our_own_guess_is_no_news() -> None:
    class Sure(FakeRecognizer):
        async def recognize(
            self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
        ) -> AsyncGenerator[HeardPiece, None]:
            async for piece in super().recognize(audio, request):
                if isinstance(piece, Final):
                    yield EndOfTurn()
                yield piece

    async def main() -> None:
        detection = SessionOptions(turn_detection=TurnDetection(silence=1.0))
        stage = Stage(recognizer=Sure(["a", "a b"]), setup=replace(SETUP, session=detection))
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(2.7, lasts=1.0)
        await stage.line.run(until=8.0)
        assert [text for role, text in stage.line.history if role == "user"] == ["a b"]
        await stage.session.close()

    run(main)


def test_a_turn_keeps_its_beginning_however_long_the_pause() -> None:
    async def main() -> None:
        detection = SessionOptions(turn_detection=TurnDetection(silence=15.0))
        recognizer = FakeRecognizer(["a", "a b"])
        stage = Stage(recognizer=recognizer, setup=replace(SETUP, session=detection))
        stage.line.says(1.0, lasts=5.0)
        stage.line.says(17.0, lasts=1.0)
        await stage.line.run(until=40.0)
        assert recognizer.turns[-1] > 6.0
        assert len([role for role, _ in stage.line.history if role == "user"]) == 1
        await stage.session.close()

    run(main)


def test_what_was_asked_in_vain_is_counted_all_the_same() -> None:
    async def main() -> None:
        agent = PieceAgent(["Wrong.", Usage(100, 7)], ["Fine.", Usage(100, 3)])
        recognizer = FakeRecognizer(["a", "a b"], delay=0.05)
        stage = Stage(recognizer=recognizer, agent=agent.agent, setup=SETUP)
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(2.4, lasts=1.0)
        await stage.line.run(until=8.0)
        assert [account.tokens for account in facts_of(stage, facts.UsageAdded)] == [Usage(200, 10)]
        await stage.session.close()

    run(main)


def spoken(seconds: float, silence: float) -> Samples:
    """Sound as a client appends it: ``(n,)`` int16 mono at 16 kHz."""
    loud = np.resize(np.array([8_000, -8_000], np.int16), round(seconds * HEARING_RATE_HZ))
    return np.concatenate([loud, np.zeros(round(silence * HEARING_RATE_HZ), np.int16)])


@pytest.mark.parametrize("at_once", [False, True])
def test_a_client_that_plays_for_itself_is_answered_the_moment_its_turn_is_over(at_once: bool) -> None:
    async def main() -> None:
        loop, handed = asyncio.get_running_loop(), []
        agent = ScriptedAgent(lambda text: f"You said {text}.", delay=0.1)
        stage = Stage(
            recognizer=FakeRecognizer(["hello"], delay=0.05),
            agent=agent,
            voice=FakeVoice(first_audio=0.05),
            setup=SETUP,
            sink=lambda *_: handed.append(loop.time()),
        )
        sound = spoken(1.0, 1.0)
        if at_once:
            await stage.session.append(sound)
        else:
            for begin in range(0, len(sound), HEARING_FRAME):
                await asyncio.sleep(TICK)
                await stage.session.append(sound[begin : begin + HEARING_FRAME])
        await asyncio.sleep(2.0)
        # In a file the pause is over at once, so there was nothing to prepare in it.
        due = 0.05 + 0.1 + 0.05 if at_once else 1.0 + 0.5
        assert handed[0] == pytest.approx(due, abs=2 * TICK)
        assert len(agent.requests) == 1
        assert stage.line.history == [("user", "hello"), ("assistant", "You said hello.")]
        await stage.session.close()

    run(main)

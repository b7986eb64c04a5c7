"""A session whose services take their time, or give up: what the caller hears meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import numpy as np
import pytest

from voicertc.core import facts
from voicertc.core.options import ConversationOptions, Phrases, SessionOptions
from voicertc.core.replies import Outcome
from voicertc.providers.base import SpeechChunk, VoiceRequest
from voicertc.providers.phrasebook import Phrasebook
from voicertc.session.cascade import voice_beforehand
from voicertc.session.setup import SessionSetup
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, voiced

from .conftest import Stage
from .scripts import PieceAgent, facts_of

SETUP = SessionSetup(conversation=ConversationOptions(phrases=Phrases(greeting=None)))
PHRASES = Phrases(greeting=None)
WAITING = PHRASES.waiting or ""
SILENT = 1e6


async def asked(stage: Stage, *, until: float) -> Stage:
    """Ask one thing, from 1.0 to 2.0; the turn is decided at 2.5."""
    stage.line.says(1.0, lasts=1.0)
    await stage.line.run(until=until)
    return stage


def run(main: Callable[[], object]) -> None:
    virtual_time.run(main())  # type: ignore[arg-type]


def test_a_filler_and_the_answer_are_one_reply() -> None:
    async def main() -> None:
        stage = await asked(
            Stage(["hello"], agent=PieceAgent([4.0, "It is three."]).agent, setup=SETUP), until=12.0
        )
        assert stage.line.history == [("user", "hello"), ("assistant", f"{WAITING} It is three.")]
        assert len(facts_of(stage, facts.ReplyBegan)) == 1
        (begin, _), *_ = stage.line.audible
        assert 2.5 < begin <= 5.5
        measured = facts_of(stage, facts.TurnMeasured)[0]
        assert measured.first_text == pytest.approx(4.0, abs=0.05)  # the answer's, not the filler's
        await stage.session.close()

    run(main)


@pytest.mark.parametrize(
    ("words", "thought", "bridged"), [(3.0, 0.2, [True, True]), (0.2, 4.0, [True, False])]
)
def test_the_waterfall_tells_of_the_filler_whoever_was_waited_for(
    words: float, thought: float, bridged: list[bool]
) -> None:
    async def main() -> None:
        agent = PieceAgent([thought, "It is three."], [0.2, "Good."]).agent
        recognizer = FakeRecognizer(["hello", "thanks"], delay=words)
        stage = Stage(recognizer=recognizer, agent=agent, setup=SETUP)
        stage.line.says(12.0, lasts=1.0)
        await asked(stage, until=20.0)
        measured = facts_of(stage, facts.TurnMeasured)
        assert [turn.is_bridged for turn in measured] == bridged
        await stage.session.close()

    run(main)


def test_an_answer_that_comes_while_the_filler_is_said_follows_it_at_once() -> None:
    async def main() -> None:
        stage = await asked(
            Stage(["hello"], agent=PieceAgent([2.4, "It is three."]).agent, setup=SETUP), until=12.0
        )
        assert stage.line.history[-1] == ("assistant", f"{WAITING} It is three.")
        assert len(stage.line.audible) == 1  # without a hole in between
        await stage.session.close()

    run(main)


def test_a_hole_in_the_middle_of_a_reply_is_bridged() -> None:
    async def main() -> None:
        stage = await asked(
            Stage(["hello"], agent=PieceAgent(["Let me see.", 8.0, " It is three."]).agent, setup=SETUP),
            until=20.0,
        )
        assert stage.line.history[-1] == ("assistant", f"Let me see. {WAITING} It is three.")
        states = [fact.state.value for fact in facts_of(stage, facts.StateChanged)]
        assert states[-5:] == ["thinking", "speaking", "thinking", "speaking", "listening"]
        await stage.session.close()

    run(main)


def test_an_agent_that_fails_behind_a_filler_is_apologized_for() -> None:
    async def main() -> None:
        stage = await asked(
            Stage(["hello"], agent=PieceAgent([4.0, RuntimeError("no")]).agent, setup=SETUP), until=14.0
        )
        assert stage.line.history[1:] == [("assistant", f"{WAITING} "), ("assistant", Phrases().apology)]
        assert [fact.outcome for fact in facts_of(stage, facts.ReplyEnded)] == [
            Outcome.FAILED,
            Outcome.COMPLETED,
        ]
        await stage.session.close()

    run(main)


def test_an_agent_that_never_answers_ends_in_an_apology_and_the_next_turn_is_answered() -> None:
    async def main() -> None:
        stage = Stage(["hello", "again"], agent=PieceAgent([SILENT], ["Fine."]).agent, setup=SETUP)
        stage.line.says(20.0, lasts=1.0)
        await asked(stage, until=30.0)
        said = [text for role, text in stage.line.history if role == "assistant"]
        assert said[-2:] == [Phrases().apology, "Fine."]
        await stage.session.close()

    run(main)


def test_words_that_never_come_end_in_an_apology() -> None:
    async def main() -> None:
        stage = await asked(
            Stage(recognizer=FakeRecognizer(["hello"], delay=SILENT), setup=SETUP), until=14.0
        )
        assert [text for _, text in stage.line.history[1:]] == [WAITING, Phrases().apology]
        await stage.session.close()

    run(main)


class MutedVoice(FakeVoice):
    """Speaks its first clause and never another."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        if self.texts:
            self.texts.append(text)
            await asyncio.Event().wait()
        async for chunk in super().synthesize(text, request):
            yield chunk


def test_a_voice_that_never_speaks_again_is_bridged_from_the_phrasebook() -> None:
    async def main() -> None:
        phrasebook = Phrasebook()
        voice = FakeVoice()
        await voice_beforehand((WAITING, Phrases().apology), voice, VoiceRequest(), phrasebook)
        muted = MutedVoice()
        stage = Stage(
            ["hello"],
            agent=PieceAgent(["Well then.", " It is three."]).agent,
            voice=muted,
            setup=SETUP,
            phrasebook=phrasebook,
        )
        await asked(stage, until=30.0)
        assert stage.line.history[1] == ("assistant", f"Well then. {WAITING}")
        assert stage.line.history[-1] == ("assistant", Phrases().apology)
        await stage.session.close()

    run(main)


def test_the_next_clause_is_voiced_while_the_first_plays() -> None:
    async def main() -> None:
        first = "Once upon a time there was a server that answered the phone all day long."
        voice = FakeVoice(first_audio=1.5)
        stage = Stage(["go on"], agent=PieceAgent([f"{first} The end."]).agent, voice=voice, setup=SETUP)
        await asked(stage, until=14.0)
        assert voice.texts == [first, "The end."]
        assert len(stage.line.audible) == 1
        await stage.session.close()

    run(main)


def test_a_short_clause_is_voiced_once_where_a_book_is_kept() -> None:
    async def main() -> None:
        voice = FakeVoice()
        stage = Stage(
            ["a", "b"],
            agent=PieceAgent(["Okay."], ["Okay."]).agent,
            voice=voice,
            setup=SETUP,
            clauses=Phrasebook(),
        )
        stage.line.says(5.0, lasts=1.0)
        await asked(stage, until=9.0)
        assert [text for role, text in stage.line.history if role == "assistant"] == ["Okay.", "Okay."]
        assert voice.texts == ["Okay."]
        await stage.session.close()

    run(main)


def test_what_an_agent_said_before_it_failed_is_spoken_and_kept() -> None:
    async def main() -> None:
        agent = PieceAgent(["It is", RuntimeError("no")]).agent
        stage = await asked(Stage(["hello"], agent=agent, setup=SETUP), until=10.0)
        assert stage.line.history[1:] == [("assistant", "It is"), ("assistant", Phrases().apology)]
        await stage.session.close()

    run(main)


class SteadyVoice(FakeVoice):
    """Makes a tenth of a second of sound in half the time."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        async for chunk in super().synthesize(text, request):
            yield chunk
            await asyncio.sleep(0.05)


def test_a_filler_and_a_clause_do_not_get_into_one_another() -> None:
    async def main() -> None:
        agent = PieceAgent([2.3, "It is three o'clock."]).agent
        stage = Stage(["hello"], agent=agent, voice=SteadyVoice(), setup=SETUP)
        await asked(stage, until=12.0)
        assert stage.line.history[-1] == ("assistant", f"{WAITING} It is three o'clock.")
        heard = np.concatenate([block for _, block in stage.line.heard])
        said = np.concatenate([voiced(WAITING), voiced("It is three o'clock.")])
        assert np.array_equal(heard[heard != 0], said)  # with a pause in between
        await stage.session.close()

    run(main)


class SilentVoice(FakeVoice):
    """Makes no sound of anything."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        self.texts.append(text)
        for nothing in ():
            yield nothing


def test_a_voice_without_sound_is_a_failure_and_apologized_for_in_another() -> None:
    async def main() -> None:
        phrasebook = Phrasebook()
        await voice_beforehand(PHRASES.all(), FakeVoice(), VoiceRequest(), phrasebook)
        agent = PieceAgent(["Fine."]).agent
        stage = Stage(["hello"], agent=agent, voice=SilentVoice(), setup=SETUP, phrasebook=phrasebook)
        await asked(stage, until=10.0)
        assert stage.line.history[1:] == [("assistant", Phrases().apology)]
        assert facts_of(stage, facts.ReplyEnded)[0].outcome is Outcome.FAILED
        await stage.session.close()

    run(main)


class HungVoice(FakeVoice):
    """Never says anything."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        self.texts.append(text)
        await asyncio.Event().wait()
        yield SpeechChunk(voiced(text))


def test_a_hung_voice_that_a_client_chose_is_stood_in_for_by_the_one_that_spoke_before() -> None:
    async def main() -> None:
        phrasebook = Phrasebook()
        await voice_beforehand(PHRASES.all(), FakeVoice(), VoiceRequest(), phrasebook)
        setup = replace(SETUP, session=SessionOptions(voice="marin"))
        agent = PieceAgent(["Fine."]).agent
        stage = Stage(["hello"], agent=agent, voice=HungVoice(), setup=setup, phrasebook=phrasebook)
        await asked(stage, until=25.0)
        begin, _ = stage.line.audible[0]
        assert begin - 2.5 <= 3.1
        assert stage.line.history[-1] == ("assistant", Phrases().apology)
        await stage.session.close()

    run(main)


def test_a_filler_of_two_sentences_is_cut_where_it_was_interrupted() -> None:
    async def main() -> None:
        phrases = Phrases(greeting=None, waiting="One moment, please. I am looking it up for you.")
        setup = replace(SETUP, conversation=ConversationOptions(phrases=phrases))
        stage = Stage(["hello", "never mind"], agent=PieceAgent([SILENT], ["Fine."]).agent, setup=setup)
        stage.line.says(6.6, lasts=1.5)
        await asked(stage, until=12.0)
        cut = stage.line.history[1][1]
        assert (phrases.waiting or "").startswith(cut)
        assert len(cut) > len("One moment, please.")
        assert (phrases.waiting or "")[len(cut)] == " "  # at a word's end
        await stage.session.close()

    run(main)

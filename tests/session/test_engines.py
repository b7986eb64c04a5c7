"""Who hears and who answers, on a virtual clock with port fakes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest

from tests.session.conftest import QUIET
from voicertc.audio.pcm import HEARING_RATE_HZ, Samples
from voicertc.core import events, facts
from voicertc.core.agenda import plain_request
from voicertc.core.events import Origin
from voicertc.core.facts import Fact
from voicertc.core.items import Kind
from voicertc.core.options import SessionOptions, Tool
from voicertc.core.replies import Cause, Outcome, ToolCall
from voicertc.errors import ProviderCrashed, ProviderError, ProviderUnavailable, TurnUnheard
from voicertc.session.session import Session
from voicertc.session.setup import Services, SessionSetup
from voicertc.testing import virtual_time
from voicertc.testing.fake_speech import FakeDialogue, FakeSpeechToSpeech, Said
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector, ScriptedAgent
from voicertc.testing.line import Line

NAME = "fake-speech"
STORY = "Once upon a time there was a server. It answered the phone all day long. Then it slept."
OPTIONS = SessionOptions(engine=NAME)
ORIGIN = Origin("peer")
CRASH = ProviderCrashed("It broke.", provider=NAME)
WITH_PHRASES = replace(
    QUIET,
    conversation=replace(
        QUIET.conversation, phrases=replace(QUIET.conversation.phrases, waiting="One moment.")
    ),
)

_F = TypeVar("_F", bound=Fact)


class Room:
    """A session that has a speech-to-speech service beside its cascade."""

    def __init__(
        self,
        answers: Iterable[Sequence[Said]] = (["Well, hello."],),
        turns: Iterable[str | Exception] = ("good morning",),
        *,
        options: SessionOptions = OPTIONS,
        setup: SessionSetup = QUIET,
        heard: Iterable[str | Exception] = ("one", "two"),
        delay: float = 0.2,
        words_delay: float = 0.5,
        sink: Callable[[str, Samples], None] | None = None,
    ) -> None:
        self.service = FakeSpeechToSpeech(turns, answers, delay=delay, words_delay=words_delay)
        self.agent = ScriptedAgent(lambda text: f"You said {text}.")
        self.recognizer = FakeRecognizer(heard)
        services = Services(
            self.recognizer, self.agent, FakeVoice(), LoudnessDetector(), speech={NAME: self.service}
        )
        self.session = Session(
            services,
            replace(setup, session=options),
            session_id="sess_test",
            id_prefix="",
            sink=sink,
        )
        self.line = Line(self.session)

    @property
    def dialogue(self) -> FakeDialogue:
        return self.service.dialogues[-1]

    def of(self, kind: type[_F]) -> list[_F]:
        return [fact for _, fact in self.line.facts if isinstance(fact, kind)]

    def choose(self, engine: str) -> None:
        options = replace(self.session.options, engine=engine)
        self.session.post(events.SessionUpdated(options, ORIGIN))


def play(scene: Callable[[], Awaitable[Room]]) -> Room:
    """Run a scene to its end; nothing may be left of it."""

    async def main() -> Room:
        room = await scene()
        await room.session.close()
        assert all(dialogue.is_closed and not dialogue.n_open for dialogue in room.service.dialogues)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return room

    return virtual_time.run(main())


def test_a_turn_is_answered_as_soon_as_it_ends_and_its_words_come_later() -> None:
    async def scene() -> Room:
        room = Room(words_delay=1.0)
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        # speech ends at 2.0, silence 0.5, the service 0.2, the next frame
        assert room.line.audible[0][0] == pytest.approx(2.72, abs=0.03)
        assert room.line.when(facts.FinalHeard)[0] > room.line.audible[0][0]
        assert room.line.history == [("user", "good morning"), ("assistant", "Well, hello.")]
        assert room.recognizer.requests == []
        assert room.agent.requests == []
        _, history = room.dialogue.asked[0]
        assert history[-1].is_unheard_speech
        assert room.dialogue.items == [("resp_1", "item_r1")]
        (ended,) = room.of(facts.ReplyEnded)
        assert ended.usage is not None
        assert (ended.usage.output_audio_tokens, ended.usage.provider) == (20, NAME)
        return room

    play(scene)


def test_a_barge_in_tells_the_service_how_much_was_heard() -> None:
    async def scene() -> Room:
        room = Room([[STORY], ["All right."]], ["a story", "stop it"])
        room.line.says(1.0, lasts=1.0)
        room.line.says(4.5, lasts=1.0)
        await room.line.run(until=12.0)
        (truncated,) = room.of(facts.ItemTruncated)
        assert room.dialogue.cuts == [("item_r1", round(truncated.audio_end_ms / 1000, 2))]
        assert truncated.audio_end_ms / 60 - 14 <= len(truncated.text) <= truncated.audio_end_ms / 60
        assert room.line.history[1:] == [
            ("assistant", truncated.text),
            ("user", "stop it"),
            ("assistant", "All right."),
        ]
        return room

    play(scene)


def test_a_client_that_plays_at_its_own_pace_says_how_much_it_played() -> None:
    async def scene() -> Room:
        played: list[Samples] = []
        room = Room([[STORY]], sink=lambda reply_id, samples: played.append(samples))
        loud = np.resize(np.array([8_000, -8_000], np.int16), HEARING_RATE_HZ)
        await room.session.append(np.concatenate([loud, np.zeros_like(loud)]))
        await asyncio.sleep(3.0)
        assert room.line.history == [("user", "good morning"), ("assistant", STORY)]
        assert sum(map(len, played)) == len(STORY) * 1_440
        room.session.post(events.ItemTruncateRequested("item_r1", 1_500, ORIGIN))
        assert room.dialogue.cuts == [("item_r1", 1.5)]
        assert room.line.history[1] == ("assistant", "Once upon a time there")
        return room

    play(scene)


def test_a_filler_is_the_cascades_and_is_not_counted_as_heard_of_the_answer() -> None:
    async def scene() -> Room:
        room = Room([[STORY], ["All right."]], ["a story", "stop it"], setup=WITH_PHRASES, delay=3.6)
        room.line.says(1.0, lasts=1.0)
        room.line.says(9.0, lasts=1.0)
        await room.line.run(until=18.0)
        truncated = room.of(facts.ItemTruncated)[0]
        assert truncated.text.startswith("One moment. Once")
        filler = len("One moment.") * 0.06
        item_id, heard = room.dialogue.cuts[0]
        assert item_id == "item_r1"
        assert heard == pytest.approx(truncated.audio_end_ms / 1000 - filler, abs=0.03)  # whole packets
        return room

    play(scene)


def test_given_text_is_spoken_by_the_cascade() -> None:
    async def scene() -> Room:
        room = Room()
        room.session.post(events.SayRequested("Good evening."))
        await room.line.run(until=3.0)
        assert room.line.history == [("assistant", "Good evening.")]
        assert room.dialogue.asked == []
        return room

    play(scene)


@pytest.mark.parametrize("words_delay", [0.2, 1.0])
def test_a_failed_answer_is_the_cascades_as_soon_as_the_words_are_known(words_delay: float) -> None:
    async def scene() -> Room:
        room = Room([[CRASH], ["Here I am."]], words_delay=words_delay)
        room.line.says(1.0, lasts=1.0)
        room.line.says(8.0, lasts=1.0)
        await room.line.run(until=14.0)
        morning = ("user", "good morning")
        said = [("assistant", "You said good morning."), ("assistant", "Here I am.")]
        assert room.line.history == [morning, said[0], morning, said[1]]
        assert room.of(facts.ReplyEnded)[0].outcome is Outcome.COMPLETED
        assert room.session.options.engine == NAME
        return room

    play(scene)


def test_a_turn_that_the_service_has_not_heard_is_heard_and_answered_by_the_cascade() -> None:
    async def scene() -> Room:
        room = Room([[CRASH], ["Here I am."]], [CRASH, "good evening"])
        room.line.says(1.0, lasts=1.0)
        room.line.says(8.0, lasts=1.0)
        await room.line.run(until=14.0)
        assert room.line.history == [
            ("user", "one"),
            ("assistant", "You said one."),
            ("user", "good evening"),
            ("assistant", "Here I am."),
        ]
        assert room.recognizer.turns == [pytest.approx(1.5, abs=0.1)]  # from its beginning
        return room

    play(scene)


def test_words_that_the_service_does_not_find_are_the_recognizers() -> None:
    async def scene() -> Room:
        room = Room(turns=[CRASH])
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        assert room.line.history == [("user", "one"), ("assistant", "Well, hello.")]
        assert room.session.options.engine == NAME
        return room

    play(scene)


def test_a_turn_that_nobody_has_heard_is_apologized_for() -> None:
    async def scene() -> Room:
        room = Room([[CRASH], ["Here I am."]], [CRASH, "good evening"], heard=[CRASH])
        room.line.says(1.0, lasts=1.0)
        room.line.says(8.0, lasts=1.0)
        await room.line.run(until=14.0)
        assert room.line.history == [
            ("user", ""),
            ("assistant", QUIET.conversation.phrases.apology),
            ("user", "good evening"),
            ("assistant", "Here I am."),
        ]
        return room

    play(scene)


def test_a_noise_that_the_service_could_not_answer_is_no_question_to_the_agent() -> None:
    async def scene() -> Room:
        room = Room([[CRASH]], [""])
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        assert room.agent.requests == []
        assert room.line.history == [("user", ""), ("assistant", QUIET.conversation.phrases.apology)]
        return room

    play(scene)


def test_a_turn_of_any_length_is_kept_from_its_beginning() -> None:
    async def scene() -> Room:
        endpointing = replace(QUIET.conversation.endpointing, max_turn=60.0)
        setup = replace(QUIET, conversation=replace(QUIET.conversation, endpointing=endpointing))
        room = Room(turns=[CRASH], setup=setup)
        room.line.says(1.0, lasts=40.0)
        await room.line.run(until=46.0)
        assert room.recognizer.turns == [pytest.approx(40.5, abs=0.2)]
        return room

    play(scene)


def test_what_follows_from_one_failure_is_not_another() -> None:
    async def scene() -> Room:
        room = Room(
            [[TurnUnheard("It has not heard the turn.", provider=NAME)], ["Here I am."]], [CRASH, "two"]
        )
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=1.5)
        room.dialogue.fail(ProviderCrashed("It lost the connection.", provider=NAME))
        await room.line.run(until=8.0)
        assert room.session.options.engine == NAME
        assert room.line.history == [("user", "one"), ("assistant", "You said one.")]
        return room

    play(scene)


def test_two_failures_in_a_row_bring_the_cascade_for_good(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> Room:
        crashes: list[Sequence[Said]] = [[ProviderCrashed("It broke.", provider=NAME)] for _ in range(2)]
        room = Room(crashes, words_delay=1.0)
        room.line.says(1.0, lasts=1.0)
        room.line.says(8.0, lasts=1.0)
        room.line.says(16.0, lasts=1.0)
        await room.line.run(until=24.0)
        assert room.session.options.engine == "cascade"
        assert room.of(facts.SessionChanged) == [facts.SessionChanged(replace(OPTIONS, engine="cascade"))]
        assert room.line.history[-2:] == [("user", "one"), ("assistant", "You said one.")]
        assert room.dialogue.is_closed
        return room

    play(scene)
    assert [record.message for record in caplog.records if "engine_replaced" in record.message]


def test_a_success_in_between_makes_up_for_a_failure() -> None:
    async def scene() -> Room:
        crash = ProviderCrashed("It broke.", provider=NAME)
        room = Room(
            [[crash], ["Well."], [ProviderCrashed("Again.", provider=NAME)], ["Well."]], words_delay=1.0
        )
        for turn in range(4):
            room.line.says(1.0 + 8.0 * turn, lasts=1.0)
        await room.line.run(until=34.0)
        assert room.session.options.engine == NAME
        assert room.line.history[-1] == ("assistant", "Well.")
        return room

    play(scene)


@pytest.mark.parametrize(
    ("errors", "engine"),
    [
        ([ProviderUnavailable("A wrong key.", provider=NAME, fix="Set it.")], "cascade"),
        ([CRASH], NAME),
        ([CRASH, CRASH], NAME),  # the same one, told by the line and by whoever waited for it
        ([CRASH, ProviderCrashed("Again.", provider=NAME)], "cascade"),
    ],
)
def test_a_service_that_cannot_be_reached_is_replaced(errors: list[ProviderError], engine: str) -> None:
    async def scene() -> Room:
        room = Room()
        for error in errors:
            room.dialogue.fail(error)
        assert room.session.options.engine == engine
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        said = "You said one." if engine == "cascade" else "Well, hello."
        assert room.line.history[-1] == ("assistant", said)
        return room

    play(scene)


def test_the_client_chooses_until_the_conversation_has_begun() -> None:
    async def scene() -> Room:
        room = Room(options=SessionOptions())
        assert room.service.dialogues == []
        room.choose(NAME)
        room.choose("cascade")
        room.choose(NAME)
        assert len(room.service.dialogues) == 2
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        assert room.line.history[-1] == ("assistant", "Well, hello.")
        room.choose("cascade")
        (refused,) = room.of(facts.Refused)
        assert (refused.code, refused.param, refused.origin) == (
            "engine_fixed",
            "session.voicertc.engine",
            ORIGIN,
        )
        assert room.session.options.engine == NAME
        return room

    play(scene)


def test_the_rest_of_an_update_holds_whose_engine_cannot_be() -> None:
    async def scene() -> Room:
        room = Room()
        options = replace(room.session.options, engine="siri", instructions="Be brief.")
        room.session.post(events.SessionUpdated(options, ORIGIN))
        (refused,) = room.of(facts.Refused)
        assert refused.message == "session.voicertc.engine must be one of cascade, fake-speech."
        assert room.session.options == replace(OPTIONS, instructions="Be brief.")
        return room

    play(scene)


def test_an_unknown_engine_at_the_beginning_is_the_cascade() -> None:
    async def scene() -> Room:
        room = Room(options=SessionOptions(engine="siri"))
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        assert room.session.options.engine == "cascade"
        assert room.line.history[-1] == ("assistant", "You said one.")
        return room

    play(scene)


def test_a_session_that_only_transcribes_is_heard_by_the_recognizer() -> None:
    async def scene() -> Room:
        room = Room(options=replace(OPTIONS, is_transcription=True))
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        assert room.line.history == [("user", "one")]
        assert room.service.dialogues == []
        return room

    play(scene)


def test_a_tool_that_was_not_offered_is_never_called() -> None:
    async def scene() -> Room:
        tool = Tool("get_weather")
        answers: list[Sequence[Said]] = [
            ["Let me look.", ToolCall("get_weather")],
            ["Let me look.", ToolCall("get_rich")],
        ]
        room = Room(answers, options=replace(OPTIONS, tools=(tool,)))
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        assert [item.name for item in room.session.items if item.kind is Kind.FUNCTION_CALL] == [
            "get_weather"
        ]
        assert room.dialogue.items == [("resp_1", "item_r1"), ("resp_1", "item_f1")]
        room.session.post(events.ResponseRequested(plain_request(room.session.options, Cause.CLIENT)))
        await room.line.run(until=14.0)
        assert len([item for item in room.session.items if item.kind is Kind.FUNCTION_CALL]) == 1
        assert room.of(facts.ReplyEnded)[1].outcome is Outcome.FAILED
        return room

    play(scene)


def test_an_answer_of_nothing_is_a_failure() -> None:
    async def scene() -> Room:
        room = Room([[]], words_delay=1.0)
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=6.0)
        assert room.line.history[-1] == ("assistant", "You said good morning.")
        return room

    play(scene)


def test_an_answer_that_stops_coming_is_given_up_with_what_was_heard() -> None:
    async def scene() -> Room:
        room = Room([["Once upon a time.", 60.0, " There was."]])
        room.line.says(1.0, lasts=1.0)
        await room.line.run(until=12.0)
        assert room.line.history[1:] == [
            ("assistant", "Once upon a time."),
            ("assistant", QUIET.conversation.phrases.apology),
        ]
        return room

    play(scene)


def test_an_answer_that_never_begins_is_the_cascades_after_four_seconds() -> None:
    async def scene() -> Room:
        room = Room([[60.0], ["Here I am."]])
        room.line.says(1.0, lasts=1.0)
        room.line.says(10.0, lasts=1.0)
        await room.line.run(until=16.0)
        assert room.line.history[1] == ("assistant", "You said good morning.")
        # speech ends at 2.0, silence 0.5, patience from the service's first 0.2 s on, agent 0.2, voice 0.1
        assert room.line.audible[0][0] == pytest.approx(2.0 + 0.5 + 4.0 + 0.3, abs=0.05)
        assert room.line.history[-1] == ("assistant", "Here I am.")
        return room

    play(scene)

"""Sessions in rare circumstances: services that misbehave, sound that stops, our own bugs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from tests.session.conftest import QUIET, Stage
from voicertc.agents.base import AgentRequest, as_agent
from voicertc.audio.pcm import HEARING_FRAME, PcmFrame
from voicertc.core import commands, events, facts
from voicertc.core.conversation import Conversation
from voicertc.core.events import Event
from voicertc.core.facts import Fact
from voicertc.core.items import Item, Modality, Role, Status
from voicertc.core.journal import replay
from voicertc.core.options import SessionOptions, TurnDetection
from voicertc.core.replies import Cause, Outcome, ReplyRequest
from voicertc.errors import ProviderCrashed
from voicertc.providers.base import (
    Final,
    HeardPiece,
    RecognitionRequest,
    SpeechChunk,
    VoiceRequest,
    WordMark,
)
from voicertc.session import recorder as recorder_module
from voicertc.session.driver import Driver
from voicertc.session.hearing import Hearing
from voicertc.session.recorder import Recorder
from voicertc.session.session import Session
from voicertc.session.tasks import Tasks
from voicertc.session.usage_count import UsageCount
from voicertc.testing import virtual_time
from voicertc.testing.fakes import (
    FakeRecognizer,
    FakeVoice,
    LoudnessDetector,
    ScriptedAgent,
    voiced,
    word_starts,
)

STORY = "Once upon a time there was a server. It answered the phone all day long. Then it slept."
LONG = "Once upon a time there was a very old server that answered the phone all day and all night long."


_F = TypeVar("_F", bound=Fact)


def facts_of(stage: Stage, kind: type[_F]) -> list[_F]:
    return [fact for _, fact in stage.line.facts if isinstance(fact, kind)]


class SlowVoice(FakeVoice):
    """Takes 180 ms for a character, three times as long as ``FakeVoice``, and says where its words are."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        for chunk in [chunk async for chunk in super().synthesize(text, request)]:
            marks = tuple(WordMark(3 * mark.sample, mark.text_start) for mark in chunk.marks)
            yield SpeechChunk(np.repeat(chunk.samples, 3), marks)


# --- services that misbehave --------------------------------------------------------------------


def test_a_written_reply_that_stalls_is_given_up() -> None:
    async def main() -> None:
        async def stalls(request: AgentRequest) -> AsyncGenerator[str, None]:
            yield "Well"
            if len(request.history) == 1:
                await asyncio.Event().wait()

        stage = Stage(agent=as_agent(stalls))
        written = events.ResponseRequested(ReplyRequest(Cause.CLIENT, output=Modality.TEXT))
        stage.session.post(events.ItemSubmitted(Item("mine", Role.USER, "hello")))
        stage.session.post(written)
        await stage.line.run(until=35.0)
        assert [fact.outcome for fact in facts_of(stage, facts.ReplyEnded)] == [Outcome.FAILED]
        assert stage.session.items[-1].status is Status.INCOMPLETE
        stage.session.post(written)
        await stage.line.run(until=40.0)
        assert stage.session.items[-1].status is Status.COMPLETED
        await stage.session.close()

    virtual_time.run(main())


def test_a_voice_that_breaks_within_a_clause_leaves_no_words_that_were_not_said() -> None:
    async def main() -> None:
        class Breaks(FakeVoice):
            async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
                n_chunks = 0
                async for chunk in super().synthesize(text, request):
                    yield chunk
                    n_chunks += 1
                    if n_chunks == 10 and text == LONG:  # a second of it
                        raise ProviderCrashed("gone", provider="fake")

        stage = Stage(["story"], lambda _: LONG, voice=Breaks())
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=15.0)
        # 16 characters were made: the words that had ended by then
        assert stage.line.history[1:] == [
            ("assistant", "Once upon a"),
            ("assistant", QUIET.conversation.phrases.apology),
        ]
        await stage.session.close()

    virtual_time.run(main())


def test_what_was_heard_of_a_clause_in_the_making_follows_the_voices_marks() -> None:
    async def main() -> None:
        stage = Stage(
            ["tell me", "stop"], lambda text: "Okay." if "stop" in text else LONG, voice=SlowVoice()
        )
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(6.0, lasts=0.8)
        await stage.line.run(until=14.0)
        begin, end = stage.line.audible[0]
        (cut,) = facts_of(stage, facts.ItemTruncated)
        assert cut.audio_end_ms / 1000 == pytest.approx(end - begin, abs=0.02)
        words = [start for start in word_starts(LONG) if start * 180 <= cut.audio_end_ms]
        assert stage.line.history[1] == ("assistant", LONG[: words[-1]].rstrip())
        await stage.session.close()

    virtual_time.run(main())


def test_a_service_that_will_not_be_cancelled_does_not_keep_the_call() -> None:
    async def main() -> None:
        async def stubborn(request: AgentRequest) -> AsyncGenerator[str, None]:
            while True:
                try:
                    await asyncio.sleep(100.0)
                except asyncio.CancelledError:
                    await asyncio.sleep(20.0)
                yield "Never."

        stage = Stage(["hello"], agent=as_agent(stubborn))
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=4.0)
        began = asyncio.get_running_loop().time()
        await stage.session.close()
        assert asyncio.get_running_loop().time() - began <= 3.0
        await asyncio.sleep(60.0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    virtual_time.run(main())


def test_a_voice_that_dies_slowly_does_not_make_its_successor_unstoppable() -> None:
    async def main() -> None:
        class Dying(FakeVoice):
            async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
                try:
                    async for chunk in super().synthesize(text, request):
                        yield chunk
                        await asyncio.sleep(0.05)
                except asyncio.CancelledError as error:
                    await asyncio.sleep(4.0)
                    raise ProviderCrashed("at last", provider="fake") from error

        agent = ScriptedAgent(lambda text: "Okay." if "three" in text else LONG + " " + STORY)
        stage = Stage(["one", "two", "three"], agent=agent, voice=Dying())
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(3.5, lasts=0.8)  # cancels the first reply, whose voice takes 4 s to give up
        stage.line.says(8.5, lasts=0.8)  # cancels the second
        await stage.line.run(until=30.0)
        assert stage.line.history[-1] == ("assistant", "Okay.")
        # Nobody went on with a reply that was cancelled; the second was a clause ahead by then.
        assert stage.voice.texts == [LONG, LONG, "Once upon a time there was a server.", "Okay."]
        await stage.session.close()

    virtual_time.run(main())


def test_a_recognizer_that_will_not_be_cancelled_is_not_listened_to() -> None:
    async def main() -> None:
        class Stubborn(FakeRecognizer):
            async def recognize(
                self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
            ) -> AsyncGenerator[HeardPiece, None]:
                try:
                    await asyncio.sleep(10.0)
                except asyncio.CancelledError:
                    yield Final("what nobody wants to know")

        posted: list[Event] = []
        tasks = Tasks("test")
        loop = asyncio.get_running_loop()
        hearing = Hearing(
            activity=LoudnessDetector().attend(),
            recognizer=Stubborn([]),
            request=RecognitionRequest,
            usage=UsageCount(),
            post=posted.append,
            clock=loop.time,
            tasks=tasks,
        )
        hearing.open_turn("item_u1", 0.0)
        await asyncio.sleep(1.0)
        hearing.drop_turn("item_u1")
        await asyncio.sleep(1.0)
        assert posted == []
        await tasks.close()

    virtual_time.run(main())


def test_words_that_come_while_the_user_still_speaks_are_kept() -> None:
    async def main() -> None:
        class Hasty(FakeRecognizer):
            async def recognize(
                self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
            ) -> AsyncGenerator[HeardPiece, None]:
                async for _ in audio:
                    break
                yield Final("hello")

        stage = Stage(recognizer=Hasty([]))
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=6.0)
        assert stage.line.history == [("user", "hello"), ("assistant", "You said hello.")]
        await stage.session.close()

    virtual_time.run(main())


# --- sound --------------------------------------------------------------------------------------


def test_speech_whose_sound_stops_coming_is_over() -> None:
    async def main() -> None:
        stage = Stage(["hello", "again"])
        stage.line.says(1.0, lasts=60.0)
        await stage.line.run(until=3.0)
        await asyncio.sleep(4.0)  # no frame comes: a client that sends nothing while it is muted
        assert stage.line.history[0] == ("user", "hello")
        assert 3.9 <= stage.line.when(facts.TurnCommitted)[0] <= 4.2
        await stage.session.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(main())


def test_speech_that_went_on_behind_a_stall_is_heard() -> None:
    async def main() -> None:
        stage = Stage(["hello", "again"])
        stage.line.says(1.0, lasts=5.0)
        await stage.line.run(until=3.0)
        await asyncio.sleep(1.8)  # then all that was held up comes at once
        await stage.line.run(until=12.0)
        assert [text for role, text in stage.line.history if role == "user"] == ["hello", "again"]
        assert stage.line.history[-1] == ("assistant", "You said hello again.")
        await stage.session.close()

    virtual_time.run(main())


def test_a_deadline_counts_from_when_the_sound_was_made_not_from_when_it_came() -> None:
    async def main() -> None:
        stage = Stage(["hello"])
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=1.8)
        await asyncio.sleep(0.4)  # the last 0.2 s of speech are held up on the way
        await stage.line.run(until=6.0)
        assert stage.line.when(facts.TurnStopped) == [2.5]  # 0.5 s of silence behind 2.0
        stopped = facts_of(stage, facts.TurnStopped)
        assert [round(fact.at, 2) for fact in stopped] == [2.0]
        await stage.session.close()

    virtual_time.run(main())


def test_push_to_talk_hears_who_speaks_already_when_the_button_goes_down() -> None:
    async def main() -> None:
        stage = Stage(["chatter", "what time is it"])
        stage.session.post(events.SessionUpdated(SessionOptions(turn_detection=None)))
        stage.line.says(1.0, lasts=3.0)
        await stage.line.run(until=2.0)
        stage.session.post(events.InputClearRequested())
        await stage.line.run(until=4.5)
        stage.session.post(events.InputCommitRequested())
        stage.session.post(events.ResponseRequested(ReplyRequest(Cause.CLIENT)))
        await stage.line.run(until=9.0)
        assert stage.line.history == [("user", "what time is it"), ("assistant", "You said what time is it.")]
        assert 2.0 <= stage.recognizer.turns[0] <= 2.25  # what was said from 2.0 to 4.0, and 0.2 s of tail
        await stage.session.close()

    virtual_time.run(main())


def test_a_commit_does_not_cut_off_the_syllable_that_is_on_its_way() -> None:
    async def main() -> None:
        stage = Stage(["what time is it"], hearing_delay=0.08)
        stage.session.post(events.SessionUpdated(SessionOptions(turn_detection=None)))
        stage.line.says(1.08, lasts=1.0)  # said at 1.0, held by the buffer for 80 ms
        await stage.line.run(until=2.0)
        stage.session.post(events.InputCommitRequested())
        await stage.line.run(until=6.0)
        assert stage.recognizer.turns == [1.3]  # the pre-roll, and the whole second
        assert stage.line.history == [("user", "what time is it")]
        await stage.session.close()

    virtual_time.run(main())


def test_a_monologue_loses_nothing_where_its_pieces_meet() -> None:
    async def main() -> None:
        endpointing = replace(QUIET.conversation.endpointing, max_turn=2.0)
        setup = replace(QUIET, conversation=replace(QUIET.conversation, endpointing=endpointing))
        stage = Stage(["one", "two", "three"], setup=setup, hearing_delay=0.08)
        stage.line.says(1.0, lasts=5.0)
        await stage.line.run(until=12.0)
        # 0.3 s of pre-roll, 5 s of speech and 0.2 s of tail, in three pieces
        assert sum(stage.recognizer.turns) == pytest.approx(5.5, abs=0.03)
        assert stage.line.history[-1] == ("assistant", "You said one two three.")
        await stage.session.close()

    virtual_time.run(main())


def test_two_turns_in_quick_succession_share_no_sound() -> None:
    async def main() -> None:
        hasty = SessionOptions(turn_detection=TurnDetection(silence=0.12, prefix_padding=1.0))
        stage = Stage(["one", "two"])
        stage.session.post(events.SessionUpdated(hasty))
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(2.3, lasts=1.0)
        await stage.line.run(until=8.0)
        first, second = stage.recognizer.first_frames
        assert round(first.start, 2) == 0.0
        assert second.start >= 2.0 - 0.02
        await stage.session.close()

    virtual_time.run(main())


def test_a_reply_made_for_a_client_that_is_away_is_heard_from_its_beginning_when_it_is_back() -> None:
    async def main() -> None:
        stage = Stage(["hello"])
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=2.8)  # the agent is thinking
        stage.session.post(events.ClientAway())
        await stage.line.run(until=6.0)
        assert stage.line.audible == []
        stage.session.post(events.ClientBack())
        await stage.line.run(until=10.0)
        assert stage.line.audible[0][0] == pytest.approx(6.0, abs=0.021)
        heard = np.concatenate([samples for _, samples in stage.line.heard])
        # After the 10 ms of its fading in it is the whole reply, nothing lost.
        assert np.array_equal(np.trim_zeros(heard, "b")[240:], voiced("You said hello.")[240:])
        await stage.session.close()

    virtual_time.run(main())


# --- order --------------------------------------------------------------------------------------


def test_nothing_is_handled_before_it_is_known_what_was_heard() -> None:
    async def main() -> None:
        stage = Stage(["tell me a story", "stop"], lambda text: STORY if "story" in text else "Okay.")

        def interfere(fact: Fact) -> None:
            if isinstance(fact, facts.TurnStarted) and fact.item_id == "item_u2":
                stage.session.post(events.ItemSubmitted(Item("mine", Role.SYSTEM, "Be brief.")))

        stage.session.subscribe(interfere)
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(5.0, lasts=0.8)
        await stage.line.run(until=12.0)
        told = [type(fact) for _, fact in stage.line.facts]
        added = next(
            number
            for number, (_, fact) in enumerate(stage.line.facts)
            if isinstance(fact, facts.ItemAdded) and fact.item.id == "mine"
        )
        assert told.index(facts.PlayoutCleared) < added
        await stage.session.close()

    virtual_time.run(main())


def test_what_was_heard_is_handled_before_what_waits() -> None:
    async def main() -> None:
        conversation = Conversation(QUIET.conversation)
        recorder = Recorder(conversation, version="0", session_id="s", id_prefix="", directory=None)
        seen: list[Event] = []
        orders: dict[type[Event], list[commands.Command]] = {
            events.TimeElapsed: [commands.HoldReply("r"), commands.CancelReply("r")]
        }

        def handle(event: Event, now: float) -> list[commands.Command]:
            seen.append(event)
            return orders.get(type(event), [])

        conversation.handle = handle  # type: ignore[method-assign]

        def execute(command: commands.Command) -> None:
            if isinstance(command, commands.HoldReply):
                driver.post(events.PlayoutDrained("r"))
            else:
                driver.post_first(events.ReplyStopped("r", 0))

        driver = Driver(conversation, recorder=recorder, execute=execute, on_crash=lambda: None)
        driver.post(events.TimeElapsed())
        assert seen[1:] == [events.ReplyStopped("r", 0), events.PlayoutDrained("r")]
        driver.close()

    virtual_time.run(main())


def test_a_session_that_is_closed_while_it_speaks_tells_its_end_last() -> None:
    async def main() -> None:
        stage = Stage(["story"], lambda _: STORY)
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=4.0)
        await stage.session.close()
        assert isinstance(stage.line.facts[-1][1], facts.CallEnding)
        assert stage.line.when(facts.PlayoutCleared) == [4.0]

    virtual_time.run(main())


@pytest.mark.parametrize("began", [0.1, 0.7, 1234.567, 98_765.4321])
def test_a_timer_is_not_early_by_a_rounding_error(began: float) -> None:
    async def main() -> None:
        await asyncio.sleep(began)
        stage = Stage(["hello"])
        stage.line.says(1.0, lasts=1.013)
        async with asyncio.timeout(30.0):
            await stage.line.run(until=8.0)
        assert stage.line.history[-1] == ("assistant", "You said hello.")
        await stage.session.close()

    virtual_time.run(main())


# --- our own bugs -------------------------------------------------------------------------------


def test_a_bug_while_the_last_words_of_a_reply_play_is_apologized_for_as_well() -> None:
    async def main() -> None:
        stage = Stage(["hello"], lambda _: "Yes, of course.")

        def bug(_: object, __: float) -> list[object]:
            raise AssertionError("a bug in the core")

        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=3.4)
        assert stage.line.audible  # made to its end, and playing
        stage.session._conversation.handle = bug  # type: ignore[method-assign,assignment]
        stage.session.for_agent.say("whatever")
        await stage.line.run(until=20.0)
        assert stage.voice.texts[1:] == ["Sorry, something went wrong.", "Please try again."]
        assert stage.line.audible[-1][1] > 5.5
        assert stage.session.ended.is_set()
        await stage.session.close()

    virtual_time.run(main())


def test_a_wire_with_a_bug_ends_the_call_and_the_others_are_told() -> None:
    async def main() -> None:
        stage = Stage(["hello"])
        told: list[Fact] = []

        def broken(fact: Fact) -> None:
            raise RuntimeError("a bug in a wire")

        await stage.line.run(until=0.5)
        stage.session.subscribe(broken)
        stage.session.subscribe(told.append)
        stage.session.for_agent.say("Hello.")
        for _ in range(50):
            stage.session.post(events.ItemSubmitted(Item("", Role.USER, "x")))
        assert len(stage.session._driver._queue) == 0
        await stage.line.run(until=20.0)
        assert stage.session.ended.is_set()
        assert told[-1] == facts.CallEnding("failed")
        await stage.session.close()

    virtual_time.run(main())


def test_a_journal_whose_disk_hangs_is_given_up_before_memory_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(recorder_module, "_MAX_UNWRITTEN", 100)
    monkeypatch.setattr(recorder_module, "_append", lambda path, lines: release.wait())

    async def main() -> None:
        conversation = Conversation(QUIET.conversation)
        recorder = Recorder(conversation, version="0", session_id="s", id_prefix="", directory=tmp_path)
        n_handed_over = 0
        submit = recorder_module.ThreadPoolExecutor.submit

        def count(executor, function, *args):  # type: ignore[no-untyped-def]
            nonlocal n_handed_over
            n_handed_over += 1
            return submit(executor, function, *args)

        monkeypatch.setattr(recorder_module.ThreadPoolExecutor, "submit", count)
        for _ in range(400):
            recorder.record(0.0, events.TimeElapsed(), [])
            await asyncio.sleep(0.5)
        assert n_handed_over == 1
        recorder.close()
        assert n_handed_over == 1  # abandoned
        release.set()

    virtual_time.run(main())


def test_a_session_is_told_of_nothing_once_it_is_closed() -> None:
    async def main() -> None:
        stage = Stage()
        session: Session = stage.session
        await stage.line.run(until=0.5)
        await session.close()
        n_told = len(stage.line.facts)
        session.hear(PcmFrame(np.full(HEARING_FRAME, 9_000, np.int16), 9_600))
        session.post(events.SayRequested("Too late."))
        session.for_agent.end_call()
        assert len(stage.line.facts) == n_told

    virtual_time.run(main())


def test_half_a_surrogate_pair_does_not_cost_the_journal(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(setup=replace(QUIET, journal_dir=tmp_path))
        await stage.line.run(until=0.5)
        stage.session.post(events.ItemSubmitted(Item("mine", Role.USER, "half \ud83d a pair")))
        await stage.line.run(until=1.0)
        await stage.session.close()

    virtual_time.run(main())
    for thread in threading.enumerate():
        if thread.name.startswith("sess_test/journal"):
            thread.join(10.0)
    lines = (tmp_path / "sess_test.jsonl").read_text(encoding="utf-8").splitlines()
    report = replay(lines)
    assert report.differences == ()
    assert report.items[0].text == "half \ud83d a pair"

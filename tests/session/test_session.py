"""A whole session on a virtual clock: sound in, sound out, fakes for the services."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.session.conftest import QUIET, Stage
from voicertc.agents.base import AgentRequest
from voicertc.core import events, facts
from voicertc.core.items import Item, Modality, Role
from voicertc.core.journal import replay
from voicertc.core.options import SessionOptions
from voicertc.core.replies import Cause, ReplyRequest
from voicertc.errors import ProviderBusy
from voicertc.providers.base import Final
from voicertc.session.setup import SessionSetup
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, ScriptedAgent, voiced

STORY = "Once upon a time there was a server. It answered the phone all day long. Then it slept."


def wait_for_the_disk() -> None:
    """Wait for the threads that write journals: they are the one thing that virtual time does not govern."""
    for thread in threading.enumerate():
        if thread.name.startswith("sess_test/journal"):
            thread.join(10.0)


def test_a_caller_is_heard_answered_and_nothing_is_left_behind() -> None:
    async def main() -> None:
        stage = Stage(["hello there"])
        stage.line.says(1.0, lasts=1.2)
        await stage.line.run(until=10.0)
        assert stage.line.history == [("user", "hello there"), ("assistant", "You said hello there.")]
        # speech ends at 2.2, silence 0.5, words 0.15, agent 0.2, voice 0.1, then the next 20 ms frame
        assert stage.line.audible[0][0] == 3.16
        await stage.session.close()
        await stage.session.close()
        assert stage.is_clean
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(main())


def test_the_recognizer_gets_the_pre_roll_and_no_silence() -> None:
    async def main() -> None:
        stage = Stage(["one", "two"])
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=8.0)
        first = stage.recognizer.first_frames[0]
        assert 0.68 <= first.start <= 0.72  # 300 ms before the first loud frame
        assert 1.4 <= stage.recognizer.turns[0] <= 1.6  # pre-roll, speech, 0.2 s of tail; not the 0.5 s
        await stage.session.close()

    virtual_time.run(main())


def test_a_jitter_buffers_delay_is_not_paid_for_by_who_waits_for_the_answer() -> None:
    async def main() -> None:
        stage = Stage(["hello"], hearing_delay=0.08)
        stage.line.says(1.0, lasts=1.2)
        await stage.line.run(until=6.0)
        stopped = next(fact for _, fact in stage.line.facts if isinstance(fact, facts.TurnStopped))
        assert round(stopped.at, 3) == 2.12  # when it was said, not when the buffer let go of it at 2.2
        assert stage.line.audible[0][0] == 3.08
        await stage.session.close()

    virtual_time.run(main())


def test_a_pause_inside_a_turn_reaches_the_recognizer_whole() -> None:
    async def main() -> None:
        stage = Stage(["one two"])
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(2.4, lasts=1.0)
        await stage.line.run(until=8.0)
        assert 2.8 <= stage.recognizer.turns[0] <= 3.0  # 0.3 + 2.4 + 0.2: nothing is cut out in the middle
        await stage.session.close()

    virtual_time.run(main())


def test_a_barge_in_silences_at_once_and_history_is_what_was_played() -> None:
    async def main() -> None:
        stage = Stage(["tell me a story", "stop"], lambda text: STORY if "story" in text else "Okay.")
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(5.0, lasts=0.8)
        await stage.line.run(until=12.0)
        begin, end = stage.line.audible[0]
        assert end <= 5.1  # two loud frames, and the fade
        role, text = stage.line.history[1]
        assert role == "assistant"
        assert STORY.startswith(text)
        assert abs((end - begin) / 0.06 - len(text)) < 10  # 60 ms a character, cut at a word
        assert stage.line.history[2:] == [("user", "stop"), ("assistant", "Okay.")]
        assert stage.is_clean
        await stage.session.close()

    virtual_time.run(main())


def test_a_cough_resumes_at_the_exact_sample() -> None:
    async def main() -> None:
        stage = Stage(["tell me a story", ""], lambda _: "Once upon a time there was a server")
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(3.7, lasts=0.1)
        await stage.line.run(until=12.0)
        heard = np.concatenate([samples for _, samples in stage.line.heard])
        expected = voiced("Once upon a time there was a server")
        assert len(stage.line.audible) == 2
        # The fade out and the fade in play the same 10 ms twice, at changing gain; all else is untouched.
        at = np.flatnonzero(heard[: len(expected)] != expected)[0]
        tail = expected[at + 240 :]
        assert np.array_equal(np.trim_zeros(heard, "b")[-len(tail) :], tail)
        assert stage.line.history[-1] == ("assistant", "Once upon a time there was a server")
        await stage.session.close()

    virtual_time.run(main())


def test_going_on_cancels_the_agent_that_thinks() -> None:
    async def main() -> None:
        agent = ScriptedAgent(lambda text: f"You said {text}.", delay=2.0)
        stage = Stage(["what is the weather", "in paris"], agent=agent)
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(3.2, lasts=0.6)
        await stage.line.run(until=15.0)
        assert agent.n_cancelled == 1
        assert stage.line.history[-1] == ("assistant", "You said what is the weather in paris.")
        await stage.session.close()

    virtual_time.run(main())


def test_a_busy_recognizer_is_said_aloud() -> None:
    async def main() -> None:
        stage = Stage([ProviderBusy("all taken", provider="fake")])
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=10.0)
        assert stage.line.history[-1] == ("assistant", QUIET.conversation.phrases.busy)
        assert stage.line.audible
        await stage.session.close()

    virtual_time.run(main())


def test_a_recognizer_with_a_bug_costs_one_turn() -> None:
    async def main() -> None:
        stage = Stage([RuntimeError("bug"), "hello"])
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(8.0, lasts=1.0)
        await stage.line.run(until=16.0)
        assert stage.line.history[-2:] == [("user", "hello"), ("assistant", "You said hello.")]
        await stage.session.close()

    virtual_time.run(main())


def test_an_agent_that_raises_is_apologized_for_and_the_call_goes_on() -> None:
    async def main() -> None:
        answers = iter([RuntimeError("bug"), "Fine."])
        stage = Stage(["one", "two"], lambda _: next(answers))
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(8.0, lasts=1.0)
        await stage.line.run(until=16.0)
        assert [text for role, text in stage.line.history if role == "assistant"] == [
            QUIET.conversation.phrases.apology,
            "Fine.",
        ]
        await stage.session.close()

    virtual_time.run(main())


def test_a_voice_that_breaks_in_the_middle_keeps_what_was_said() -> None:
    async def main() -> None:
        stage = Stage(["story"], lambda _: STORY, voice=FakeVoice(fail_after=1))
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=15.0)
        assert ("assistant", "Once upon a time there was a server.") in stage.line.history
        await stage.session.close()

    virtual_time.run(main())


def test_a_timer_rings_when_the_floor_is_free_and_can_be_taken_back() -> None:
    async def main() -> None:
        stage = Stage()
        stage.session.for_agent.say_later(2.0, "Your tea is ready.")
        stage.session.for_agent.take_back(stage.session.for_agent.say_later(3.0, "Never."))
        await stage.line.run(until=10.0)
        assert stage.line.history == [("assistant", "Your tea is ready.")]
        stage.session.for_agent.say_later(100.0, "Too late.")
        await stage.session.close()
        assert stage.session.for_agent.say_later(1.0, "After the end.") > 0
        stage.session.for_agent.say("After the end.")

    virtual_time.run(main())


def test_an_agent_may_end_the_call_once_its_goodbye_was_heard() -> None:
    async def main() -> None:
        async def goodbye(request: AgentRequest) -> AsyncGenerator[str, None]:
            request.session.end_call()
            yield "Goodbye then."

        from voicertc.agents.base import as_agent

        stage = Stage(["bye"], agent=as_agent(goodbye))
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=30.0)
        assert stage.session.ended.is_set()
        assert stage.line.history[-1] == ("assistant", "Goodbye then.")
        assert isinstance(stage.line.facts[-1][1], facts.CallEnding)
        await stage.session.close()

    virtual_time.run(main())


def test_written_replies_make_no_sound() -> None:
    async def main() -> None:
        stage = Stage()
        post = stage.session.post
        post(events.ItemSubmitted(Item("mine", Role.USER, "hello")))
        post(events.ResponseRequested(ReplyRequest(Cause.CLIENT, output=Modality.TEXT)))
        await stage.line.run(until=3.0)
        assert stage.line.history == [("user", "hello"), ("assistant", "You said hello.")]
        assert stage.line.audible == []
        post(events.ResponseRequested(ReplyRequest(Cause.CLIENT)))  # and the mouth is free afterwards
        await stage.line.run(until=8.0)
        assert stage.line.audible
        await stage.session.close()

    virtual_time.run(main())


def test_interims_are_passed_on_and_the_words_carry_their_confidence() -> None:
    async def main() -> None:
        stage = Stage([Final("hello you", 0.8, "en")])
        stage.line.says(1.0, lasts=1.5)
        await stage.line.run(until=6.0)
        finals = [fact for _, fact in stage.line.facts if isinstance(fact, facts.FinalHeard)]
        assert [(final.text, final.confidence, final.language) for final in finals] == [
            ("hello you", 0.8, "en")
        ]
        await stage.session.close()

    virtual_time.run(main())


def test_the_clients_language_and_prompt_reach_the_recognizer() -> None:
    async def main() -> None:
        stage = Stage(["hallo"])
        options = SessionOptions(language="de", transcription_prompt="Oslo")
        stage.session.post(events.SessionUpdated(options))
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=6.0)
        request = stage.recognizer.requests[0]
        assert (request.language, request.prompt) == ("de", "Oslo")
        await stage.session.close()

    virtual_time.run(main())


def test_hanging_up_in_the_middle_of_everything_leaves_nothing() -> None:
    async def main() -> None:
        stage = Stage(["story"], lambda _: STORY)
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(4.0, lasts=3.0)
        await stage.line.run(until=4.5)
        await stage.session.close()
        assert stage.is_clean
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(main())


def test_our_own_bug_ends_this_call_with_an_apology_and_a_journal(tmp_path: Path) -> None:
    async def main() -> None:
        setup = replace(QUIET, journal_dir=tmp_path)
        stage = Stage(["hello"], setup=setup)

        def bug(_: object, __: float) -> list[object]:
            raise AssertionError("a bug in the core")

        await stage.line.run(until=0.5)
        stage.session._conversation.handle = bug  # type: ignore[method-assign,assignment]
        stage.line.says(1.0, lasts=1.0)
        await stage.line.run(until=20.0)
        assert " ".join(stage.voice.texts) == setup.conversation.phrases.apology
        assert stage.line.audible
        assert stage.session.ended.is_set()
        await stage.session.close()

    virtual_time.run(main())
    wait_for_the_disk()
    assert list(tmp_path.glob("sess_test.jsonl"))


def test_the_journal_of_a_session_replays_byte_for_byte(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(
            ["tell me a story", "stop"],
            lambda text: STORY if "story" in text else "Okay.",
            setup=replace(QUIET, journal_dir=tmp_path),
        )
        stage.line.says(1.0, lasts=1.0)
        stage.line.says(5.0, lasts=0.8)
        await stage.line.run(until=12.0)
        await stage.session.close()

    virtual_time.run(main())
    wait_for_the_disk()
    lines = (tmp_path / "sess_test.jsonl").read_text().splitlines()
    report = replay(lines)
    assert report.differences == ()
    assert [item.text for item in report.items][-1] == "Okay."
    assert json.loads(lines[0])["voicertc"] == "0"


def test_a_recognizer_that_lags_is_given_the_newest_audio_only() -> None:
    async def main() -> None:
        class Deaf(FakeRecognizer):
            async def recognize(self, audio, request):  # type: ignore[no-untyped-def,override]
                await asyncio.sleep(14.0)
                async for result in super().recognize(audio, request):
                    yield result

        recognizer = Deaf(["long"], delay=0.0)
        stage = Stage(recognizer=recognizer)
        stage.line.says(1.0, lasts=14.0)
        await stage.line.run(until=30.0)
        assert 9.9 <= recognizer.turns[0] <= 11.6  # ten seconds waited, the rest came live
        await stage.session.close()

    virtual_time.run(main())


def test_an_hour_of_conversation_keeps_memory_and_history_flat() -> None:
    async def main() -> None:
        n_turns = 60
        setup = SessionSetup(
            conversation=replace(QUIET.conversation, max_items=20), session=QUIET.session, lead_ms=2000
        )
        stage = Stage([f"turn {n}" for n in range(n_turns)], setup=setup)
        for n in range(n_turns):
            stage.line.says(1.0 + 10.0 * n, lasts=1.0)
        await stage.line.run(until=10.0 * n_turns + 5.0)
        assert len(stage.recognizer.turns) == n_turns
        assert len(stage.line.history) == 20
        assert len(asyncio.all_tasks()) == 1
        await stage.session.close()

    virtual_time.run(main())

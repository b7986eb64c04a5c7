"""A whole call over events, without a network: bytes in, bytes out, on a virtual clock."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.calls.sockets import TestSocket, append_event
from tests.session.conftest import QUIET
from voicertc.audio.formats import AudioEncoder, WireFormat
from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.calls.opening import Opening
from voicertc.calls.socket_call import SocketCall
from voicertc.core import events
from voicertc.core.options import SessionOptions, TurnDetection
from voicertc.core.replies import Cause
from voicertc.providers.base import Final, SpeechChunk, VoiceRequest
from voicertc.session.setup import Services, SessionSetup
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector, ScriptedAgent, voiced

PUSH = SessionOptions(turn_detection=None)


def loud(seconds: float) -> Samples:
    """A tone at 24 kHz that ``LoudnessDetector`` takes for speech."""
    n = round(seconds * PLAYOUT_RATE_HZ)
    return (12_000 * np.sin(2 * np.pi * 300 * np.arange(n) / PLAYOUT_RATE_HZ)).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * PLAYOUT_RATE_HZ), np.int16)


class Stage:
    """A call with fakes around it. Made inside a running loop."""

    def __init__(
        self,
        script: Iterable[str | Final | Exception] = (),
        answer: Callable[[str], str | Exception] = lambda text: f"You said {text}.",
        options: SessionOptions = SessionOptions(),  # noqa: B008 (frozen)
        setup: SessionSetup = QUIET,
        delay: float = 0.15,
        voice: FakeVoice | None = None,
    ) -> None:
        self.recognizer = FakeRecognizer(script, delay=delay)
        self.agent = ScriptedAgent(answer)
        services = Services(self.recognizer, self.agent, voice or FakeVoice(), LoudnessDetector())
        opening = Opening(services, replace(setup, session=options))
        self.call = SocketCall(opening.call_id, lambda sink: opening.session(sink=sink))
        self.socket = TestSocket()

    @property
    def history(self) -> list[tuple[str, str]]:
        return [(item.role.value, item.text or "") for item in self.call.session.items]

    async def says(self, sound: Samples) -> None:
        """Append in real time, 20 ms after 20 ms."""
        for begin in range(0, len(sound), 480):
            await asyncio.sleep(0.02)
            self.socket.says(append_event(sound[begin : begin + 480]))


@asynccontextmanager
async def served(stage: Stage) -> AsyncIterator[TestSocket]:
    """Run the call; when done with it the client hangs up, and all must be gone."""
    running = asyncio.create_task(stage.call.run())
    serving = asyncio.create_task(stage.call.serve(stage.socket))
    yield stage.socket
    stage.socket.hangs_up()
    await serving
    await running
    assert stage.socket.closed is not None
    assert stage.recognizer.n_open == 0
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, others


def run(main: Coroutine[None, None, None]) -> None:
    virtual_time.run(main)


def errors(socket: TestSocket) -> list[tuple[str, Any]]:
    """Code and ``event_id`` of each error."""
    return [(event["error"]["code"], event["error"]["event_id"]) for event in socket.of_type("error")]


def test_a_spoken_turn_is_answered_in_sound_and_words_in_openais_order() -> None:
    async def main() -> None:
        stage = Stage(["hello"])
        async with served(stage) as socket:
            await stage.says(np.concatenate([silence(0.5), loud(1.0), silence(1.0)]))
            await asyncio.sleep(1.0)
        assert socket.types == [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        assert np.array_equal(np.frombuffer(socket.sound(), "<i2"), voiced("You said hello."))
        started, stopped = (
            socket.of_type(f"input_audio_buffer.speech_{word}")[0] for word in ("started", "stopped")
        )
        assert started["audio_start_ms"] == pytest.approx(200, abs=20)
        assert stopped["audio_end_ms"] == pytest.approx(1500, abs=20)

    run(main())


class InstantVoice(FakeVoice):
    """Has all its sound ready, so that nobody else has a turn between two clauses."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        yield SpeechChunk(voiced(text))


def test_sound_never_comes_before_the_words_it_says() -> None:
    story = "Once upon a time there was a server. It answered the phone all day long. Then it slept."

    async def main() -> None:
        stage = Stage(voice=InstantVoice())
        async with served(stage) as socket:
            stage.call.session.for_agent.say(story)
            await asyncio.sleep(3.0)
        words, n_bytes = 0, 0
        told: list[tuple[int, int]] = []
        for event in socket.events:
            if event["type"] == "response.output_audio_transcript.delta":
                told.append((words, n_bytes // 2))
                words += len(event["delta"])
            elif event["type"] == "response.output_audio.delta":
                n_bytes += len(base64.b64decode(event["delta"]))
                assert n_bytes / 2 <= len(voiced(story[:words]))
        assert words == len(story)
        # Nor after those that follow: what was said before is all there.
        assert told == [(n, pytest.approx(len(voiced(story[:n])), abs=5_000)) for n, _ in told]
        assert n_bytes / 2 == pytest.approx(
            len(voiced(story)), abs=5_000
        )  # less the spaces between sentences

    run(main())


@pytest.mark.parametrize("format", ["pcmu", "pcma"])
def test_g711_is_heard_and_spoken(format: WireFormat) -> None:
    async def main() -> None:
        stage = Stage(["hello"])
        async with served(stage) as socket:
            kind = {"type": f"audio/{format}"}
            audio = {"input": {"format": kind}, "output": {"format": kind}}
            socket.says({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
            encoder = AudioEncoder(format)
            coded = encoder.encode(np.concatenate([loud(1.0), silence(1.0)]))
            for begin in range(0, len(coded), 160):
                await asyncio.sleep(0.02)
                socket.says(append_event(coded[begin : begin + 160]))
            await asyncio.sleep(1.0)
        assert stage.history == [("user", "hello"), ("assistant", "You said hello.")]
        encoder = AudioEncoder(format)
        assert socket.sound() == encoder.encode(voiced("You said hello.")) + encoder.flush()
        stopped = socket.of_type("input_audio_buffer.speech_stopped")[0]
        assert stopped["audio_end_ms"] == pytest.approx(1000, abs=20)

    run(main())


def test_the_format_may_change_between_two_turns() -> None:
    async def main() -> None:
        stage = Stage(["one", "two"], options=replace(SessionOptions(), turn_detection=TurnDetection()))
        async with served(stage) as socket:
            await stage.says(np.concatenate([loud(0.5), silence(1.0)]))
            audio = {"input": {"format": {"type": "audio/pcmu"}}}
            socket.says({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
            await asyncio.sleep(2.0)
            coded = AudioEncoder("pcmu").encode(np.concatenate([loud(0.5), silence(1.0)]))
            socket.says(append_event(coded))
            await asyncio.sleep(2.0)
        assert [text for role, text in stage.history if role == "user"] == ["one", "two"]
        assert errors(socket) == []

    run(main())


def test_push_to_talk_waits_for_the_commit_and_for_response_create() -> None:
    async def main() -> None:
        stage = Stage(["hello"], options=PUSH)
        async with served(stage) as socket:
            socket.says({"type": "input_audio_buffer.clear"})
            await stage.says(np.concatenate([loud(0.6), silence(1.5), loud(0.6)]))
            socket.says({"type": "input_audio_buffer.commit"})
            await asyncio.sleep(2.0)
            assert socket.types == [
                "session.created",
                "input_audio_buffer.cleared",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "conversation.item.input_audio_transcription.delta",
                "conversation.item.input_audio_transcription.completed",
            ]
            socket.says({"type": "response.create"})
            await asyncio.sleep(2.0)
        assert stage.history == [("user", "hello"), ("assistant", "You said hello.")]

    run(main())


def test_a_recording_that_is_sent_at_once_and_committed_is_heard_whole() -> None:
    async def main() -> None:
        stage = Stage(["a long speech"], options=PUSH)
        async with served(stage) as socket:
            for n in range(10):
                socket.says(append_event(loud(0.995)))
                del n
            socket.says({"type": "input_audio_buffer.commit"}, {"type": "response.create"})
            await asyncio.sleep(2.0)
        assert stage.recognizer.turns == [pytest.approx(9.95, abs=0.05)]
        assert stage.history == [("user", "a long speech"), ("assistant", "You said a long speech.")]

    run(main())


def test_a_commit_of_nothing_is_refused_and_names_the_event() -> None:
    async def main() -> None:
        stage = Stage(["hm"], options=PUSH)
        async with served(stage) as socket:
            commit = {"type": "input_audio_buffer.commit"}
            socket.says({**commit, "event_id": "e1"})
            socket.says(append_event(loud(0.09)), {**commit, "event_id": "e2"})
            socket.says(append_event(loud(0.02)), {**commit, "event_id": "e3"})
            socket.says({**commit, "event_id": "e4"})
            socket.says(append_event(loud(0.5)), {"type": "input_audio_buffer.clear"})
            socket.says({**commit, "event_id": "e5"})
            await asyncio.sleep(2.0)
        empty = "input_audio_buffer_commit_empty"
        assert errors(socket) == [(empty, "e1"), (empty, "e2"), (empty, "e4"), (empty, "e5")]
        assert socket.types.count("input_audio_buffer.committed") == 1

    run(main())


def test_a_commit_takes_all_that_was_sent_to_the_last_millisecond() -> None:
    async def main() -> None:
        stage = Stage(["short"], options=PUSH)
        async with served(stage) as socket:
            await asyncio.sleep(1.0)
            for _ in range(11):
                socket.says(append_event(loud(0.01)))
            socket.says(append_event(loud(0.003)))
            socket.says({"type": "input_audio_buffer.commit"})
            await asyncio.sleep(1.0)
        assert stage.recognizer.turns == [0.12]

    run(main())


def test_what_is_committed_need_not_sound_like_speech() -> None:
    async def main() -> None:
        stage = Stage(["whispered"], options=PUSH)
        async with served(stage) as socket:
            await stage.says(silence(0.8))
            socket.says({"type": "input_audio_buffer.commit"})
            await asyncio.sleep(1.0)
        assert stage.history == [("user", "whispered")]
        assert stage.recognizer.turns == [pytest.approx(0.8, abs=0.1)]

    run(main())


@pytest.mark.parametrize(
    ("story", "status"), [("Once upon a time. " * 20, "cancelled"), ("Long " * 40, "completed")]
)
def test_a_barge_in_cuts_the_item_to_what_the_client_can_have_played(story: str, status: str) -> None:
    async def main() -> None:
        stage = Stage(["a story", "stop"], lambda text: story if "story" in text else "Okay.")
        async with served(stage) as socket:
            await stage.says(np.concatenate([loud(0.5), silence(2.0), loud(0.6)]))
            item_id = socket.of_type("response.output_item.added")[0]["item"]["id"]
            started = socket.of_type("input_audio_buffer.speech_started")
            assert [event["audio_start_ms"] for event in started] == [0, pytest.approx(2200, abs=20)]
            cut = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0}
            socket.says({**cut, "audio_end_ms": 1100, "event_id": "e1"})
            await stage.says(silence(1.0))
            await asyncio.sleep(1.0)
        assert errors(socket) == []
        assert socket.of_type("response.done")[0]["response"]["status"] == status
        # Heard from 1.47 s, when its first sound was sent, until 2.9 s, when the barge-in was sure; but the
        # client says that it had played 1.1 s.
        words = story[: round(1.1 / 0.06)].rsplit(" ", 1)[0]
        assert stage.history == [
            ("user", "a story"),
            ("assistant", words),
            ("user", "stop"),
            ("assistant", "Okay."),
        ]
        (truncated,) = socket.of_type("conversation.item.truncated")
        assert (truncated["item_id"], truncated["audio_end_ms"]) == (item_id, 1100)

    run(main())


def test_sound_that_waits_behind_a_slow_network_is_not_sent_after_a_barge_in() -> None:
    async def main() -> None:
        stage = Stage(
            ["a story", "stop"], lambda text: "Once upon a time. " * 20 if "story" in text else "Okay."
        )
        async with served(stage) as socket:
            await stage.says(np.concatenate([loud(0.5), silence(0.9)]))
            socket.stops_reading()
            await stage.says(np.concatenate([silence(1.0), loud(0.6)]))
            socket.reads()
            await asyncio.sleep(0.1)
            types = socket.types
            assert len(socket.sound()) <= 48_000  # the one event that was on its way
            assert types.index("input_audio_buffer.speech_started", 2) > types.index("response.created")
            assert types[-1] == "response.done"

    run(main())


def test_a_hundred_thousand_tiny_appends_are_all_heard() -> None:
    async def main() -> None:
        stage = Stage(["tiny"])
        sound = np.concatenate([loud(1.0), silence(1.0)])
        async with served(stage) as socket:
            one = [append_event(sound[n : n + 1]) for n in range(len(sound))]
            none = [append_event(b"")] * (100_000 - len(sound))
            socket.says(*one, *none)
            await asyncio.sleep(200.0)
        assert socket.n_taken == 100_000 + 1  # and the goodbye
        assert errors(socket) == []
        assert stage.history == [("user", "tiny"), ("assistant", "You said tiny.")]
        stopped = socket.of_type("input_audio_buffer.speech_stopped")[0]
        assert stopped["audio_end_ms"] == pytest.approx(1000, abs=20)

    run(main())


def test_a_client_that_floods_leaves_the_loop_to_others() -> None:
    async def main() -> None:
        stage = Stage()
        async with served(stage) as socket:
            socket.says(*[append_event(silence(0.1))] * 3_000)
            n_turns = 0
            while socket.n_taken < 3_000:
                await asyncio.sleep(0)
                n_turns += 1
        assert n_turns > 100  # at least one in 2 ms of work

    asyncio.run(main())  # work takes no virtual time


def test_a_client_that_does_not_read_is_cut_off_and_its_call_ends() -> None:
    async def main() -> None:
        stage = Stage([], lambda _: "Words. " * 200)
        running = asyncio.create_task(stage.call.run())
        serving = asyncio.create_task(stage.call.serve(stage.socket))
        stage.socket.stops_reading()
        for n in range(400):
            await asyncio.sleep(0.1)
            stage.socket.says({"type": "nonsense", "event_id": f"e{n}"})
            stage.socket.says({"type": "nonsense", "event_id": f"f{n}"})
        await asyncio.wait_for(asyncio.gather(running, serving), 5.0)
        assert stage.socket.closed == (1008, "too slow")

    run(main())


def test_the_servers_goodbye_is_the_last_event_before_the_close() -> None:
    async def main() -> None:
        stage = Stage()
        async with served(stage) as socket:
            session = {"type": "realtime", "voicertc": {"events": ["voicertc.call.ending"]}}
            socket.says({"type": "session.update", "session": session})
            await asyncio.sleep(0.1)
            stage.call.end("shutdown")
            await asyncio.sleep(1.0)
            assert socket.events[-1]["type"] == "voicertc.call.ending"
            assert socket.events[-1]["reason"] == "shutdown"
            assert socket.closed == (1001, "")

    run(main())


def test_an_agent_that_ends_the_call_closes_the_socket_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        stage = Stage()
        async with served(stage) as socket:
            stage.call.session.post(events.SayRequested("Goodbye.", Cause.SAY))
            stage.call.session.post(events.EndRequested())
            await asyncio.sleep(0.55)
            assert socket.closed is None  # the client is still saying it
            await asyncio.sleep(2.0)
            assert socket.closed == (1000, "")

    run(main())
    ended = next(record for record in caplog.records if record.message == "call_ended")
    assert ended.voicertc_fields["reason"] == "agent"  # type: ignore[attr-defined]


def test_a_client_that_is_lost_in_the_middle_of_a_reply_leaves_nothing_behind() -> None:
    async def main() -> None:
        stage = Stage(["a story"], lambda _: "Once upon a time. " * 50)
        async with served(stage) as socket:
            await stage.says(np.concatenate([loud(0.5), silence(1.2)]))
            socket.breaks()
            await asyncio.sleep(1.0)
            assert stage.call.session.ended.is_set()

    run(main())


def test_a_transcription_session_only_writes_down() -> None:
    async def main() -> None:
        stage = Stage(["one", "two"], options=SessionOptions(is_transcription=True))
        async with served(stage) as socket:
            socket.says(append_event(np.concatenate([loud(0.6), silence(1.0)] * 2)))
            await asyncio.sleep(2.0)
            socket.says({"type": "response.create", "event_id": "e1"})
            await asyncio.sleep(0.5)
        assert stage.history == [("user", "one"), ("user", "two")]
        assert not any(kind.startswith("response.") for kind in socket.types)
        assert errors(socket) == [("not_supported", "e1")]

    run(main())


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ("{", "invalid_json"),
        (b"\x00\x01", "invalid_message"),
        ({"type": "nonsense"}, "unknown_event"),
        ({"type": "input_audio_buffer.append", "audio": "!"}, "invalid_value"),
        ({"type": "input_audio_buffer.append", "audio": "AAA="[:-1] + "="}, None),
        ({"type": "input_audio_buffer.append", "audio": base64.b64encode(b"abc").decode()}, "invalid_value"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter"),
        ({"type": "output_audio_buffer.clear"}, "not_supported"),
    ],
)
def test_what_makes_no_sense_is_an_error_and_the_call_goes_on(
    event: dict[str, Any] | str | bytes, code: str | None
) -> None:
    async def main() -> None:
        stage = Stage(["hello"])
        async with served(stage) as socket:
            socket.says(event)
            await stage.says(np.concatenate([loud(0.5), silence(1.0)]))
            await asyncio.sleep(1.0)
        assert [found for found, _ in errors(socket)] == ([code] if code else [])
        assert stage.history == [("user", "hello"), ("assistant", "You said hello.")]

    run(main())

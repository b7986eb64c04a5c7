"""Sound that a client appends at any speed: turns end by the time of the sound, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable

import numpy as np
import pytest

from tests.session.conftest import QUIET
from voicertc.audio.pcm import HEARING_RATE_HZ, PcmFrame, Samples
from voicertc.core import events, facts
from voicertc.core.facts import Fact
from voicertc.core.options import SessionOptions, TurnDetection
from voicertc.providers.base import Final, HeardPiece, RecognitionRequest
from voicertc.session.appended import Appended
from voicertc.session.session import Session
from voicertc.session.setup import Services, SessionSetup
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector, ScriptedAgent

QUIETLY = SessionOptions(turn_detection=TurnDetection(create_response=False))


def loud(seconds: float) -> Samples:
    return np.resize(np.array([8_000, -8_000], np.int16), round(seconds * HEARING_RATE_HZ))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * HEARING_RATE_HZ), np.int16)


def talk(*pairs: tuple[float, float]) -> Samples:
    """Sound in which each pair is so many seconds of silence and then of speech."""
    return np.concatenate([part for quiet, speech in pairs for part in (silence(quiet), loud(speech))])


class Client:
    """A session whose client appends its sound, and plays replies at its own pace."""

    def __init__(
        self,
        script: Iterable[str | Final | Exception] = (),
        *,
        recognizer: FakeRecognizer | None = None,
        options: SessionOptions = QUIETLY,
    ) -> None:
        self.recognizer = recognizer or FakeRecognizer(script)
        agent = ScriptedAgent(lambda text: f"You said {text}.")
        services = Services(self.recognizer, agent, FakeVoice(), LoudnessDetector())
        self.sound: list[tuple[float, str, int]] = []
        self.session = Session(
            services,
            SessionSetup(QUIET.conversation, options),
            session_id="sess_test",
            id_prefix="",
            sink=lambda reply_id, samples: self.sound.append((self.now, reply_id, len(samples))),
        )
        self.facts: list[Fact] = []
        self.session.subscribe(self.facts.append)
        self.session.post(events.CallConnected())

    @property
    def now(self) -> float:
        return round(asyncio.get_running_loop().time(), 3)

    @property
    def history(self) -> list[tuple[str, str]]:
        return [(item.role.value, item.text or "") for item in self.session.items]

    async def sends(self, sound: Samples, *, piece: float = 0.02, every: float | None = None) -> None:
        """Append ``sound`` in pieces, one ``every`` so many seconds (real time: as long as the piece)."""
        n = round(piece * HEARING_RATE_HZ)
        for begin in range(0, len(sound), n):
            await asyncio.sleep(piece if every is None else every)
            await self.session.append(sound[begin : begin + n])

    def turns(self) -> list[tuple[float, float]]:
        """When turns began and ended, in seconds of the sound that was appended."""
        spans: dict[str, list[float]] = {}
        for fact in self.facts:
            match fact:
                case facts.TurnStarted(item_id, at) | facts.TurnStopped(item_id, at):
                    spans.setdefault(item_id, []).append(round(self.session.audio_time(at), 2))
        return [(begin, end) for begin, end in spans.values()]


def run(main: Coroutine[None, None, None]) -> None:
    virtual_time.run(main)


TALK = talk((1.0, 1.2), (2.0, 0.8), (0.3, 0.8), (2.0, 1.0), (1.0, 0.0))
SPANS = [(0.7, 2.2), (3.9, 6.1), (7.8, 9.1)]
"""Its turns: 0.3 s of padding before the first loud frame, until the last one."""


@pytest.mark.parametrize(
    ("piece", "every"), [(0.02, 0.02), (0.1, 0.1), (0.5, 0.5), (0.02, 0.0), (0.1, 0.02), (60.0, 0.0)]
)
def test_the_same_sound_makes_the_same_turns_at_any_speed_and_in_any_pieces(
    piece: float, every: float
) -> None:
    async def main() -> None:
        client = Client(["one", "two", "three"])
        await client.sends(TALK, piece=piece, every=every)
        await asyncio.sleep(1.0)
        assert client.history == [("user", "one"), ("user", "two"), ("user", "three")]
        for found, expected in zip(client.turns(), SPANS, strict=True):
            assert found == pytest.approx(expected, abs=0.12)
        heard = sorted(end - begin + 0.2 for begin, end in SPANS)  # and the tail of 0.2 s
        assert sorted(client.recognizer.turns) == pytest.approx(heard, abs=0.15)
        await client.session.close()

    run(main())


def test_a_file_is_heard_as_fast_as_it_is_recognized_and_whole() -> None:
    async def main() -> None:
        spoken = talk(*[(1.0, 3.0)] * 60, (1.0, 0.0))
        client = Client([str(n) for n in range(60)])
        await client.sends(spoken, piece=300.0, every=0.0)
        assert client.now < 10.0  # of 241 s of sound: each turn's words take 0.15 s
        await asyncio.sleep(1.0)
        assert client.history == [("user", str(n)) for n in range(60)]
        assert client.recognizer.turns == pytest.approx([3.5] * 60, abs=0.15)
        await client.session.close()

    run(main())


class SlowRecognizer(FakeRecognizer):
    """Takes a second for every second of sound, and counts what came."""

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        async def slowly() -> AsyncGenerator[PcmFrame, None]:
            async for frame in audio:
                await asyncio.sleep(frame.end - frame.start)
                yield frame

        async for transcript in super().recognize(slowly(), request):
            yield transcript


def test_a_slow_recognizer_holds_the_client_back_and_nothing_is_dropped() -> None:
    async def main() -> None:
        recognizer = SlowRecognizer(["one", "two", "three"])
        client = Client(recognizer=recognizer)
        await client.sends(talk((0.5, 25.0), (1.0, 20.0), (1.0, 12.0), (1.0, 0.0)), piece=120.0, every=0.0)
        assert client.now > 40.0
        await asyncio.sleep(10.0)
        assert client.history == [("user", "one"), ("user", "two"), ("user", "three")]
        assert recognizer.turns == pytest.approx([25.5, 20.5, 12.5], abs=0.15)
        await client.session.close()

    run(main())


def test_no_time_passes_for_the_user_while_the_client_is_held_back() -> None:
    async def main() -> None:
        said = ["one", "two", "three", "and in one breath", "five"]
        client = Client(recognizer=FakeRecognizer(said, delay=5.0))
        sound = talk(*[(1.0, 1.0)] * 3, (1.0, 0.6), (0.35, 0.6), (0.35, 0.6), (1.0, 1.0), (1.0, 0.0))
        await client.sends(sound, piece=60.0, every=0.0)
        assert client.now > 5.0
        await asyncio.sleep(10.0)
        assert client.history == [("user", text) for text in said]
        await client.session.close()

    run(main())


def test_a_recognizer_that_never_answers_does_not_hold_the_client_for_ever() -> None:
    async def main() -> None:
        client = Client(recognizer=FakeRecognizer(["?"] * 9, delay=1e6))
        await client.sends(talk(*[(1.0, 1.0)] * 8, (1.0, 0.0)), piece=60.0, every=0.0)
        await asyncio.sleep(20.0)
        failed = [fact for fact in client.facts if isinstance(fact, facts.HearingFailed)]
        assert [fact.code for fact in failed] == ["timeout"] * 8
        await client.session.close()

    run(main())


def test_a_client_that_is_held_back_is_let_go_when_the_session_ends() -> None:
    async def main() -> None:
        client = Client(recognizer=FakeRecognizer(["?"] * 9, delay=1e6))
        sending = asyncio.create_task(client.session.append(talk(*[(1.0, 1.0)] * 20, (1.0, 0.0))))
        await asyncio.sleep(1.0)
        assert not sending.done()
        await client.session.close()
        await asyncio.wait_for(sending, 1.0)

    run(main())


def test_services_are_given_real_time_however_fast_the_sound_comes() -> None:
    async def main() -> None:
        client = Client(recognizer=FakeRecognizer(["late"], delay=5.0))
        await client.sends(talk((0.5, 1.0), (60.0, 0.0)), piece=120.0, every=0.0)
        await asyncio.sleep(6.0)
        assert client.history == [("user", "late")]
        await client.session.close()

    run(main())


def test_a_client_that_sends_no_silence_ends_its_turn_by_sending_nothing() -> None:
    async def main() -> None:
        client = Client(["one", "two"])
        await client.sends(loud(1.0))
        await asyncio.sleep(5.0)
        await client.sends(loud(1.0))
        await asyncio.sleep(5.0)
        assert client.history == [("user", "one"), ("user", "two")]
        # In the client's own count the second follows the first at once.
        assert client.turns() == [pytest.approx((0.0, 1.0), abs=0.05), pytest.approx((1.0, 2.0), abs=0.05)]
        await client.session.close()

    run(main())


def test_sound_that_was_held_up_and_comes_in_one_burst_is_still_one_turn() -> None:
    async def main() -> None:
        client = Client(["held up"])
        await client.sends(loud(0.6))
        await asyncio.sleep(0.8)
        await client.sends(loud(0.8), every=0.0)
        await client.sends(loud(0.5))
        await client.sends(silence(2.0))
        assert client.history == [("user", "held up")]
        assert client.turns() == [pytest.approx((0.0, 1.9), abs=0.1)]
        await client.session.close()

    run(main())


def test_a_client_that_is_always_late_is_not_cut_off_at_every_pause() -> None:
    async def main() -> None:
        client = Client(["before", "after the break and on"])
        await client.sends(talk((0.5, 0.5), (1.0, 0.0)))
        await asyncio.sleep(0.8)  # from here on everything is 0.8 s late
        await client.sends(talk((2.5, 0.6), (0.35, 0.6), (0.35, 0.6), (1.0, 0.0)))
        assert client.history == [("user", "before"), ("user", "after the break and on")]
        await client.session.close()

    run(main())


@pytest.mark.parametrize("seconds", [0.1, 0.9, 1.1, 4.0])
def test_pauses_between_the_pieces_change_nothing_once_they_are_over(seconds: float) -> None:
    async def main() -> None:
        client = Client([str(n) for n in range(6)])
        for _ in range(6):
            await client.sends(talk((2.5, 0.6), (0.3, 0.6), (1.0, 0.0)))
            await asyncio.sleep(seconds)
        assert client.history == [("user", str(n)) for n in range(6)]
        spans = [(5.0 * n + 2.2, 5.0 * n + 4.0) for n in range(6)]
        assert client.turns() == [pytest.approx(span, abs=0.1) for span in spans]
        await client.session.close()

    run(main())


class Ears:
    """What is heard of what a client appends, and when that was in session time; nothing is ever late."""

    def __init__(self, *, lag: float = 0.0) -> None:
        self.now = 100.0
        self.heard: list[tuple[float, float, float]] = []
        """Begin of each frame; session time then; how much was behind it."""
        self.sound: list[Samples] = []
        self.appended = Appended(
            hear=self.hear,
            clock=lambda: self.now,
            advance=self.advance,
            lag=lambda: lag,
            has_room=lambda: True,
        )

    def hear(self, frame: PcmFrame) -> None:
        self.heard.append((round(frame.start, 3), round(self.now, 3), round(self.appended.left, 3)))
        self.sound.append(frame.samples)

    def advance(self, by: float) -> None:
        self.now += by

    async def comes(self, seconds: float, *, after: float) -> list[float]:
        """Let sound come; return where its frames begin."""
        self.now += after
        n_before = len(self.heard)
        await self.appended.append(loud(seconds))
        return [begin for begin, _, _ in self.heard[n_before:]]


def test_the_first_sound_was_made_just_before_it_came() -> None:
    async def main() -> None:
        assert await Ears().comes(0.02, after=0.0) == [99.98]
        ears = Ears()
        begins = await ears.comes(10.0, after=0.0)
        assert (begins[0], round(begins[-1], 2)) == (99.8, 109.78)
        assert round(ears.now, 2) == 109.8

    run(main())


@pytest.mark.parametrize(
    ("lag", "late", "is_gap"),
    [(0.0, 0.9, False), (0.0, 1.1, True), (0.8, 1.7, False), (0.8, 1.9, True), (9.0, 2.1, True)],
)
def test_sound_that_is_late_follows_on_unless_it_is_very_late(lag: float, late: float, is_gap: bool) -> None:
    async def main() -> None:
        ears = Ears(lag=lag)
        await ears.comes(0.02, after=0.0)
        begins = await ears.comes(0.02, after=0.02 + late)
        assert begins == [round(100.0 + late, 3) if is_gap else 100.0]

    run(main())


def test_frames_that_came_together_are_not_taken_for_late() -> None:
    async def main() -> None:
        ears = Ears()
        await ears.comes(0.1, after=0.0)
        assert ears.heard == [(round(99.9 + n / 50, 2), 100.0, round(0.08 - n / 50, 2)) for n in range(5)]

    run(main())


def test_what_was_said_before_a_gap_is_not_put_behind_it() -> None:
    async def main() -> None:
        ears = Ears()
        await ears.comes(0.03, after=0.0)
        await ears.comes(0.02, after=5.0)
        assert [begin for begin, _, _ in ears.heard] == [99.97, 99.99, 104.98]
        sound = [loud(0.02), np.concatenate([loud(0.01), silence(0.01)]), loud(0.02)]
        assert np.array_equal(np.concatenate(ears.sound), np.concatenate(sound))

    run(main())


def test_less_than_a_frame_is_heard_when_something_ends() -> None:
    heard: list[PcmFrame] = []

    async def main() -> None:
        now = asyncio.get_running_loop().time
        appended = Appended(
            hear=heard.append, clock=now, advance=lambda by: None, lag=lambda: 0.0, has_room=lambda: True
        )
        await appended.append(loud(0.03))
        await appended.append(loud(0.001))
        assert len(heard) == 1
        appended.flush()
        appended.flush()
        await appended.append(loud(0.02))

    run(main())
    sound = np.concatenate([frame.samples for frame in heard])
    assert np.array_equal(sound, np.concatenate([loud(0.031), silence(0.009), loud(0.02)]))
    assert [frame.position for frame in heard] == [heard[0].position + 320 * n for n in range(3)]


def test_what_is_asked_of_the_sound_before_there_is_any_is_nothing() -> None:
    async def main() -> None:
        client = Client()
        assert client.session.audio_time(3.0) == 0.0
        await asyncio.sleep(5.0)
        await client.sends(silence(1.0))
        asked: Callable[[float], float] = client.session.audio_time
        assert [round(asked(at), 2) for at in (2.0, 5.5, 6.0, 99.0)] == [0.0, 0.5, 1.0, 1.0]
        await client.session.close()

    run(main())


def test_a_reply_to_appended_speech_is_handed_over_at_once() -> None:
    async def main() -> None:
        client = Client(["hello"], options=SessionOptions())
        await client.sends(talk((0.5, 1.0), (0.6, 0.0)), piece=3.0, every=0.0)
        await asyncio.sleep(0.7)
        n_samples = sum(n for _, _, n in client.sound)
        assert n_samples == len("You said hello.") * 24 * 60
        assert client.sound[-1][0] < 0.6  # words 0.15, agent 0.2, voice 0.1, and all of it follows
        assert client.history == [("user", "hello"), ("assistant", "You said hello.")]
        await client.session.close()

    run(main())

from __future__ import annotations

import numpy as np
import pytest

from voicertc.audio.pcm import PLAYOUT_FRAME, Samples
from voicertc.audio.playout import PlayoutBuffer

SOUND = (np.arange(48_000) % 9973 + 8_000).astype(np.int16)
"""Two seconds in which every sample differs from its neighbours and none is small."""


class Log:
    """A listener that writes down what it is told, in order."""

    def __init__(self) -> None:
        self.hunger: list[tuple[str, str]] = []
        self.entries: list[tuple[str | int, ...]] = []

    def playout_started(self, reply_id: str) -> None:
        self.entries.append(("started", reply_id))

    def clause_began(self, reply_id: str, index: int) -> None:
        self.entries.append(("clause", reply_id, index))

    def playout_drained(self, reply_id: str) -> None:
        self.entries.append(("drained", reply_id))

    def room_made(self, reply_id: str) -> None:
        self.entries.append(("room", reply_id))

    def playout_starved(self, reply_id: str) -> None:
        self.hunger.append(("starved", reply_id))

    def playout_fed(self, reply_id: str) -> None:
        self.hunger.append(("fed", reply_id))


def a_reply(samples: Samples, *, name: str = "r1") -> PlayoutBuffer:
    buffer = PlayoutBuffer(Log())
    buffer.begin(name)
    buffer.append(name, samples)
    return buffer


def told(buffer: PlayoutBuffer) -> list[tuple[str | int, ...]]:
    assert isinstance(buffer.listener, Log)
    return buffer.listener.entries


def read(buffer: PlayoutBuffer, n: int = PLAYOUT_FRAME, now: float = 0.0) -> list[int] | None:
    block = buffer.read(n, now)
    return None if block is None else [int(sample) for sample in block]


def originals(start: int, end: int) -> list[int]:
    return [int(sample) for sample in SOUND[start:end]]


# --- reading ----------------------------------------------------------------------------------------


def test_what_was_appended_is_read_bit_for_bit_whatever_the_pieces() -> None:
    buffer = PlayoutBuffer()
    buffer.begin("r1")
    for start, end in ((0, 7), (7, 7), (7, 480), (480, 481), (481, 2400)):
        buffer.append("r1", SOUND[start:end])
    assert [read(buffer) for _ in range(6)] == [
        *(originals(480 * i, 480 * i + 480) for i in range(5)),
        None,
    ]


def test_a_block_that_is_not_full_is_padded_and_the_rest_continues_without_a_gap() -> None:
    buffer = a_reply(SOUND[:500])
    assert read(buffer) == originals(0, 480)
    assert read(buffer) == originals(480, 500) + [0] * 460
    assert read(buffer) is None
    buffer.append("r1", SOUND[500:980])
    assert read(buffer) == originals(500, 980)


def test_nothing_to_say_is_none() -> None:
    buffer = PlayoutBuffer()
    assert read(buffer) is None
    buffer.begin("r1")
    assert read(buffer) is None


def test_what_is_handed_out_cannot_be_written_to() -> None:
    sound = SOUND[:960].copy()
    block = a_reply(sound).read(480, 0.0)
    assert block is not None
    with pytest.raises(ValueError, match="read-only"):
        block[0] = 1
    sound[0] = 1  # the voice's own array is left as it was


# --- telling ----------------------------------------------------------------------------------------


def test_a_reply_tells_its_start_its_clauses_and_its_end_in_order() -> None:
    buffer = PlayoutBuffer(Log())
    buffer.begin("r1")
    buffer.mark_clause("r1", 0)
    buffer.append("r1", SOUND[:480])
    buffer.mark_clause("r1", 1)
    buffer.append("r1", SOUND[480:1000])
    buffer.finish("r1")
    assert told(buffer) == []
    read(buffer)
    assert told(buffer) == [("started", "r1"), ("clause", "r1", 0)]
    read(buffer)
    assert told(buffer)[2:] == [("clause", "r1", 1)]
    read(buffer)
    assert told(buffer)[3:] == [("drained", "r1")]
    assert read(buffer) is None
    assert len(told(buffer)) == 4


def test_a_clause_begins_with_the_block_its_first_sample_is_in() -> None:
    buffer = a_reply(SOUND[:479])
    buffer.mark_clause("r1", 1)
    buffer.append("r1", SOUND[479:481])
    buffer.mark_clause("r1", 2)
    buffer.append("r1", SOUND[481:482])
    read(buffer)
    assert told(buffer) == [("started", "r1"), ("clause", "r1", 1)]
    read(buffer)
    assert told(buffer)[2:] == [("clause", "r1", 2)]


def test_a_clause_without_samples_begins_with_the_next_or_not_at_all() -> None:
    buffer = PlayoutBuffer(Log())
    buffer.begin("r1")
    buffer.mark_clause("r1", 0)
    buffer.mark_clause("r1", 1)
    buffer.append("r1", SOUND[:10])
    buffer.mark_clause("r1", 2)
    buffer.finish("r1")
    read(buffer)
    assert told(buffer) == [("started", "r1"), ("clause", "r1", 0), ("clause", "r1", 1), ("drained", "r1")]


def test_a_reply_that_is_finished_after_its_last_sample_is_drained_at_once() -> None:
    buffer = a_reply(SOUND[:480])
    read(buffer)
    assert told(buffer) == [("started", "r1")]
    buffer.finish("r1")
    buffer.finish("r1")
    assert told(buffer) == [("started", "r1"), ("drained", "r1")]


def test_a_reply_without_any_sound_is_drained_without_a_start() -> None:
    buffer = PlayoutBuffer(Log())
    buffer.begin("r1")
    buffer.finish("r1")
    assert told(buffer) == [("drained", "r1")]


def test_a_voice_that_ran_ahead_is_told_once_when_there_is_room() -> None:
    buffer = PlayoutBuffer(Log(), lead_ms=20)
    buffer.begin("r1")
    buffer.append("r1", SOUND[:480])
    assert not buffer.is_full("r1")
    buffer.append("r1", SOUND[480:1000])
    assert buffer.is_full("r1")
    read(buffer)
    assert buffer.is_full("r1")
    assert ("room", "r1") not in told(buffer)
    read(buffer)
    read(buffer)
    assert not buffer.is_full("r1")
    assert told(buffer).count(("room", "r1")) == 1


def test_a_sleeping_speaker_is_woken_only_when_reading_makes_sense_again() -> None:
    buffer = PlayoutBuffer()
    woken: list[str] = []
    buffer.begin("r1")
    buffer.on_data = lambda: woken.append("woken")
    buffer.append("r1", SOUND[:0])
    assert woken == []
    buffer.append("r1", SOUND[:480])
    buffer.append("r1", SOUND[480:960])
    assert woken == ["woken"]
    buffer.duck("r1")
    buffer.resume("r1")
    assert woken == ["woken"]
    buffer.hold("r1")
    buffer.append("r1", SOUND[960:1440])
    assert woken == ["woken"]
    buffer.resume("r1")
    assert woken == ["woken"] * 2


def test_a_sleeping_speaker_is_not_woken_by_the_voice_of_a_held_reply() -> None:
    buffer = a_reply(SOUND[:480])
    read(buffer)
    woken: list[str] = []
    buffer.on_data = lambda: woken.append("woken")
    buffer.hold("r1")
    buffer.append("r1", SOUND[480:960])
    assert woken == []
    buffer.resume("r1")
    assert woken == ["woken"]


def test_a_listener_may_cancel_from_within_a_call() -> None:
    buffer = PlayoutBuffer()

    class Impatient(Log):
        def playout_started(self, reply_id: str) -> None:
            super().playout_started(reply_id)
            buffer.cancel(reply_id, 0.0)

    buffer.listener = Impatient()
    buffer.begin("r1")
    buffer.mark_clause("r1", 0)
    buffer.append("r1", SOUND[:480])
    buffer.finish("r1")
    read(buffer)
    assert told(buffer) == [("started", "r1")]
    assert read(buffer) is None


# --- holding and ducking ----------------------------------------------------------------------------


def test_a_hold_fades_within_10_ms_and_resumes_from_the_sample_where_its_fade_began() -> None:
    buffer = a_reply(SOUND[:4800])
    read(buffer)
    buffer.hold("r1")
    faded = read(buffer)
    assert faded is not None
    gains = np.array(faded[:240]) / SOUND[480:720]
    assert np.allclose(gains, 1 - np.arange(1, 241) / 240, atol=1e-4)
    assert faded[239:] == [0] * 241
    assert [read(buffer) for _ in range(50)] == [None] * 50
    buffer.resume("r1")
    back = read(buffer)
    assert back is not None
    assert np.allclose(np.array(back[:240]) / SOUND[480:720], np.arange(1, 241) / 240, atol=1e-4)
    assert back[239:] == originals(719, 960)
    assert read(buffer) == originals(960, 1440)


def test_a_hold_resumed_in_the_middle_of_its_fade_goes_back_to_where_that_began() -> None:
    buffer = a_reply(SOUND[:4800])
    read(buffer)
    buffer.hold("r1")
    read(buffer, 100)
    buffer.resume("r1")
    back = read(buffer)
    assert back is not None
    assert np.allclose(np.array(back[:240]) / SOUND[480:720], np.arange(1, 241) / 240, atol=1e-4)
    assert back[239:] == originals(719, 960)


def test_a_hold_that_is_resumed_before_it_was_read_changes_nothing() -> None:
    buffer = a_reply(SOUND[:960])
    read(buffer)
    buffer.hold("r1")
    buffer.resume("r1")
    assert read(buffer) == originals(480, 960)


def test_a_reply_held_before_it_was_audible_makes_no_sound_at_all() -> None:
    buffer = a_reply(SOUND[:960])
    buffer.hold("r1")
    assert read(buffer) is None
    assert told(buffer) == []
    buffer.resume("r1")
    assert read(buffer) == originals(0, 480)
    assert told(buffer) == [("started", "r1")]


def test_a_reply_held_while_its_voice_is_late_stays_silent_when_the_voice_goes_on() -> None:
    buffer = a_reply(SOUND[:480])
    read(buffer)
    buffer.hold("r1")
    buffer.append("r1", SOUND[480:960])
    assert read(buffer) is None
    buffer.resume("r1")
    assert read(buffer) == originals(480, 960)


def test_the_fade_of_a_hold_is_as_long_as_there_are_samples() -> None:
    buffer = a_reply(SOUND[:580])
    read(buffer)
    buffer.hold("r1")
    faded = read(buffer)
    assert faded is not None
    assert np.allclose(np.array(faded[:100]) / SOUND[480:580], 1 - np.arange(1, 101) / 100, atol=1e-4)
    assert faded[100:] == [0] * 380


def test_a_clause_within_a_fade_begins_only_when_it_is_really_said() -> None:
    buffer = a_reply(SOUND[:500])
    buffer.mark_clause("r1", 1)
    buffer.append("r1", SOUND[500:4800])
    read(buffer)
    buffer.hold("r1")
    read(buffer)
    assert told(buffer) == [("started", "r1")]
    buffer.resume("r1")
    read(buffer)
    assert told(buffer) == [("started", "r1"), ("clause", "r1", 1)]


def test_a_held_reply_is_not_over_before_it_is_resumed() -> None:
    buffer = a_reply(SOUND[:480])
    read(buffer)
    buffer.hold("r1")
    buffer.finish("r1")
    assert read(buffer) is None
    assert told(buffer) == [("started", "r1")]
    buffer.resume("r1")
    assert told(buffer) == [("started", "r1"), ("drained", "r1")]


def test_a_duck_lowers_by_12_db_within_20_ms_and_resume_brings_it_back_within_10() -> None:
    buffer = a_reply(SOUND[:4800])
    buffer.duck("r1")
    gains = np.array(read(buffer, 960)) / SOUND[:960]
    ducked = 10 ** (-12 / 20)
    assert np.allclose(gains[:480], 1 - (1 - ducked) * np.arange(1, 481) / 480, atol=1e-4)
    assert np.allclose(gains[480:], ducked, atol=1e-4)
    buffer.duck("r1")
    assert np.allclose(np.array(read(buffer)) / SOUND[960:1440], ducked, atol=1e-4)
    buffer.resume("r1")
    back = read(buffer)
    assert back is not None
    gains = np.array(back[:240]) / SOUND[1440:1680]
    assert np.allclose(gains, ducked + (1 - ducked) * np.arange(1, 241) / 240, atol=1e-4)
    assert back[239:] == originals(1679, 1920)


def test_a_ducked_reply_is_held_from_where_it_is_and_comes_back_at_full_level() -> None:
    buffer = a_reply(SOUND[:9600])
    buffer.duck("r1")
    read(buffer, 960)
    buffer.hold("r1")
    buffer.duck("r1")  # it is silent already
    faded = read(buffer)
    assert faded is not None
    assert faded[0] == round(SOUND[960] * 10 ** (-12 / 20) * 239 / 240)
    assert faded[239:] == [0] * 241
    buffer.resume("r1")
    back = read(buffer)
    assert back is not None
    assert back[239:] == originals(960 + 239, 960 + 480)


# --- heard ------------------------------------------------------------------------------------------


def test_a_sample_is_heard_an_ear_delay_after_it_was_handed_out() -> None:
    buffer = a_reply(SOUND[:4800])
    heard = []
    for hundredth in range(16):
        now = 1 + hundredth / 100
        if hundredth <= 8 and hundredth % 2 == 0:
            read(buffer, now=now)
        heard.append(buffer.heard_samples("r1", now))
    assert heard == [0] * 6 + [480, 480, 960, 960, 1440, 1440, 1920, 1920, 2400, 2400]


def test_the_last_bit_of_a_clock_does_not_decide_what_is_heard() -> None:
    for i in range(1, 500):
        buffer = a_reply(SOUND[:480])
        read(buffer, now=0.02 * i)
        assert buffer.heard_samples("r1", 0.02 * i + 0.06) == 480


def test_padding_is_not_heard() -> None:
    buffer = a_reply(SOUND[:500])
    read(buffer, now=0.0)
    read(buffer, now=0.02)
    assert buffer.heard_samples("r1", 1.0) == 500


def test_nothing_counts_as_heard_while_held_and_nothing_twice() -> None:
    buffer = a_reply(SOUND[:4800])
    read(buffer, now=0.0)
    buffer.hold("r1")
    read(buffer, now=0.02)
    read(buffer, now=0.04)
    assert buffer.heard_samples("r1", 5.0) == 480
    buffer.resume("r1")
    assert buffer.heard_samples("r1", 5.0) == 480
    read(buffer, now=5.0)
    assert buffer.heard_samples("r1", 5.1) == 960


def test_what_was_heard_stays_heard_when_the_way_gets_longer() -> None:
    buffer = a_reply(SOUND[:4800])
    read(buffer, now=0.0)
    read(buffer, now=0.02)
    assert buffer.heard_samples("r1", 0.07) == 480
    buffer.ear_delay = 0.3
    assert buffer.heard_samples("r1", 0.08) == 480
    assert buffer.heard_samples("r1", 0.32) == 960


def test_a_cancelled_reply_is_silent_at_once_and_its_count_stays() -> None:
    buffer = a_reply(SOUND[:4800])
    for i in range(5):
        read(buffer, now=0.02 * i)
    assert buffer.cancel("r1", 0.1) == 3 * 480
    assert read(buffer, now=0.12) is None
    assert buffer.heard_samples("r1", 5.0) == 3 * 480
    assert buffer.cancel("r1", 5.0) == 3 * 480
    assert told(buffer) == [("started", "r1")]


def test_the_tail_of_a_drained_reply_is_still_being_heard() -> None:
    buffer = a_reply(SOUND[:960])
    buffer.finish("r1")
    read(buffer, now=0.0)
    read(buffer, now=0.02)
    assert told(buffer)[-1] == ("drained", "r1")
    assert buffer.heard_samples("r1", 0.07) == 480
    assert buffer.cancel("r1", 0.08) == 960


def test_the_log_of_what_is_on_its_way_does_not_grow_for_ever() -> None:
    buffer = a_reply(np.zeros(480 * 3000, np.int16))
    buffer.ear_delay = 1e9
    for i in range(3000):
        read(buffer, now=0.02 * i)
    assert buffer.heard_samples("r1", 60.0) == 480 * (3000 - 1024)


# --- whose reply ------------------------------------------------------------------------------------


def test_a_foreign_reply_changes_nothing() -> None:
    buffer = a_reply(SOUND[:4800])
    read(buffer, now=0.0)
    buffer.mark_clause("r0", 5)
    buffer.append("r0", SOUND[:10])
    buffer.hold("r0")
    buffer.duck("r0")
    buffer.resume("r0")
    buffer.finish("r0")
    assert buffer.cancel("r0", 9.0) == 0
    assert buffer.heard_samples("r0", 9.0) == 0
    assert not buffer.is_full("r0")
    assert read(buffer, now=0.02) == originals(480, 960)
    assert told(buffer) == [("started", "r1")]


def test_a_new_reply_starts_clean_after_a_held_and_cancelled_one() -> None:
    buffer = a_reply(SOUND[:4800])
    buffer.duck("r1")
    read(buffer)
    buffer.hold("r1")
    buffer.mark_clause("r1", 7)
    buffer.cancel("r1", 0.0)
    buffer.begin("r2")
    buffer.append("r1", SOUND[100:200])
    buffer.append("r2", SOUND[:480])
    assert read(buffer) == originals(0, 480)
    assert told(buffer)[1:] == [("started", "r2")]


def test_two_replies_at_once_are_our_own_mistake() -> None:
    buffer = a_reply(SOUND[:480])
    with pytest.raises(AssertionError, match="r1 is still in the buffer"):
        buffer.begin("r2")


def test_samples_after_the_end_are_our_own_mistake() -> None:
    buffer = a_reply(SOUND[:480])
    buffer.finish("r1")
    with pytest.raises(AssertionError, match="r1 was finished"):
        buffer.append("r1", SOUND[:480])


def test_a_hole_in_the_middle_is_told_and_so_is_its_end() -> None:
    log = Log()
    buffer = PlayoutBuffer(log)
    buffer.begin("r1")
    assert log.hunger == []  # nothing has begun, so nothing is missing
    buffer.append("r1", np.ones(480, np.int16))
    buffer.read(480, 0.0)
    assert log.hunger == [("starved", "r1")]
    buffer.read(480, 0.02)
    buffer.append("r1", np.ones(480, np.int16))
    assert log.hunger == [("starved", "r1"), ("fed", "r1")]
    buffer.finish("r1")
    buffer.read(480, 0.04)
    assert log.hunger == [("starved", "r1"), ("fed", "r1")]  # the end is no hole

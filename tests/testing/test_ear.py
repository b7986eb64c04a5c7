from __future__ import annotations

import numpy as np

from voicertc.audio.opus import SILENCE, OpusEncoder
from voicertc.testing.ear import NOTHING, Ear, Sound, audible, gaps, sound_end
from voicertc.testing.received import ReceivedPacket

from ..rtc.calls import tone


def sounds(*packets: tuple[int, int, float]) -> list[Sound]:
    """Sounds given as arrival and RTP time in ms, and level."""
    return [Sound(at / 1000, stamp * 48, level) for at, stamp, level in packets]


def steady(begin: int, end: int, level: float = -20.0) -> list[tuple[int, int, float]]:
    return [(ms, ms, level) for ms in range(begin, end, 20)]


def test_an_ear_tells_sound_from_silence_and_counts_what_is_missing() -> None:
    encoder, sound, ear = OpusEncoder(), tone(0.1, 24_000), Ear()
    for n in range(5):
        ear.take(
            ReceivedPacket(n * 0.02, 65_534 + n & 0xFFFF, n * 960, encoder.encode(sound[n * 480 :][:480]))
        )
    ear.take(ReceivedPacket(0.12, 4, 5 * 960, SILENCE))
    ear.take(ReceivedPacket(0.14, 7, 6 * 960, b"\xf8"))
    ear.take(ReceivedPacket(0.16, 6, 7 * 960, b"\xff" * 40))
    assert [sound.level_db == NOTHING for sound in ear.sounds] == [False] * 5 + [True] * 3
    assert np.abs(np.mean([sound.level_db for sound in ear.sounds[1:5]]) + 15.2) < 2
    assert ear.last_audible == 0.08
    assert (ear.n_received, ear.n_lost) == (8, 2)
    ear.forget()
    assert (ear.sounds, ear.n_received) == ([], 8)


def test_audible_is_within_30_db_of_the_reply_itself() -> None:
    reply = sounds((0, 0, -49.0), (20, 20, -15.0), (40, 40, -16.0), (60, 60, -44.0), (80, 80, NOTHING))
    assert [round(sound.at * 1000) for sound in audible(reply)] == [20, 40, 60]
    assert audible(sounds((0, 0, -60.0), (20, 20, NOTHING))) == []


def test_a_sound_ends_before_the_first_pause() -> None:
    heard = sounds(*steady(100, 200), *steady(500, 600), *steady(1400, 1500))
    assert sound_end(heard, 0.09) == 0.58
    assert sound_end(sounds(*steady(900, 1000)), 0.0) == 0.0


def test_a_whole_reply_with_a_pause_in_it_has_no_gap() -> None:
    reply = sounds(
        *steady(0, 200),
        *steady(200, 400, -90.0),
        *steady(400, 600),
        (600, 600, NOTHING),
        (1000, 1000, NOTHING),
    )
    assert gaps(reply, audible(reply)) == []


def test_a_missing_stretch_is_a_gap_and_a_short_one_is_not() -> None:
    reply = sounds(*steady(0, 100), *steady(140, 200), *steady(300, 400))
    assert [round(gap, 3) for gap in gaps(reply, audible(reply))] == [0.1]


def test_sound_that_comes_late_is_a_gap_although_its_time_stamp_is_right() -> None:
    late = [(ms + 90, ms, -20.0) for ms in range(100, 200, 20)]
    reply = sounds(*steady(0, 100), *late)
    assert [round(gap, 3) for gap in gaps(reply, audible(reply))] == [0.09]


def test_a_buffer_that_ran_dry_is_a_gap_although_silence_was_sent_instead() -> None:
    reply = sounds(*steady(0, 100), *steady(100, 200, NOTHING), *steady(200, 300))
    assert [round(gap, 3) for gap in gaps(reply, audible(reply))] == [0.1]


def test_the_next_reply_is_no_part_of_a_gap() -> None:
    reply = sounds(*steady(0, 100), *steady(2000, 2100))
    assert gaps(reply, audible(reply)) == []

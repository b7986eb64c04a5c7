"""What the media benchmark computes, on signals and journeys whose figures are known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from voicertc.audio.opus import OpusDecoder
from voicertc.testing.received import ReceivedPacket

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from media_bench import callers, loss, machine, receiver, report, sound, words

NAN = float("nan")


def arrivals(*packets: tuple[float, int, int], payload: bytes = b"\xf8abc") -> Any:
    """A caller to whom packets came: seconds, sequence number, RTP time."""
    return SimpleNamespace(
        packets=[ReceivedPacket(at, number, time, payload) for at, number, time in packets]
    )


def test_marks_are_told_apart_behind_the_codec() -> None:
    packets = sound.browser_packets(sound.marks(200), 16_000)
    for rate_hz in (16_000, 48_000):
        decoder = OpusDecoder(rate_hz=rate_hz)
        frames = np.stack([decoder.decode(packet) for packet in packets])
        assert sound.identify(frames, rate_hz) == [number % sound.N_MARKS for number in range(200)]


def test_what_has_no_two_tones_is_no_mark() -> None:
    one_tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(320) / 16_000)).astype(np.int16)
    frames = np.stack([np.zeros(320, np.int16), one_tone, sound.marks(6)[-320:]])
    assert sound.identify(frames, 16_000) == [sound.NO_MARK, sound.NO_MARK, 5]
    assert sound.identify(frames[:0], 16_000) == []


def test_spacing_is_of_packets_in_one_spell_of_speech() -> None:
    wrapped = 2**32 - 960
    caller = arrivals(
        (0.0, 65_534, wrapped),
        (0.02, 65_535, 0),
        (0.045, 0, 960),
        (0.5, 1, 960 + 24_000),  # silence lay between
        (0.52, 3, 960 * 3 + 24_000),  # one is missing
        (0.54, 4, 960 * 4 + 24_000),
    )
    found: Any = callers.quality([caller])
    assert found["spacing_ms"] == {"p50": 20.0, "p95": 24.5, "p99": 24.9, "max": 25.0, "n": 3}
    assert (found["missed"], found["jumps"], found["packets"]) == (1, 1, 6)
    assert found["coding"] == {"silk": 0.0, "hybrid": 0.0, "celt": 1.0}


def test_a_packet_that_came_late_is_not_missed() -> None:
    found: Any = callers.quality([arrivals((0.0, 1, 0), (0.02, 3, 1920), (0.021, 2, 960), (0.06, 4, 2880))])
    assert found["missed"] == 0


def journey(forwarded: Sequence[float], heard: Sequence[float]) -> loss.Journey:
    return loss.Journey(np.arange(len(forwarded)) * 0.02, np.array(forwarded), np.array(heard))


def test_what_comes_behind_a_hole_is_while_packets_are_missing() -> None:
    on_time = np.arange(8) * 0.02 + 0.02
    lost = on_time.copy()
    lost[2] = NAN
    assert np.flatnonzero(loss._is_behind_hole(journey(lost, lost))).tolist() == [3, 4, 5]
    overtaken = on_time.copy()
    overtaken[2] += 0.03
    assert np.flatnonzero(loss._is_behind_hole(journey(overtaken, overtaken))).tolist() == [3]


@pytest.mark.parametrize(
    ("late", "back"),
    [((), 0.02), ((11,), 0.04), ((11, 12, 14), 0.1), (range(11, 40), np.inf)],
)
def test_sound_is_back_to_normal_with_three_packets_in_a_row(late: Sequence[int], back: float) -> None:
    forwarded = np.arange(40) * 0.02 + 0.02
    heard = forwarded + 0.001
    heard[list(late)] += 0.02
    forwarded[10] = NAN
    assert loss._recoveries(journey(forwarded, heard), 0.006) == [pytest.approx(back)]


def test_holes_too_close_to_the_next_are_left_out() -> None:
    forwarded = np.arange(60) * 0.02 + 0.02
    forwarded[[10, 14, 50]] = NAN
    assert len(loss._recoveries(journey(forwarded, forwarded), 0.006)) == 1


def test_what_senders_add_to_rtp_time_is_found() -> None:
    sent = np.arange(100) * 0.02 + 5.0
    rtp_times = np.arange(100) * 960 + 777
    offset = 2**32 - 20_000  # wraps within
    forwarded = {
        int(time) + offset & 0xFFFF_FFFF: at + loss._DELAY + (0.03 if number % 10 == 0 else 0.004)
        for number, (time, at) in enumerate(zip(rtp_times, sent, strict=True))
        if number % 7
    }
    assert loss._offset(sent, rtp_times, forwarded) == offset


def test_a_listener_hears_the_whole_and_misses_what_is_missing() -> None:
    original = sound.buzz(2.0)
    packets = sound.browser_packets(sound.resampled(original, 24_000, 48_000), 48_000)
    came = [ReceivedPacket(0.02 * n, n, 960 * n, packet) for n, packet in enumerate(packets)]
    whole = receiver.compare(receiver.receive(came), original)
    assert whole.gap == 0
    assert whole.level_db == pytest.approx(0, abs=2)
    holes = [packet for packet in came if not 50 <= packet.sequence_number < 70]
    heard = receiver.receive(holes)
    assert len(heard) == 480 * len(packets)
    torn = receiver.compare(heard, original)
    assert torn.gap == pytest.approx(0.3, abs=0.1), "all but what was made up and restored"
    assert receiver.compare(np.full(len(heard), 32_767, np.int16), original).n_clipped > 10_000


def test_words_are_counted_wrong_missing_and_too_many() -> None:
    said = words._words("What's the weather, next week?")
    assert said == ["what's", "the", "weather", "next", "week"]
    for heard, errors in (("what's the weather next week", 0), ("the whether next week please", 3), ("", 5)):
        assert words._n_errors(said, words._words(heard)) == errors


def test_percentiles_of_nothing_are_nothing() -> None:
    assert machine.percentiles([]) == {"n": 0}
    assert machine.percentiles([0.1], 1000) == {"p50": 100, "p95": 100, "p99": 100, "max": 100, "n": 1}


def test_the_table_says_what_is_met_and_what_was_not_measured() -> None:
    found = {
        "setup": {
            "our": {"wall_ms": {"p95": 30.0}, "cpu_ms": 11.0},
            "stock": {"wall_ms": {"p95": 60.0}, "cpu_ms": 5.0},
        },
        "loss": {"our": {"failed": 1}, "stock": {"failed": 1}},
    }
    rows = report.rows(found)
    assert [(row.ours, row.stock, row.ratio, row.is_met) for row in rows[:2]] == [
        (30.0, 60.0, 0.5, True),
        (11.0, 5.0, 2.2, False),
    ]
    assert [row.figure for row in rows[2:]] == ["loss: failed"]
    assert "MISSED" in report.table(rows)

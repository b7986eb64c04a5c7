from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.audio.timeline import Timeline

BLOCK = 960
"""20 ms at 48 kHz."""
FIRST = 0.02
"""When the first block comes if it was begun the moment the call began."""


def positions(*blocks: tuple[int | None, float]) -> list[float]:
    """Where each block of 20 ms begins, in ms; given its time stamp in ms and when it came, in seconds."""
    timeline = Timeline()
    found = []
    for pts, now in blocks:
        timeline.gap(None if pts is None else pts * 48, BLOCK, now)
        found.append((timeline.position - BLOCK) / 48)
    return found


def test_blocks_without_holes_follow_each_other() -> None:
    assert positions(*[(20 * n, FIRST + 0.02 * n) for n in range(4)]) == [0, 20, 40, 60]


def test_the_first_sound_is_as_late_in_the_call_as_it_came() -> None:
    assert positions((0, FIRST + 3.0), (20, FIRST + 3.02)) == [3000, 3020]


def test_a_lost_packet_leaves_a_hole_of_its_length() -> None:
    assert positions((0, FIRST), (20, FIRST + 0.02), (60, FIRST + 0.06)) == [0, 20, 60]


def test_silence_that_was_not_sent_leaves_a_hole() -> None:
    assert positions((0, FIRST), (400, FIRST + 0.4), (800, FIRST + 0.8)) == [0, 400, 800]


def test_lateness_on_the_way_moves_nothing() -> None:
    assert positions((0, FIRST), (20, FIRST + 1.5), (40, FIRST + 1.5), (60, FIRST + 1.5)) == [0, 20, 40, 60]


def test_a_clock_that_begins_anew_goes_on_where_it_was() -> None:
    assert positions((5000, FIRST), (5020, FIRST + 0.02), (0, FIRST + 0.04), (20, FIRST + 0.06)) == [
        0,
        20,
        40,
        60,
    ]


def test_a_time_stamp_far_ahead_is_believed_as_far_as_time_has_passed() -> None:
    assert positions((0, FIRST), (80_000_000, FIRST + 0.02), (80_000_020, FIRST + 0.04)) == pytest.approx(
        [0, 20, 40]
    )
    assert positions((0, FIRST), (80_000_000, FIRST + 3.0)) == pytest.approx([0, 3000])


def test_blocks_without_a_time_stamp_follow_each_other() -> None:
    assert positions((None, FIRST), (None, FIRST + 0.02), (40, FIRST + 0.04)) == [0, 20, 40]


def test_a_device_that_slept_is_set_right_within_a_second() -> None:
    """Its time stamps go on as if nothing had been, eight seconds too early."""
    found = positions((0, FIRST), *[(20 * n, FIRST + 8.0 + 0.02 * n) for n in range(1, 150)])
    assert found[1] == 20
    assert found[60] == pytest.approx(8000 + 60 * 20, abs=40)
    assert found[-1] == pytest.approx(8000 + 149 * 20, abs=40)


def test_packets_held_up_for_seconds_that_come_all_at_once_are_not_corrected() -> None:
    blocks = [(20 * n, FIRST + max(0.02 * n, 4.0 if n > 10 else 0.0)) for n in range(400)]
    assert positions(*blocks) == [20 * n for n in range(400)]


@pytest.mark.parametrize("error", [-0.0003, 0.0003])
def test_a_clock_that_goes_wrong_is_followed_for_hours(error: float) -> None:
    """Quartz is wrong by 0.0001 at most; with DTX there is a jump each time that may be disbelieved."""
    hours = 4 * 3600
    timeline = Timeline()
    for n in range(0, hours, 2):
        timeline.gap(round(n * 48_000 * (1 + error)), BLOCK, FIRST + n)
    assert timeline.position / 48_000 == pytest.approx((hours - 2) * (1 + error) + 0.02, abs=0.001)


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(-(2**40), 2**40)), st.floats(0, 5)), max_size=50))
def test_no_time_stamp_moves_a_position_back_or_far_ahead_of_time(
    steps: list[tuple[int | None, float]],
) -> None:
    timeline, now, before = Timeline(), 0.0, 0
    for n, (pts, pause) in enumerate(steps, 1):
        now += pause
        timeline.gap(pts, BLOCK, now)
        assert timeline.position >= before + BLOCK
        assert timeline.position <= (1.0005 * now + 0.5) * 48_000 + n * BLOCK
        before = timeline.position

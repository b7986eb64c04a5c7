from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from voicertc.rtc.pacing import REST, TICK, Alarm, Pacer
from voicertc.testing import virtual_time

BEGIN = 100.0


def times(pacer: Pacer, *nows: float) -> list[int]:
    return [pacer.stamp(BEGIN + now) for now in nows]


def test_packets_on_time_are_20_ms_apart() -> None:
    pacer = Pacer(BEGIN)
    assert times(pacer, 0.0, 0.02, 0.04) == [0, 960, 1920]
    assert round(pacer.due - BEGIN, 6) == 0.06


def test_a_little_lateness_neither_shows_nor_adds_up() -> None:
    pacer = Pacer(BEGIN)
    assert times(pacer, 0.003, 0.031, 0.059, 0.06) == [0, 960, 1920, 2880]
    assert pacer.skipped == 0


def test_a_stall_is_skipped_and_not_made_up_for() -> None:
    pacer = Pacer(BEGIN)
    assert times(pacer, 0.0, 0.125) == [0, 5 * 960 + 960]
    assert round(pacer.due - BEGIN, 6) == 0.14
    assert pacer.skipped == 5


def test_rtp_time_jumps_over_a_rest() -> None:
    pacer = Pacer(BEGIN)
    assert pacer.stamp(BEGIN, pause=REST) == 0
    assert times(pacer, 0.4) == [19_200]
    assert pacer.skipped == 0


def test_lateness_in_a_rest_is_no_loss() -> None:
    pacer = Pacer(BEGIN)
    pacer.stamp(BEGIN, pause=REST)
    pacer.stamp(BEGIN + 0.45)
    assert pacer.skipped == 0


def test_sound_that_comes_during_a_rest_goes_at_once_and_begins_a_new_grid() -> None:
    pacer = Pacer(BEGIN)
    pacer.stamp(BEGIN, pause=REST)
    assert times(pacer, 0.1035, 0.1235) == [4968, 4968 + 960]
    assert round(pacer.due - BEGIN, 6) == 0.1435


def test_sound_that_comes_right_behind_a_packet_does_not_overlap_it() -> None:
    pacer = Pacer(BEGIN)
    pacer.stamp(BEGIN, pause=REST)
    assert times(pacer, 0.004) == [960]
    assert round(pacer.due - BEGIN, 6) == 0.04


@given(st.lists(st.tuples(st.floats(0, 0.3), st.booleans()), max_size=60))
def test_rtp_times_rise_by_a_packet_at_least_and_never_run_ahead(steps: list[tuple[float, bool]]) -> None:
    pacer, now, stamps = Pacer(0.0), 0.0, [-960]
    for lateness, rests in steps:
        now = max(now, pacer.due) + lateness
        stamps.append(pacer.stamp(now, pause=REST if rests else TICK))
        assert stamps[-1] >= stamps[-2] + 960
        assert stamps[-1] <= round(now * 48_000)
        assert pacer.due > now - TICK


def test_an_alarm_ends_a_wait_early_and_harms_nobody_else() -> None:
    async def story() -> list[float]:
        loop, alarm = asyncio.get_running_loop(), Alarm()
        alarm.ring()
        seen = []
        loop.call_at(0.25, alarm.ring)
        await alarm.wait_until(1.0)
        seen.append(loop.time())
        await alarm.wait_until(1.0)
        seen.append(loop.time())
        return seen

    assert virtual_time.run(story()) == [0.25, 1.0]

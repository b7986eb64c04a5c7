from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from voicertc.audio.jitter import ReorderWindow

Released = list[tuple[int, int]]


def push(window: ReorderWindow[int], *numbers: int, now: float = 0.0) -> Released:
    """What comes out, packet by packet of 20 ms: lost ones before it, and its number."""
    released: Released = []
    for n, number in enumerate(numbers):
        released += window.push(number & 0xFFFF, number, now + 0.02 * n)
    return released


def test_what_comes_in_order_passes_at_once() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    for number in range(65_530, 65_560):
        assert push(window, number) == [(0, number)], "it wraps"
    assert window.deadline is None


def test_a_swapped_pair_is_put_right() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push(window, 1, 3) == [(0, 1)]
    assert push(window, 2) == [(0, 2), (0, 3)]
    assert push(window, 4) == [(0, 4)]
    assert (window.n_late, window.n_duplicate) == (0, 0)


def test_a_lost_packet_is_given_up_when_two_are_there_behind_it() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push(window, 1, 3) == [(0, 1)]
    assert push(window, 4) == [(1, 3), (0, 4)]
    assert push(window, 5) == [(0, 5)], "no delay is left"


def test_a_hole_at_the_end_of_speech_is_given_up_when_its_time_has_come() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    push(window, 1)
    push(window, 3, now=1.0)
    assert window.deadline == 1.04
    assert window.expire(1.039) == []
    assert window.expire(1.04) == [(1, 3)]
    assert window.deadline is None


def test_two_holes_are_given_up_one_after_the_other() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push(window, 1, 3, 5) == [(0, 1), (1, 3)]
    assert push(window, 6) == [(1, 5), (0, 6)]


def test_a_burst_of_losses_is_one_hole() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push(window, 1, 12, 13) == [(0, 1), (10, 12), (0, 13)]


def test_what_comes_again_is_dropped() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push(window, 1, 1, 2, 4, 4, 2, 3) == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert window.n_duplicate == 3


def test_what_comes_too_late_widens_the_window_until_the_network_calms_down() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push(window, 1, 3, 4, 2) == [(0, 1), (1, 3), (0, 4)]
    assert (window.n_late, window.depth) == (1, 3)
    assert push(window, 5, 7, 8, 6) == [(0, 5), (0, 6), (0, 7), (0, 8)], "now it is waited for"
    push(window, *range(9, 9 + 250))
    assert window.depth == 2


def test_a_late_packet_that_comes_twice_counts_once() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    push(window, 1, 3, 4, 2, 2)
    assert (window.n_late, window.n_duplicate) == (1, 1)


def test_a_sender_that_begins_anew_is_believed_at_the_second_packet() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    push(window, 1, 2)
    assert push(window, 30_000) == []
    assert push(window, 30_001, 30_002) == [(0, 30_001), (0, 30_002)]


def test_one_packet_from_nowhere_changes_nothing() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push(window, 1, 40_000, 2, 40_001, 3) == [(0, 1), (0, 2), (0, 3)]


@given(st.integers(0, 65_535), st.integers(0, 2**32), st.floats(0, 0.5), st.floats(0, 0.5))
def test_nothing_comes_out_twice_or_out_of_order_and_nothing_in_time_is_dropped(
    first: int, seed: int, loss: float, delayed: float
) -> None:
    chance = random.Random(seed)
    arrivals = []
    for n in range(200):
        if n == 0 or chance.random() >= loss:
            arrivals.append((n + (1.5 if n and chance.random() < delayed else 0.0), n))
    arrivals.sort()
    window: ReorderWindow[int] = ReorderWindow()
    released: Released = []
    for at, n in arrivals:
        now = 0.02 * at
        released += window.expire(now)
        released += window.push(first + n & 0xFFFF, n, now)
    released += window.expire(1e9)
    numbers = [number for _, number in released]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + window.n_late == len(arrivals), "each is heard or counted as late"
    position = -1
    for n_lost, number in released:
        position += n_lost + 1
        assert position == number


@given(st.lists(st.tuples(st.integers(0, 65_535), st.floats(0, 0.1)), max_size=200))
def test_any_numbers_are_survived_and_little_is_kept(arrivals: list[tuple[int, float]]) -> None:
    window: ReorderWindow[int] = ReorderWindow()
    now, n_out = 0.0, 0
    for number, pause in arrivals:
        now += pause
        n_out += len(window.expire(now)) + len(window.push(number, number, now))
        assert len(window._held) <= 8
        assert len(window._given_up) <= 100
    assert n_out <= len(arrivals)

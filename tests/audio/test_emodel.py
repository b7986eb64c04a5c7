from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.audio.emodel import (
    MAX_MOS,
    MIN_MOS,
    burst_ratio,
    delay_impairment,
    equipment_with_loss,
    mean_opinion,
    opus_impairment,
    rating,
)

ANY = st.floats(allow_nan=True, allow_infinity=True)


def mos(*, bit_rate: float = 32_000, loss: float = 0.0, bursts: float = 1.0, delay: float = 0.1) -> float:
    equipment = opus_impairment(bit_rate)
    return mean_opinion(rating(equipment=equipment, loss=loss, burst_ratio=bursts, delay=delay))


@pytest.mark.parametrize(
    ("r", "opinion"),
    [(100, 4.5), (93.2, 4.41), (90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0)],
)
def test_opinions_are_those_of_g_107_table_b_1_on_the_fullband_scale(r: float, opinion: float) -> None:
    assert mean_opinion(1.48 * r) == pytest.approx(opinion, abs=0.0065)


@pytest.mark.parametrize(
    ("delay", "impairment"),
    [(0.0, 0.0), (0.1, 0.0), (0.15, 0.164), (0.2, 3.0444), (0.3, 14.761), (0.4, 24.070), (0.8, 40.8325)],
)
def test_delay_impairs_as_g_107_has_it_times_the_fullband_scale(delay: float, impairment: float) -> None:
    assert delay_impairment(delay) == pytest.approx(1.48 * impairment, abs=0.001)


def test_delay_hurts_at_most_as_far_as_its_formula_goes() -> None:
    # X − 3·X/3 + 2 for long delays: 50 on the scale of G.107
    assert delay_impairment(1e9) == pytest.approx(1.48 * 50, abs=0.1)


@pytest.mark.parametrize(
    ("equipment", "percent", "bursts", "effective"),
    [
        (10.7, 0.0, 1.0, 10.7),
        (10.7, 10.6, 1.0, 71.35),  # as much as the robustness: half way to 132
        (0.0, 10.6, 2.0, 88.0),  # 132 · 10.6 / (5.3 + 10.6)
        (16.3, 100.0, 1.0, 120.911),
        (16.3, 100.0, 2.0, 132.0),  # the formula would go beyond
    ],
)
def test_losses_impair_as_g_107_2_has_it(
    equipment: float, percent: float, bursts: float, effective: float
) -> None:
    assert equipment_with_loss(equipment, percent / 100, bursts) == pytest.approx(effective, abs=0.001)


@pytest.mark.parametrize(
    ("kbps", "impairment"),
    [
        (6, 77.8),
        (13, 39.0),
        (14, 38.1),
        (16, 30.2),
        (31, 16.8),
        (40, 10.7),
        (48, 10.7),
        (510, 10.7),
        (1, 77.8),
    ],
)
def test_the_bit_rate_tells_what_opus_costs(kbps: float, impairment: float) -> None:
    assert opus_impairment(1000 * kbps) == pytest.approx(impairment, abs=0.001)


@pytest.mark.parametrize(
    ("toc", "impairment"),
    [
        (b"\x08", 54.8),  # SILK, narrowband, 20 ms
        (b"\x48", 19.0),  # SILK, wideband
        (b"\x78", 10.7),  # hybrid, fullband
        (b"\x98", 54.8),  # CELT, narrowband
        (b"\xb8", 19.0),  # CELT, wideband
        (b"\xfc", 10.7),  # CELT, fullband, stereo
        (b"", 10.7),
    ],
)
def test_missing_bandwidth_costs_at_any_bit_rate(toc: bytes, impairment: float) -> None:
    assert opus_impairment(64_000, toc) == impairment
    assert opus_impairment(6_000, toc) == 77.8


def test_five_percent_of_loss_is_a_clear_loss_of_quality() -> None:
    clean, lossy = mos(), mos(loss=0.05)
    assert clean == pytest.approx(4.32, abs=0.01)
    assert lossy == pytest.approx(3.31, abs=0.01)
    assert mos(loss=0.01) == pytest.approx(4.11, abs=0.01)


def test_bursts_are_worse_than_the_same_loss_at_random() -> None:
    at_random, doubled, tripled = (mos(loss=0.05, bursts=ratio) for ratio in (1.0, 2.0, 3.0))
    assert at_random - doubled > 0.2
    assert tripled == doubled  # beyond what the model is valid for


@given(st.floats(0, 1), st.floats(0, 1), st.floats(1, 4), st.floats(0, 3), st.floats(6_000, 64_000))
def test_more_loss_is_never_better(a: float, b: float, bursts: float, delay: float, bit_rate: float) -> None:
    less, more = sorted((a, b))
    rest = {"bursts": bursts, "delay": delay, "bit_rate": bit_rate}
    assert mos(loss=more, **rest) <= mos(loss=less, **rest) + 1e-9


@given(st.floats(0, 5), st.floats(0, 5), st.floats(0, 0.3), st.floats(6_000, 64_000))
def test_more_delay_is_never_better(a: float, b: float, loss: float, bit_rate: float) -> None:
    less, more = sorted((a, b))
    assert (
        mos(delay=more, loss=loss, bit_rate=bit_rate) <= mos(delay=less, loss=loss, bit_rate=bit_rate) + 1e-9
    )


@given(st.floats(0, 600_000), st.floats(0, 600_000), st.floats(0, 1), st.floats(1, 4))
def test_a_higher_bit_rate_is_never_worse(a: float, b: float, loss: float, bursts: float) -> None:
    low, high = sorted((a, b))
    assert mos(bit_rate=high, loss=loss, bursts=bursts) >= mos(bit_rate=low, loss=loss, bursts=bursts) - 1e-9


@given(st.floats(1, 10), st.floats(1, 10), st.floats(0, 1))
def test_longer_bursts_are_never_better(a: float, b: float, loss: float) -> None:
    short, long = sorted((a, b))
    assert mos(loss=loss, bursts=long) <= mos(loss=loss, bursts=short) + 1e-9


@given(ANY, ANY, ANY, ANY)
def test_whatever_is_measured_the_opinion_is_on_its_scale(a: float, b: float, c: float, d: float) -> None:
    assert MIN_MOS <= mos(bit_rate=a, loss=b, bursts=c, delay=d) <= MAX_MOS
    assert MIN_MOS <= mean_opinion(a) <= MAX_MOS


def test_what_is_no_number_is_no_praise_for_the_codec() -> None:
    assert opus_impairment(math.nan) == opus_impairment(0) == 77.8


def runs_of(lost: list[bool]) -> int:
    return sum(1 for is_lost, _ in itertools.groupby(lost) if is_lost)


@pytest.mark.parametrize(("loss", "ratio"), [(0.01, 1.0), (0.05, 1.0), (0.2, 1.0), (0.05, 2.0), (0.05, 4.0)])
def test_the_burst_ratio_of_a_channel_is_found_in_what_it_lost(loss: float, ratio: float) -> None:
    # Two states (Gilbert): runs of ratio / (1 − loss) packets on average, of the whole a part that is lost.
    random = np.random.default_rng(4)
    leave = (1 - loss) / ratio
    enter = leave * loss / (1 - loss)
    lost = [False]
    for throw in random.random(100_000):
        lost.append(bool(throw >= leave if lost[-1] else throw < enter))
    n_lost = sum(lost)
    assert n_lost / len(lost) == pytest.approx(loss, rel=0.1)
    assert burst_ratio(n_lost, runs_of(lost), n_lost / len(lost)) == pytest.approx(ratio, rel=0.1)


def test_where_runs_are_not_counted_losses_are_taken_to_be_independent() -> None:
    assert burst_ratio(20, 0, 0.1) == 1.0
    assert burst_ratio(0, 0, 0.0) == 1.0

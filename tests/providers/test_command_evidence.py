"""The rejection rule, on hypotheses made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.providers.command_evidence import (
    THRESHOLD,
    WEIGHTS,
    Evidence,
    Hearing,
    Segment,
    distance,
    weigh,
)

STOP = ("S", "T", "AA", "P")
PHONES = st.lists(st.sampled_from(["S", "T", "AA", "P", "IY", "M", "L"]), max_size=8)

HEARD = Hearing(
    command=[Segment("<sil>", 0, 9, -100.0), Segment("stop", 10, 49, -800.0)],
    free=[Segment("<s>", 0, 9, -100.0), Segment("stop", 10, 49, -800.0)],
    phones=[
        Segment("SIL", 0, 9, -100.0),
        *(Segment(phone, 10 + 10 * n, 19 + 10 * n, -200.0) for n, phone in enumerate(STOP)),
    ],
    command_phones=STOP,
    free_phones=STOP,
    n_free_words=1,
    language_gap=0.0,
)


def test_a_command_that_all_decoders_hear_is_without_doubt() -> None:
    assert weigh(HEARD) == Evidence(
        shortfall=0.0,
        misheard=0.0,
        length=math.log(2),
        language=0.0,
        phone_distance=0.0,
        phone_gap=0.0,
    )
    assert weigh(HEARD).is_command


def test_each_figure_is_worse_when_the_command_is_not_what_was_said() -> None:
    other = Hearing(
        command=HEARD.command,
        free=[Segment("<s>", 0, 9, -100.0), Segment("shot(2)", 10, 49, -300.0)],
        phones=[Segment("SIL", 0, 9, -100.0), Segment("SH", 10, 29, -50.0), Segment("T", 30, 49, -50.0)],
        command_phones=STOP,
        free_phones=("SH", "AA", "T"),
        n_free_words=1,
        language_gap=-3.0,
    )
    assert weigh(other) == Evidence(
        shortfall=-0.5,
        misheard=(0.5 + 1.0 + 0.5) / 4,
        length=math.log(2),
        language=-3.0,
        phone_distance=(0.5 + 1.0 + 1.0) / 4,
        phone_gap=-700 / 40 / 20,
    )
    assert weigh(other).log_odds < weigh(HEARD).log_odds


def test_figures_are_bounded_whatever_the_decoders_say() -> None:
    wild = weigh(
        replace(
            HEARD,
            free=[Segment("a", 0, 49, 1e9)],
            phones=[Segment("AA", 0, 49, 1e9)],
            free_phones=STOP * 20,
            language_gap=1e9,
        )
    )
    assert (wild.shortfall, wild.misheard, wild.language, wild.phone_gap) == (-8.0, 1.2, 20.0, -3.0)
    assert not wild.is_command


def test_decoders_may_hear_nothing_but_the_command() -> None:
    alone = weigh(replace(HEARD, free=[], phones=[], free_phones=(), n_free_words=0))
    assert (alone.misheard, alone.length, alone.phone_distance) == (1.0, 0.0, 1.0)


def test_a_command_is_what_the_odds_are_for() -> None:
    sure = weigh(HEARD)
    assert sure.log_odds == pytest.approx(WEIGHTS[2] * math.log(2) + WEIGHTS[-1])
    assert sure.is_command == (sure.log_odds > THRESHOLD)


@given(PHONES, PHONES, PHONES)
def test_the_distance_between_phones_is_a_distance(
    one: list[str], other: list[str], third: list[str]
) -> None:
    assert distance(one, one) == 0.0
    assert distance(one, other) == distance(other, one)
    assert (distance(one, other) == 0.0) == (one == other)
    assert distance(one, third) <= distance(one, other) + distance(other, third) + 1e-9
    assert distance(one, other) <= max(len(one), len(other))


@pytest.mark.parametrize(
    ("one", "other", "cost"),
    [
        ("P", "B", 0.5),
        ("IY", "AA", 0.8),
        ("S", "T", 0.8),
        ("ER", "AA", 0.8),
        ("L", "ER", 0.5),
        ("S", "IY", 1.0),
    ],
)
def test_like_phones_cost_less_than_unlike_ones(one: str, other: str, cost: float) -> None:
    assert distance([one], [other]) == cost

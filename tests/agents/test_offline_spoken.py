from datetime import date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.agents import offline_spoken as spoken


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (144, "one hundred and forty-four"),
        (999, "nine hundred and ninety-nine"),
        (1000, "one thousand"),
        (1005, "one thousand and five"),
        (1200, "one thousand two hundred"),
        (1_000_001, "one million and one"),
        (-7, "minus seven"),
        (10**21, spoken.TOO_BIG),
    ],
)
def test_integers(number: int, words: str) -> None:
    assert spoken.number_in_words(number) == words


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (Fraction(5), "five"),
        (Fraction(5, 2), "two and a half"),
        (Fraction(1, 2), "a half"),
        (Fraction(-1, 2), "minus a half"),
        (Fraction(-7, 4), "minus one and three quarters"),
        (Fraction(4, 3), "one and a third"),
        (Fraction(1, 8), "zero point one two five"),
        (Fraction(7, 5), "one point four"),
        (Fraction(22, 7), "about three point one four three"),
        (Fraction(-22, 7), "about minus three point one four three"),
        (Fraction(10_000, 3333), "about three"),
        (Fraction(1, 10**6), "almost zero"),
        (Fraction(-1, 10**6), "almost zero"),
        (Fraction(2 * 10**21 + 1, 2), spoken.TOO_BIG),
        (Fraction(-(10**21)), spoken.TOO_BIG),
    ],
)
def test_amounts(amount: Fraction, words: str) -> None:
    assert spoken.amount_in_words(amount) == words


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        ("00:00", "midnight"),
        ("00:20", "twenty past midnight"),
        ("01:01", "one minute past one in the morning"),
        ("08:07", "seven minutes past eight in the morning"),
        ("10:15", "a quarter past ten in the morning"),
        ("11:40", "twenty to noon"),
        ("12:00", "noon"),
        ("12:30", "half past twelve in the afternoon"),
        ("15:20", "twenty past three in the afternoon"),
        ("15:00", "three o'clock in the afternoon"),
        ("18:45", "a quarter to seven in the evening"),
        ("22:35", "twenty-five to eleven at night"),
        ("23:59", "one minute to midnight"),
    ],
)
def test_times_of_day(clock: str, words: str) -> None:
    assert spoken.time_in_words(datetime.fromisoformat(f"2026-11-20T{clock}")) == words


def test_every_minute_of_the_day_is_said_in_a_way_of_its_own() -> None:
    midnight = datetime(2026, 11, 20)
    day = [spoken.time_in_words(midnight + timedelta(minutes=minute)) for minute in range(24 * 60)]
    assert len(set(day)) == 24 * 60


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2026, 11, 20), "Friday, the twentieth of November, twenty twenty-six"),
        (date(2000, 1, 1), "Saturday, the first of January, two thousand"),
        (date(2001, 2, 3), "Saturday, the third of February, two thousand and one"),
        (date(1905, 5, 12), "Friday, the twelfth of May, nineteen oh five"),
        (date(1900, 8, 31), "Friday, the thirty-first of August, nineteen hundred"),
        (date(2010, 6, 22), "Tuesday, the twenty-second of June, twenty ten"),
    ],
)
def test_dates(day: date, words: str) -> None:
    assert spoken.date_in_words(day) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(4, "fourth"), (5, "fifth"), (8, "eighth"), (9, "ninth"), (11, "eleventh"), (30, "thirtieth")],
)
def test_ordinals(number: int, words: str) -> None:
    assert spoken.ordinal_in_words(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "one second"),
        (90, "one minute and thirty seconds"),
        (3600, "one hour"),
        (3723, "one hour, two minutes and three seconds"),
    ],
)
def test_lengths_of_time(seconds: int, words: str) -> None:
    assert spoken.duration_in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than a second"),
        (59.6, "one minute"),
        (299.5, "five minutes"),
        (312.4, "five minutes and twelve seconds"),
        (600.0, "about ten minutes"),
        (4000.0, "about one hour and seven minutes"),
    ],
)
def test_what_is_left_is_said_no_more_precisely_than_it_matters(seconds: float, words: str) -> None:
    assert spoken.remaining_in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "one second timer"),
        (60, "one minute timer"),
        (90, "ninety second timer"),
        (300, "five minute timer"),
        (1800, "thirty minute timer"),
        (3600, "one hour timer"),
        (5400, "ninety minute timer"),
        (7200, "two hour timer"),
        (130, "timer for two minutes and ten seconds"),
        (12_600, "timer for three hours and thirty minutes"),
    ],
)
def test_timers_are_named_by_their_length(seconds: int, words: str) -> None:
    assert spoken.timer_in_words(seconds) == words


@given(st.integers(-(10**24), 10**24), st.integers(1, 10**6))
def test_every_amount_can_be_said_in_plain_words(whole: int, divisor: int) -> None:
    words = spoken.amount_in_words(Fraction(whole, divisor)).replace("-", " ").split()
    assert words
    assert all(word.isalpha() for word in words)

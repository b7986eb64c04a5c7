from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.agents.offline_spoken import amount_in_words, duration_in_words, number_in_words
from voicertc.agents.offline_values import Sum, read_duration, read_number, read_sum
from voicertc.agents.offline_words import MAX_LENGTH, normalise

CONTRACTIONS = {"what's": "what is", "whats": "what is", "ok": "okay"}


def words(text: str) -> str:
    return " ".join(normalise(text, CONTRACTIONS, ignored=("um",)))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("What's the time?", "what is the time"),
        ("what\u2019s THE time", "what is the time"),
        ("Um, OK... \u201cstop\u201d!", "okay stop"),
        ("Set a 5-minute timer.", "set a five minute timer"),
        ("twenty-five", "twenty five"),
        ("12*12=", "twelve times twelve equals"),
        ("12x12", "twelve x twelve"),
        ("7-5", "seven minus five"),
        ("7 - -5", "seven minus minus five"),
        ("12x-5", "twelve x minus five"),
        ("-5 + 3", "minus five plus three"),
        ("9/3", "nine divided by three"),
        ("1,250", "one thousand two hundred and fifty"),
        ("2.50", "two point five zero"),
        (".5", "zero point five"),
        ("12 times 12.", "twelve times twelve"),
        ("10% of 50", "ten percent of fifty"),
        ("90s", "ninety s"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_text_becomes_plain_words(text: str, plain: str) -> None:
    assert words(text) == plain


@pytest.mark.parametrize("text", ["10:30", "1,5", "1.2.3", "(2", "$5", "2^3", "@", "1" * 16])
def test_what_could_change_the_meaning_stays_as_a_word_of_its_own(text: str) -> None:
    assert not words(text).replace(" ", "").isalpha()


def test_a_very_long_text_is_not_looked_at() -> None:
    assert words("a" * MAX_LENGTH) != ""
    assert words("a" * (MAX_LENGTH + 1)) == ""


@given(st.text(max_size=80))
def test_no_text_makes_it_fail(text: str) -> None:
    assert all(word and word == word.strip() for word in normalise(text, CONTRACTIONS))


@given(st.integers(-(10**12), 10**12))
def test_a_number_is_read_as_it_is_said(number: int) -> None:
    assert read_number(words(number_in_words(number)).split()) == number


@given(st.integers(-(10**9), 10**9), st.sampled_from([1, 2, 10, 100, 1000]))
def test_figures_with_a_point_are_read_exactly(whole: int, divisor: int) -> None:
    amount = Fraction(whole, divisor)
    assert read_number(words(f"{float(amount):.3f}").split()) == amount


@given(st.integers(0, 10**6))
def test_an_amount_of_halves_is_read_as_it_is_said(halves: int) -> None:
    assert read_number(words(amount_in_words(Fraction(halves, 2))).split()) == Fraction(halves, 2)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("a hundred and five", Fraction(105)),
        ("two and a half", Fraction(5, 2)),
        ("half", Fraction(1, 2)),
        ("a half", Fraction(1, 2)),
        ("minus two point five", Fraction(-5, 2)),
        ("a thousand and one", Fraction(1001)),
        ("two million three hundred thousand", Fraction(2_300_000)),
    ],
)
def test_numbers_in_words_are_read(text: str, number: Fraction) -> None:
    assert read_number(text.split()) == number


@given(st.integers(1, 100_000))
def test_a_length_of_time_is_read_as_it_is_said(seconds: int) -> None:
    assert read_duration(words(duration_in_words(seconds)).split()) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("five minutes", 300),
        ("half an hour", 1800),
        ("half hour", 1800),
        ("a quarter of an hour", 900),
        ("three quarters of an hour", 2700),
        ("an hour and a half", 5400),
        ("two and a half hours", 9000),
        ("one minute and thirty seconds", 90),
        ("one minute thirty seconds", 90),
        ("a hundred and five minutes and one second", 6301),
        ("ninety seconds", 90),
        ("one hr twenty min and five s", 4805),
        ("two minutes and a half", 150),
        ("half a minute", 30),
        ("five minute", 300),
    ],
)
def test_lengths_of_time_are_read(text: str, seconds: int) -> None:
    assert read_duration(text.split()) == seconds


def test_a_sum_keeps_signs_apart_from_strokes() -> None:
    assert read_sum(["minus", "five", "minus", "minus", "three"]) == Sum(
        (Fraction(-5), Fraction(-3)), ("minus",)
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("twelve times twelve", Fraction(144)),
        ("two plus three times four", Fraction(14)),
        ("ten minus two minus three", Fraction(5)),
        ("seven divided by two", Fraction(7, 2)),
        ("two multiplied by two x two", Fraction(8)),
        ("ten percent of fifty", Fraction(5)),
        ("six over four", Fraction(3, 2)),
        ("two and a half plus one hundred and one", Fraction(207, 2)),
        ("one divided by zero", None),
        ("one plus one divided by zero", None),
    ],
)
def test_sums_are_exact(text: str, result: Fraction | None) -> None:
    assert read_sum(text.split()).result() == result

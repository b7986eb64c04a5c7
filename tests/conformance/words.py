"""The words of the long answer, and the tones they are spoken with: a spectrum tells which word was heard."""

from __future__ import annotations

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty")

COUNTED = (
    *_ONES,
    *_TEENS,
    *(ten + one for ten in _TENS for one in ("", *(f"-{one}" for one in _ONES))),
    "forty",
)
"""One to forty."""

STORY = ", ".join(COUNTED) + "."
"""The long answer: a word for each number."""

WORD_SECONDS = 0.3
"""Seconds that each word takes: forty of them take twelve."""

_OTHER_HZ = 300.0
_STEP_HZ = 50.0


def frequency_of(word: str) -> float:
    """Return the tone of a word in Hz: 350 to 2300 for the numbers, 300 for all others."""
    plain = word.strip(".,:;!?").lower()
    return _OTHER_HZ + _STEP_HZ * (COUNTED.index(plain) + 1 if plain in COUNTED else 0)


def number_of(frequency: float) -> int:
    """Return which number a tone stands for, 0 for any other word."""
    return round((frequency - _OTHER_HZ) / _STEP_HZ)


def counted_in(text: str | None) -> int:
    """Return up to which number ``text`` counts; fail unless it is the beginning of the long answer."""
    words = [word.strip(".,") for word in (text or "").split()]
    assert words == list(COUNTED[: len(words)]), text
    return len(words)

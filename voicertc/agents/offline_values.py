"""From words that a phrase has already accepted to the value they stand for.

Whatever stands here may assume that the words are well formed: the rules in ``offline_en.toml`` let nothing
else through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from .offline_spoken import SCALES, SMALL, TENS

_ONES = {word: value for value, word in enumerate(SMALL)} | {"a": 1, "an": 1}
_TENS = {word: 10 * count for count, word in enumerate(TENS) if count > 1}
_SCALES = {word: 1000**power for power, word in enumerate(SCALES) if power}
_UNITS = {
    **dict.fromkeys(("second", "seconds", "sec", "secs", "s"), 1),
    **dict.fromkeys(("minute", "minutes", "min", "mins", "m"), 60),
    **dict.fromkeys(("hour", "hours", "hr", "hrs", "h"), 3600),
}
_OPERATORS = {"plus": "plus", "minus": "minus", "times": "times", "x": "times", "over": "divided by"}
_OPERATORS |= {"multiplied": "times", "divided": "divided by", "percent": "percent of"}


@dataclass(frozen=True, slots=True)
class Sum:
    """Numbers, and between each two ``plus``, ``minus``, ``times``, ``divided by`` or ``percent of``."""

    numbers: tuple[Fraction, ...]
    operators: tuple[str, ...]

    def result(self) -> Fraction | None:
        """Return the exact result, multiplying before adding; ``None`` if it divides by zero."""
        total, term = Fraction(0), self.numbers[0]
        for operator, number in zip(self.operators, self.numbers[1:], strict=True):
            match operator:
                case "times":
                    term *= number
                case "percent of":
                    term *= number / 100
                case "divided by":
                    if number == 0:
                        return None
                    term /= number
                case _:
                    total, term = total + term, number if operator == "plus" else -number
        return total + term


def read_number(words: Sequence[str]) -> Fraction:
    """Read a number: "a hundred and five", "minus two point five", "two and a half"."""
    if words[0] == "minus":
        return -read_number(words[1:])
    if words[-1] == "half":
        return Fraction(1, 2) + (read_number(words[:-3]) if len(words) > 2 else 0)
    if "point" in words:
        point = list(words).index("point")
        figures = "".join(str(_ONES[word]) for word in words[point + 1 :])
        return read_number(words[:point]) + Fraction(int(figures), 10 ** len(figures))
    total = group = 0
    for word in words:
        if word in _SCALES:
            total, group = total + group * _SCALES[word], 0
        elif word == "hundred":
            group *= 100
        elif word != "and":
            group += _ONES[word] if word in _ONES else _TENS[word]
    return Fraction(total + group)


def read_duration(words: Sequence[str]) -> Fraction:
    """Read a length of time in seconds: "an hour and a half", "two minutes and thirty seconds"."""
    seconds, unit = Fraction(0), 0
    count: list[str] = []
    for word in words:
        if word in _UNITS:
            unit = _UNITS[word]
            seconds += _read_count(count) * unit
            count = []
        else:
            count.append(word)
    return seconds + (_read_count(count) * unit if count else 0)


def _read_count(words: Sequence[str]) -> Fraction:
    """Read what stands before a unit: "half an", "three quarters of an", "and thirty", "two and a half"."""
    if words[0] == "and":
        words = words[1:]
    if "half" in words:
        return read_number([*words[: words.index("half")], "half"])
    if "quarter" in words or "quarters" in words:
        return Fraction(3 if words[0] == "three" else 1, 4)
    return read_number(words)


def read_sum(words: Sequence[str]) -> Sum:
    """Read a sum; "minus" at the start of a number is its sign."""
    numbers: list[Fraction] = []
    operators: list[str] = []
    number: list[str] = []
    for word in words:
        if word in _OPERATORS and number and number[-1] != "minus":
            numbers.append(read_number(number))
            operators.append(_OPERATORS[word])
            number = []
        elif word not in {"by", "of"}:
            number.append(word)
    return Sum((*numbers, read_number(number)), tuple(operators))


Value = Fraction | Sum
"""What a slot can hold."""

READERS: Final[Mapping[str, Callable[[Sequence[str]], Value]]] = {
    "number": read_number,
    "duration": read_duration,
    "span": read_duration,
    "sum": read_sum,
}
"""How each slot is read. A ``span`` is a duration said as an adjective: "five minute"."""

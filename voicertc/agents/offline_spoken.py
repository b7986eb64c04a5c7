"""Numbers, times, dates and lengths of time in English words, the way a person would say them."""

from __future__ import annotations

from datetime import date, datetime
from fractions import Fraction
from typing import Final

SMALL: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
"""The numbers that have a word of their own, from 0."""
TENS: Final = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
"""The tens, from 0."""
SCALES: Final = ("", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion")
"""The powers of a thousand, from the zeroth."""
TOO_BIG: Final = "a number too big for me to say"

_LIMIT = 1000 ** len(SCALES)
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"}
_ORDINALS |= {"nine": "ninth", "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth"}
_PARTS = {
    Fraction(1, 2): "a half",
    Fraction(1, 3): "a third",
    Fraction(2, 3): "two thirds",
    Fraction(1, 4): "a quarter",
    Fraction(3, 4): "three quarters",
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
_UNITS = (("hour", 3600), ("minute", 60), ("second", 1))


def number_in_words(number: int) -> str:
    """Say an integer: 144 is "one hundred and forty-four". Beyond 10²¹ it is ``TOO_BIG``."""
    if abs(number) >= _LIMIT:
        return TOO_BIG
    if number < 0:
        return f"minus {number_in_words(-number)}"
    if number < 1000:
        return _below_thousand(number)
    groups: list[str] = []
    for scale in SCALES:
        number, group = divmod(number, 1000)
        if group:
            words = _below_thousand(group)
            small = not scale and group < 100
            groups.append(f"and {words}" if small else f"{words} {scale}".rstrip())
    return " ".join(reversed(groups))


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if hundreds:
        return f"{SMALL[hundreds]} hundred" + (f" and {_below_thousand(rest)}" if rest else "")
    if number < len(SMALL):
        return SMALL[number]
    tens, ones = divmod(number, 10)
    return f"{TENS[tens]}-{SMALL[ones]}" if ones else TENS[tens]


def ordinal_in_words(number: int) -> str:
    """Say which one, 1–99: 20 is "twentieth", 31 is "thirty-first"."""
    *front, last = number_in_words(number).split("-")
    return "-".join([*front, _ORDINALS.get(last, f"{last}th")])


def amount_in_words(amount: Fraction) -> str:
    """Say any number: "two and a half", "minus three quarters", "about three point one four two"."""
    if abs(amount) >= _LIMIT:
        return TOO_BIG
    if amount < 0:
        words = amount_in_words(-amount)
        if words.startswith("about "):
            return f"about minus {words[6:]}"
        return words if words == "almost zero" else f"minus {words}"
    whole, part = divmod(amount, 1)
    if not part:
        return number_in_words(int(whole))
    if part in _PARTS:
        return f"{number_in_words(int(whole))} and {_PARTS[part]}" if whole else _PARTS[part]
    thousandths = round(amount * 1000)
    if not thousandths:
        return "almost zero"
    whole_rounded, decimals = divmod(thousandths, 1000)
    words = number_in_words(whole_rounded)
    figures = f"{decimals:03}".rstrip("0")
    if figures:
        words = " ".join([words, "point", *(SMALL[int(figure)] for figure in figures)])
    return words if Fraction(thousandths, 1000) == amount else f"about {words}"


def time_in_words(moment: datetime) -> str:
    """Say the time of day: "twenty past three in the afternoon", "midnight"."""
    hour, minute = moment.hour, moment.minute
    if minute == 0:
        return _hour_name(hour) or f"{SMALL[hour % 12]} o'clock {_part_of_day(hour)}"
    if minute > 30:
        following = (hour + 1) % 24
        of_hour = _hour_name(following) or f"{SMALL[following % 12]} {_part_of_day(hour)}"
        return f"{_minutes(60 - minute)} to {of_hour}"
    of_hour = "midnight" if hour == 0 else f"{SMALL[hour % 12 or 12]} {_part_of_day(hour)}"
    return f"{_minutes(minute)} past {of_hour}"


def _hour_name(hour: int) -> str | None:
    return {0: "midnight", 12: "noon"}.get(hour)


def _minutes(minutes: int) -> str:
    if minutes in {15, 30}:
        return "half" if minutes == 30 else "a quarter"
    words = number_in_words(minutes)
    return words if minutes % 5 == 0 else f"{words} minute{'s' if minutes > 1 else ''}"


def _part_of_day(hour: int) -> str:
    if hour < 12:
        return "in the morning"
    if hour < 18:
        return "in the afternoon"
    return "in the evening" if hour < 22 else "at night"


def weekday_in_words(day: date) -> str:
    """Say the day of the week."""
    return _DAYS[day.weekday()]


def date_in_words(day: date) -> str:
    """Say a date: "Friday, the twentieth of November, twenty twenty-six"."""
    month = _MONTHS[day.month - 1]
    return f"{weekday_in_words(day)}, the {ordinal_in_words(day.day)} of {month}, {year_in_words(day.year)}"


def month_in_words(day: date) -> str:
    """Say the month and its year: "November, twenty twenty-six"."""
    return f"{_MONTHS[day.month - 1]}, {year_in_words(day.year)}"


def year_in_words(year: int) -> str:
    """Say a year, 1000–9999: "nineteen oh five", "two thousand and one", "twenty twenty-six"."""
    century, rest = divmod(year, 100)
    if century % 10 == 0 and rest < 10:
        return number_in_words(year)
    if rest == 0:
        return f"{number_in_words(century)} hundred"
    return f"{number_in_words(century)} {'oh ' if rest < 10 else ''}{number_in_words(rest)}"


def duration_in_words(seconds: int) -> str:
    """Say a length of time of whole seconds: "one hour, two minutes and three seconds"."""
    parts: list[str] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{number_in_words(count)} {unit}{'s' if count > 1 else ''}")
    return in_a_row(parts) or "no time"


def remaining_in_words(seconds: float) -> str:
    """Say how long something still takes: to the second within ten minutes, else to the minute."""
    if seconds < 1:
        return "less than a second"
    if seconds < 600:
        return duration_in_words(round(seconds))
    return f"about {duration_in_words(round(seconds / 60) * 60)}"


def timer_in_words(seconds: int) -> str:
    """Name a timer by its length: "five minute timer", "ninety second timer", "timer for one hour and …"."""
    for unit, size in _UNITS:
        count, rest = divmod(seconds, size)
        if rest == 0 and (count > 1 or seconds == size) and count * size < size * 120:
            return f"{number_in_words(count)} {unit} timer"
    return f"timer for {duration_in_words(seconds)}"


def in_a_row(parts: list[str], last: str = "and") -> str:
    """Join: "one, two and three"."""
    return f" {last} ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))

"""From what a keyboard or a recognizer gives to a plain row of words.

    "What's 12*12?"  ->  what is twelve times twelve

Everything that could change the meaning and is not understood here (a bracket, a currency sign, a colon
between digits) stays in the row as a word of its own, which no phrase contains: better not understood
than misunderstood.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .offline_spoken import number_in_words

MAX_LENGTH = 400
"""Characters of text that are looked at; longer ones are no command, and searching them costs time."""

_SYMBOLS = {"+": "plus", "*": "times", "×": "times", "÷": "divided by", "/": "divided by", "=": "equals"}
_SYMBOLS |= {"−": "minus", "%": "percent"}
_TOKEN = re.compile(
    r"""(?P<number>\.?\d(?:[\d.,:]*\d)?)
      | (?P<letters>[^\W\d_]+(?:'[^\W\d_]+)*)
      | (?P<minus>-(?=\s*[-.\d]))
      | (?P<ignored>[\s.,!?;"“”„…–—'-])
      | (?P<symbol>.)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"(?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?:\.(?P<part>\d+))?")
_MAX_DIGITS = 15


def normalise(text: str, contractions: Mapping[str, str], ignored: Collection[str] = ()) -> tuple[str, ...]:
    """Return ``text`` as lower-case words: contractions and figures written out, punctuation gone.

    ``contractions``: from one word to one or several. ``ignored``: words that carry no meaning ("um").
    Text beyond ``MAX_LENGTH`` gives the empty row.
    """
    if len(text) > MAX_LENGTH:
        return ()
    words: list[str] = []
    for token in _TOKEN.finditer(text.lower().replace("’", "'").replace("‘", "'")):
        match token.lastgroup:
            case "number":
                words += _figures(token.group())
            case "letters":
                words += contractions.get(token.group(), token.group()).split()
            case "minus":
                words.append("minus")
            case "symbol":
                words += _SYMBOLS.get(token.group(), token.group()).split()
    return tuple(word for word in words if word not in ignored)


def _figures(token: str) -> list[str]:
    """Write a number out ("2.5" is "two point five"); anything doubtful stays as it is."""
    number = _NUMBER.fullmatch(token)
    if number is None or len(token) > _MAX_DIGITS:
        return [token]
    whole = number["whole"].replace(",", "") or "0"
    words = number_in_words(int(whole)).replace("-", " ").split()
    if number["part"]:
        words += ["point", *(number_in_words(int(figure)) for figure in number["part"])]
    return words

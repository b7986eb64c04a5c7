"""Whether a voice that is a language model has said what it was given to read, by its own transcript.

Both are compared word by word, without case, punctuation and the contractions that English has ("I'm" is "I
am"). Numbers are not: a transcript may write them in words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

_CONTRACTIONS = (
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"\b(?:can't|cannot)\b"), "can not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'m\b"), " am"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"\blet's\b"), "let us"),
    # Elsewhere 's is a genitive.
    (re.compile(r"\b(it|he|she|that|this|what|there|here|who|where|how)'s\b"), r"\1 is"),
)
_IN_NUMBER = re.compile(r"(?<=\d)[.,:](?=\d)")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ENOUGH = 2
"""Words that must be known before anything can be said of them."""
_MOST_LEFT_OUT = 2
"""Words of the text that may be missing before it counts as left."""


def plain_words(text: str) -> list[str]:
    """Return what of a text can be heard, word by word."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    for contraction, words in _CONTRACTIONS:
        plain = contraction.sub(words, plain)
    return _WORD.findall(_IN_NUMBER.sub("", plain))


def drift(said: str, text: str) -> float:
    """Return how far the words that were said are from the text's: 0 for all the same, 1 for all others."""
    was, should = plain_words(said), plain_words(text)
    if was == should or "".join(was) == "".join(should):  # "straightforward" may be heard as two words
        return 0.0
    return 1.0 - _n_common(was, should) / max(len(was), len(should))


def has_left_the_text(so_far: str, text: str) -> bool:
    """Whether what has been said so far is no beginning of the text, for all that can be told by now."""
    was = plain_words(so_far)
    if so_far and so_far[-1].isalnum():
        was = was[:-1]  # its rest may be on the way
    beginning = plain_words(text)[: len(was) + _MOST_LEFT_OUT]
    if len(was) < _ENOUGH or any(char.isdigit() for word in [*was, *beginning] for char in word):
        return False
    return _n_common(was, beginning) < len(was) / 2


def _n_common(some: Sequence[str], others: Sequence[str]) -> int:
    """Return how many words both have in the same order."""
    blocks = SequenceMatcher(None, some, others, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)

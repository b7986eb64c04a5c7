"""The piece of a reply that is synthesized at once, and how much of it a listener heard.

A *clause* should be long enough to be spoken with a natural melody and short enough to be on its way soon:
the first one may end at a comma, later ones at the end of a sentence.

    "Sure, it is three. What" ──feed──> ["Sure, it is three."]   (the rest waits for more)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SAMPLES_PER_CHARACTER = 1_600
"""A slow reader's pace (15 characters a second) at 24 kHz: the guess while a clause is still synthesized."""

_SENTENCE_END = re.compile(r"""[.!?…。！？]+["'”’)\]]*(?=\s|$)""")
_PHRASE_END = re.compile(r"[,;:](?=\s)|[—–](?=\S|\s)")
_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "no",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "approx",
        "dept",
        "est",
        "fig",
        "jr",
        "sr",
        "a.m",
        "p.m",
        "u.s",
        "u.k",
    ]
)
_MIN_FIRST_CLAUSE = 24
"""Characters before a comma may end the first clause: shorter ones sound chopped."""
_MIN_LATER_CLAUSE = 80
"""The same for later clauses, which have time."""
_MAX_CLAUSE = 240
"""Characters after which a sentence is cut at a space: no voice should wait longer for its text."""


@dataclass(frozen=True, slots=True)
class Clause:
    """``text`` as it is appended to the item, spaces included; its audio's place in the reply, in samples
    at 24 kHz, once it is synthesized (``n_samples`` ``None`` until then)."""

    text: str
    start: int = 0
    n_samples: int | None = None
    marks: tuple[tuple[int, int], ...] = ()
    is_filler: bool = False
    """Whether it only bridges the wait for the agent's own words."""


class ClauseSplitter:
    """Cuts streamed text into clauses whose concatenation is the text.

    A full stop that ends a piece of text ends the clause at once, without waiting for the next token,
    unless it may belong to a number or an abbreviation.
    """

    def __init__(self) -> None:
        self._buffer = ""
        self._is_first = True

    def feed(self, text: str) -> list[str]:
        """Take more text; return the clauses that are complete by now."""
        self._buffer += text
        clauses = []
        while (end := self._find_end()) is not None:
            clauses.append(self._buffer[:end])
            self._buffer = self._buffer[end:]
            self._is_first = False
        return clauses

    def flush(self) -> list[str]:
        """Return what is left, if there is anything in it to say."""
        rest, self._buffer = self._buffer, ""
        return [rest] if is_speakable(rest) else []

    def _find_end(self) -> int | None:
        """Return where the first clause ends, however the text was cut into pieces."""
        ends = [self._sentence_end(), self._phrase_end()]
        found = min((end for end in ends if end is not None), default=None)
        if len(self._buffer) > _MAX_CLAUSE and (found is None or found > _MAX_CLAUSE):
            cut = self._buffer.rfind(" ", 1, _MAX_CLAUSE)
            found = cut if cut > 0 and is_speakable(self._buffer[:cut]) else _MAX_CLAUSE
        return found

    def _sentence_end(self) -> int | None:
        matches = _SENTENCE_END.finditer(self._buffer)
        return next((match.end() for match in matches if self._ends_sentence(match)), None)

    def _phrase_end(self) -> int | None:
        min_length = _MIN_FIRST_CLAUSE if self._is_first else _MIN_LATER_CLAUSE
        matches = _PHRASE_END.finditer(self._buffer)
        ends = (match.end() for match in matches if match.end() >= min_length)
        return next((end for end in ends if is_speakable(self._buffer[:end])), None)

    def _ends_sentence(self, match: re.Match[str]) -> bool:
        before = self._buffer[: match.start()]
        if not is_speakable(before):
            return False
        if match.group()[0] != ".":
            return True
        is_last = match.end() == len(self._buffer)
        if is_last and before[-1].isdigit():
            return False  # "3." may go on as "3.5"
        word = before.split()[-1].lower().lstrip("(\"'“‘[")
        if word in _ABBREVIATIONS:
            return False
        return not (len(word) == 1 and word.isalpha() and word != "i")  # an initial, as in "J. Austen"


def is_speakable(text: str) -> bool:
    """Whether there is anything in ``text`` that makes a sound when it is spoken: a letter or a digit."""
    return any(character.isalnum() for character in text)


def heard_text(clauses: Sequence[Clause], heard_samples: int) -> str:
    """Return the words whose sound had ended when ``heard_samples`` (24 kHz) of a reply were heard.

    By the voice's own word marks where it gave them, else by proportion within the clause; a word that was
    cut in its middle was not heard.
    """
    words = ""
    start = 0
    for clause in clauses:
        if clause.n_samples is not None:
            start = clause.start
        into = heard_samples - start
        if into <= 0:
            break
        n_samples = clause.n_samples
        if n_samples is not None and into >= n_samples:
            words += clause.text
            start += n_samples
            continue
        words += _heard_of_clause(clause, into)
        break
    return words


def _heard_of_clause(clause: Clause, into: int) -> str:
    text = clause.text
    if clause.marks:
        ends = [sample for sample, _ in clause.marks[1:]]
        starts = [text_start for _, text_start in clause.marks[1:]]
        cut = 0
        for end, next_start in zip(ends, starts, strict=True):
            if end > into:
                break
            cut = next_start
        return text[:cut].rstrip()
    total = clause.n_samples if clause.n_samples is not None else len(text) * SAMPLES_PER_CHARACTER
    position = int(len(text) * into / total) if total else 0
    if position >= len(text):
        return text
    cut = text.rfind(" ", 0, position + 1)
    return text[:cut].rstrip() if cut > 0 else ""

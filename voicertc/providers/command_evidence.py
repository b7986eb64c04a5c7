"""Was it really a command? A grammar hears one in anything; this says how far that is from what was said.

Three decoders hear the same sound: the grammar's (*command*), a general language model's (*free*) and a
loop of phones (*phones*). If a command was spoken, the free hypothesis explains the sound hardly better and
sounds alike; if something else was, it explains it much better. Six such figures are weighed by a logistic
regression fitted on human and synthetic speech with and without office noise (``scripts/bench_recognition.py
--fit``). Acoustic scores are pocketsphinx's, in units of 1e-4 nepers, and comparable between the decoders
because each computes all senones (``compallsen``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import accumulate

THRESHOLD = 0.5
"""Log odds from which on a command is accepted; a wrong action is worse than a question."""
_CLASSES = (
    ("P", "B", "T", "D", "K", "G"),
    ("F", "V", "TH", "DH", "S", "Z", "SH", "ZH", "HH"),
    ("CH", "JH"),
    ("M", "N", "NG"),
    ("L", "R", "W", "Y", "ER"),
    ("IY", "IH", "EY", "EH", "AE"),
    ("AA", "AO", "OW", "UH", "UW", "AH"),
    ("AY", "AW", "OY"),
)
_CLASS_OF = {phone: number for number, phones in enumerate(_CLASSES) for phone in phones}
_VOWELS = frozenset((*_CLASSES[5], *_CLASSES[6], *_CLASSES[7], "ER"))


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a hypothesis: a word or phone, its first and last frame (10 ms), its acoustic score."""

    word: str
    start: int
    end: int
    score: float

    @property
    def is_filler(self) -> bool:
        """Whether it is silence or noise, and no word."""
        return self.word[0] in "<[+(" or self.word in ("SIL", "NSN", "SPN")


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the three decoders made of one turn.

    ``command_phones``, ``free_phones``: how their words are pronounced. ``language_gap``: log probability of
    the command's words less that of the free ones, in nepers, both by the general model.
    """

    command: Sequence[Segment]
    free: Sequence[Segment]
    phones: Sequence[Segment]
    command_phones: Sequence[str]
    free_phones: Sequence[str]
    n_free_words: int
    language_gap: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a command, and against it."""

    shortfall: float
    """How much worse the command explains the whole turn than the free hypothesis, in thousands."""
    misheard: float
    """Phonetic distance between the two, per phone of the command."""
    length: float
    """Logarithm of the number of free words: likeness over many words is no accident."""
    language: float
    """How much likelier the command's words are in general English than the free ones."""
    phone_distance: float
    """Phonetic distance between the command and the phones heard without any words."""
    phone_gap: float
    """How much worse the command's words explain their frames than any phones would, per frame."""

    @property
    def log_odds(self) -> float:
        """Positive: it was the command, rather than anything else."""
        *weights, constant = WEIGHTS
        figures: tuple[float, ...] = astuple(self)
        return constant + sum(weight * figure for weight, figure in zip(weights, figures, strict=True))

    @property
    def is_command(self) -> bool:
        """Whether the command is to be acted on."""
        return self.log_odds > THRESHOLD


WEIGHTS = (1.05, -2.2, 2.3, 0.09, -5.0, 1.0, 3.0)
"""One for each figure of ``Evidence``, and the constant."""


def weigh(hearing: Hearing) -> Evidence:
    """Compute the figures; ``hearing`` must have a command of at least one word."""
    words = [segment for segment in hearing.command if not segment.is_filler]
    heard = [segment.word for segment in hearing.phones if segment.word in _CLASS_OF]
    command = hearing.command_phones
    n_frames = 1 + max((segment.end for segment in hearing.free), default=0)
    shortfall = _score(hearing.command, n_frames) - _score(hearing.free, n_frames)
    by_phone = _scores(hearing.phones, 1 + max(segment.end for segment in (*words, *hearing.phones)))
    gap = sum(word.score - (by_phone[word.end + 1] - by_phone[word.start]) for word in words)
    return Evidence(
        shortfall=_clip(shortfall / 1000, -8.0, 0.3),
        misheard=min(1.2, distance(command, hearing.free_phones) / max(1, len(command))),
        length=math.log(1 + hearing.n_free_words),
        language=_clip(hearing.language_gap, -15.0, 20.0),
        phone_distance=distance(command, heard) / max(1, len(command), len(heard)),
        phone_gap=_clip(gap / sum(word.end - word.start + 1 for word in words), -60.0, 20.0) / 20,
    )


def distance(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the edit distance between two phone sequences, where like phones cost less than unlike ones."""
    row = [float(n) for n in range(len(other) + 1)]
    for count, phone in enumerate(one, 1):
        above, row = row, [float(count)]
        for column, against in enumerate(other, 1):
            replaced = above[column - 1] + _unlike(phone, against)
            row.append(min(above[column] + 1.0, row[-1] + 1.0, replaced))
    return row[-1]


def _unlike(one: str, other: str) -> float:
    if one == other:
        return 0.0
    if _CLASS_OF.get(one) == _CLASS_OF.get(other):
        return 0.5
    return 0.8 if (one in _VOWELS) == (other in _VOWELS) else 1.0


def _scores(segments: Sequence[Segment], n_frames: int) -> list[float]:
    """``(n_frames + 1,)``: the score of all frames before each; a segment's is spread evenly over it."""
    each = [0.0] * n_frames
    for segment in segments:
        per_frame = segment.score / (segment.end - segment.start + 1)
        for frame in range(segment.start, min(segment.end + 1, n_frames)):
            each[frame] = per_frame
    return list(accumulate(each, initial=0.0))


def _score(segments: Sequence[Segment], n_frames: int) -> float:
    return _scores(segments, n_frames)[-1]


def _clip(value: float, lowest: float, highest: float) -> float:
    return max(lowest, min(highest, value))

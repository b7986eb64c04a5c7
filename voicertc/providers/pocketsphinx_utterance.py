"""One pocketsphinx decoder at work on one stretch of sound: words, their places, segments and scores."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from .command_evidence import Segment

_MEAN = "46.75,-1.08,-1.85,3.86,-5.78,-1.86,-5.83,-2.69,-0.67,-2.57,-0.09,-0.83,1.35"
"""Cepstral mean each turn begins with, the mean of 15 speakers: 36 % of the words are wrong, as many as if
each turn's own mean were known; with the model's default (40,3,-1) it is 47 %. It is never carried over:
nobody is heard by the light of the caller before."""
_FRAMES_PER_SECOND = 100


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word that was heard, from when to when in seconds of the turn's sound, and how sure that is, 0–1."""

    text: str
    start: float
    end: float
    confidence: float | None


class Utterance:
    """One decoder at work on one stretch of sound, from the turn's second ``begins`` on.

    ``close`` leaves it ready for the next.
    """

    def __init__(self, decoder: Any, begins: float = 0.0) -> None:
        self.is_open = True
        self._begins = begins
        self._decoder = decoder
        # Else its noise removal goes on from the sound before: somebody else's room.
        decoder.reinit_feat()
        decoder.set_cmn(_MEAN)
        decoder.start_utt()

    def hear(self, pcm: bytes) -> None:
        """Take int16 mono at 16 kHz."""
        if pcm:
            self._decoder.process_raw(pcm, False, False)

    @property
    def n_frames(self) -> int:
        """Frames of 10 ms heard so far."""
        return int(self._decoder.n_frames())

    @property
    def words(self) -> str:
        """The best words by now."""
        best = self._decoder.hyp()
        return best.hypstr if best is not None else ""

    @property
    def segments(self) -> list[Segment]:
        """The best words by now, with silences, places and scores; before ``close`` only."""
        # Scores come as probabilities; math.log brings back what the decoder counts in.
        return [
            Segment(each.word, each.start_frame, each.end_frame, math.log(each.ascore) * 1e4)
            for each in self._decoder.seg() or ()
            if each.end_frame >= each.start_frame and each.word != "(NULL)"  # a step without sound
        ]

    def timed_words(self, *, has_posteriors: bool) -> list[TimedWord]:
        """The best words with their places, after ``close``. A grammar's decoder has no posteriors."""
        return [
            TimedWord(
                without_variant(each.word),
                self._begins + each.start_frame / _FRAMES_PER_SECOND,
                self._begins + (each.end_frame + 1) / _FRAMES_PER_SECOND,
                min(1.0, each.prob) if has_posteriors else None,
            )
            for each in self._decoder.seg() or ()
            if not Segment(each.word, each.start_frame, each.end_frame, 0.0).is_filler
        ]

    def close(self) -> None:
        """The sound is over; may be called twice."""
        if self.is_open:
            self.is_open = False
            self._decoder.end_utt()


def without_variant(word: str) -> str:
    """Return ``read`` for ``read(2)``, its second pronunciation."""
    return re.sub(r"\(\d+\)$", "", word)

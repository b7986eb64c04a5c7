"""An answer that comes as sound and its transcript, cut into clauses: text with the sound that says it.

    text   "Well, it is three.| What else"    ahead of the sound, without times
    sound   ~~~~~~~~~~~~~~~~~~~~~~~~~          by the pace of the voice: so many samples for each character

Nobody says where in the sound a word is. So a clause gets as much of it as its length asks for, at the pace
that this voice has had so far; once all has come, what is left of both is known and shared out. What was
heard of an interrupted answer is then right to within a word or so.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from ..audio.pcm import PLAYOUT_RATE_HZ, Samples
from ..core.clauses import ClauseSplitter, is_speakable
from .engine import AudioMade, ClauseClosed, ClauseOpened, Piece

DEFAULT_PACE = 0.06 * PLAYOUT_RATE_HZ
"""Samples of a character: 16 or 17 of them in a second, before anything is known of a voice."""
_BLOCK = PLAYOUT_RATE_HZ // 10
"""Samples given out at once: the later a clause's end is decided, the more is known."""
_KEPT = PLAYOUT_RATE_HZ // 50
"""Samples kept until all has come, so that no text is left without any."""
_MAX_WORDLESS = PLAYOUT_RATE_HZ // 2
"""Samples that wait for their text: it comes ahead of them, if it comes."""
_MIN_CHARACTERS = 30
"""Characters from which on an answer tells the pace of its voice."""


class TranscribedSound:
    """One message's text and sound on their way to clauses. ``pace``: samples for each character."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self._splitter = ClauseSplitter()
        self._clauses: deque[str] = deque()
        self._begun = ""  # text that is no whole clause yet
        self._sound: deque[Samples] = deque()
        self._n_waiting = 0
        self._n_characters = self._n_samples = 0
        self._open: str | None = None
        self._n_given = 0  # samples of the open clause
        self._has_ended = self._is_whole = False

    def add_text(self, text: str) -> None:
        """More of the transcript."""
        self._n_characters += len(text)
        self._begun += text
        for clause in self._splitter.feed(text):
            self._clauses.append(clause)
            self._begun = self._begun[len(clause) :]

    def add_sound(self, samples: Samples) -> None:
        """More of the sound, ``(n,)`` int16 mono at 24 kHz."""
        self._n_samples += len(samples)
        self._sound.append(samples)
        self._n_waiting += len(samples)

    def end(self, *, is_whole: bool = True) -> None:
        """No more will come; ``is_whole``: the sound says all of the text, it did not break off."""
        self._has_ended, self._is_whole = True, is_whole
        if is_whole and self._n_characters >= _MIN_CHARACTERS and self._n_samples:
            self.pace = self._n_samples / self._n_characters

    def take(self) -> Piece | None:
        """Return the next piece, or ``None`` if more has to come first, or all is said."""
        n_ready = self._n_waiting - (0 if self._has_ended else _KEPT)
        if self._open is None:
            return self._open_next() if n_ready > 0 else None
        n_missing = self._n_due() - self._n_given
        if n_missing <= 0 and self._has_text:
            self._open = None
            return ClauseClosed()
        if n_ready > 0:  # also where the text has run out before its sound
            n = min(n_ready, _BLOCK, n_missing if n_missing > 0 else n_ready)
            self._n_given += n
            return AudioMade(self._cut(n))
        if self._has_ended:
            self._open = None
            # One that broke off stays open: the conversation keeps of it what its sound can have said.
            return ClauseClosed() if self._is_whole or n_missing <= 0 else None
        return None

    @property
    def _has_text(self) -> bool:
        """Whether there is more to say, which needs sound of its own."""
        has_words = bool(self._clauses) or is_speakable(self._begun)
        return has_words and self._n_waiting > 0

    def _open_next(self) -> Piece | None:
        text = self._next_text()
        if text is None and not self._has_ended and self._n_waiting < _MAX_WORDLESS:
            return None
        self._open, self._n_given = text or "", 0
        return ClauseOpened(self._open)

    def _next_text(self) -> str | None:
        """Return a clause, or as many words as there are of one."""
        if self._clauses:
            return self._clauses.popleft()
        if not self._has_text:
            return None
        (rest,) = self._splitter.flush()
        cut = rest.rstrip().rfind(" ")
        is_one = self._has_ended or cut <= 0 or not is_speakable(rest[:cut])
        words, self._begun = (rest, "") if is_one else (rest[:cut], rest[cut:])
        self._clauses.extend(self._splitter.feed(self._begun))
        self._begun = self._begun[sum(map(len, self._clauses)) :]
        return words

    def _n_due(self) -> int:
        """Return how many samples the open clause is to have."""
        length = len(self._open or "")
        if not self._is_whole:
            return max(1, round(length * self.pace))
        n_left = length + sum(map(len, self._clauses)) + len(self._begun)
        return max(1, round((self._n_given + self._n_waiting) * length / n_left)) if n_left else 0

    def _cut(self, n: int) -> Samples:
        taken: list[Samples] = []
        self._n_waiting -= n
        while n > 0:
            block = self._sound.popleft()
            if len(block) > n:
                self._sound.appendleft(block[n:])
                block = block[:n]
            taken.append(block)
            n -= len(block)
        return taken[0] if len(taken) == 1 else np.concatenate(taken)

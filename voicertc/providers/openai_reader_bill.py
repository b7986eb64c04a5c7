"""What reading a clause may cost, and what it has cost: responses are bounded, so that no reader rambles."""

from __future__ import annotations

from dataclasses import dataclass

from ..audio.pcm import PLAYOUT_RATE_HZ
from ..core.replies import Usage
from .base import Used

_MAX_TEXT = 600
"""Characters of a response: 50 s of speech."""
_MAX_TOKENS = 4096
_TOKENS_PER_SECOND = 20
"""Of a model's speech."""
_CHARACTERS_PER_SECOND = 12.0
"""Of a slow reader."""
_SPARE_TOKENS = 200
"""For what is short in writing and long to say, as numbers are."""


@dataclass(slots=True)
class Bill:
    """What a clause has cost, over all its responses."""

    characters: int
    n_samples: int = 0
    tokens: Usage | None = None

    def add(self, tokens: Usage | None) -> None:
        """Count a response."""
        if tokens is not None:
            self.tokens = tokens + (self.tokens or Usage())

    def used(self, provider: str, model: str) -> Used:
        """Return the sum."""
        seconds = self.n_samples / PLAYOUT_RATE_HZ
        return Used(provider, model, seconds=seconds, characters=self.characters, tokens=self.tokens)


def max_tokens(text: str, speed: float) -> int:
    """Return twice the tokens that reading ``text`` takes: speech and its transcript."""
    seconds = len(text) / _CHARACTERS_PER_SECOND / speed
    return min(_MAX_TOKENS, round(2 * (seconds * _TOKENS_PER_SECOND + len(text) / 3)) + _SPARE_TOKENS)


def max_text(speed: float) -> int:
    """Return how many characters a response can read without being cut off."""
    per_character = 2 * (_TOKENS_PER_SECOND / _CHARACTERS_PER_SECOND / speed + 1 / 3)
    return min(_MAX_TEXT, int((_MAX_TOKENS - _SPARE_TOKENS) / per_character))

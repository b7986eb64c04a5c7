"""What a session uses, in the units that services are paid by: sound heard, text voiced, tokens."""

from __future__ import annotations

from ..audio.pcm import PLAYOUT_RATE_HZ
from ..core import facts
from ..core.facts import Fact
from ..core.replies import Usage


class UsageCount:
    """Counts over one session; whoever voices or recognizes tells it, and the facts tell the rest."""

    def __init__(self) -> None:
        self._heard_seconds = 0.0
        self._n_samples = 0
        self._n_characters = 0
        self._tokens = Usage()

    def voiced(self, characters: int, n_samples: int) -> None:
        """A voice was given text, or has made sound (24 kHz) of it, heard or not."""
        self._n_characters += characters
        self._n_samples += n_samples

    def note(self, fact: Fact) -> Fact | None:
        """Take one fact; return the account where a reply has changed it."""
        match fact:
            case facts.FinalHeard():
                self._heard_seconds += fact.seconds
            case facts.ReplyEnded():
                if used := fact.usage:
                    self._tokens = Usage(
                        self._tokens.input_tokens + used.input_tokens,
                        self._tokens.output_tokens + used.output_tokens,
                        self._tokens.cached_tokens + used.cached_tokens,
                    )
                return facts.UsageAdded(
                    round(self._heard_seconds, 3),
                    round(self._n_samples / PLAYOUT_RATE_HZ, 3),
                    self._n_characters,
                    self._tokens,
                )
        return None

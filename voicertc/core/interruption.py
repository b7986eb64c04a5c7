"""When speech over a reply is a claim to the floor, and when it was a cough.

    suspected ──> ducked    confirmed ──> held ──┬─ still speaking after ``min_speech`` ──> barge-in
                                                 ├─ words that are no backchannel ────────> barge-in
                                                 └─ ``resume_after`` of silence ──────────> it goes on

The hold silences the reply at once, so the decision may take its time: nobody hears it being made.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from .options import InterruptionOptions

_WORD = re.compile(r"[\w'’-]+")


class Interruption:
    """What is undecided about a reply that was lowered or silenced. Owned by the ``Floor``.

    ``claim_at`` and ``resume_at``: when the decision falls if nothing happens before, ``None`` while it does
    not run; at most one of them does.
    """

    def __init__(self, options: InterruptionOptions) -> None:
        self.options = options
        self.claim_at: float | None = None
        self.resume_at: float | None = None
        self.is_ducked = False

    @property
    def is_held(self) -> bool:
        """Whether the reply was silenced, in doubt."""
        return self.claim_at is not None or self.resume_at is not None

    def duck(self) -> None:
        """There may be speech."""
        self.is_ducked = True

    def hold(self, now: float) -> None:
        """There is speech: it claims the floor unless it ends soon."""
        self.forget()
        self.claim_at = now + self.options.min_speech

    def pause(self, at: float) -> None:
        """The speech ended ``at`` this time: the reply goes on unless the words were a claim."""
        if self.is_held:
            self.claim_at, self.resume_at = None, at + self.options.resume_after

    def forget(self) -> bool:
        """It is decided; return whether there was anything to decide."""
        was_open = self.is_held or self.is_ducked
        self.claim_at = self.resume_at = None
        self.is_ducked = False
        return was_open


def claims_floor(
    text: str,
    confidence: float | None,
    options: InterruptionOptions,
    backchannels: Collection[str],
) -> bool:
    """Return whether the words of a short utterance over a reply mean to interrupt it.

    ``backchannels`` are phrases in lower case. A recognizer that gives no confidence is believed.
    """
    words = _WORD.findall(text.lower())
    if not words or (confidence is not None and confidence < options.min_confidence):
        return False
    return " ".join(words) not in backchannels and not all(word in backchannels for word in words)

"""When speech over a reply is a claim to the floor, and when it was a cough.

    suspected ──> ducked    confirmed ──> held ──┬─ still speaking after ``min_speech`` ──> barge-in
                                                 ├─ words that are no backchannel ────────> barge-in
                                                 └─ ``resume_after`` of silence ──────────> it goes on

The hold silences the reply at once, so the decision may take its time: nobody hears it being made.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from .options import InterruptionOptions

_WORD = re.compile(r"[\w'’-]+")


@dataclass(slots=True)
class Hold:
    """A silenced reply waiting for the decision; each deadline is ``None`` while it does not run."""

    claim_at: float | None = None
    resume_at: float | None = None


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

"""Where speech begins and ends, told from a detector's probabilities alone: no sound, no model, no clock.

    probability   0.0  0.1  0.6  0.7  0.9  1.0  1.0  0.9  0.6  0.2  0.1  0.0  0.0
                       ^at            ^suspected   ^at             hangover  ^stopped
                                           ^started

Neural detectors are late at both ends: they need some frames to be sure, and stay unsure for some after the
last word. So what happened is told with the time it happened at, not with the time it became known.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import SettingsError
from .pcm import HEARING_RATE_HZ

_ONSET_PROBABILITY = 0.1
"""What a window just before the certain ones must have to belong to the word. For human speech at two levels
and in three backgrounds, starts found so lie 8 ms behind the labelled ones (median; 5-95 %: -51 to +94 ms).
With 0.25 it would be 24 (-18 to +155): weak first consonants are missed."""
_ONSET_WINDOWS = 3
"""Windows that are only that likely, at most: a breath before the word does not belong to it."""
_MEMORY = 16
"""Windows (0.5 s) a start is dated back by, at most."""
_SENSITIVITY = 5.0
"""Log odds between a client's thresholds 0 and 1. With 0 office noise still starts nothing, and speech is
certain 20 ms sooner than with 0.5 (median of 35 sentences; 95th percentile: 40 to 100 ms). With 1 no sentence
is missed, not even a soft one, but they are found 50 to 90 ms later and more often cut in two by a pause."""


@dataclass(frozen=True, slots=True)
class VadOptions:
    """What counts as speech. Probabilities are those of silero-vad 5, per window of 32 ms."""

    start_threshold: float = 0.85
    """Probability at which one window is speech for certain. No click, noise or chord tried reached 0.4."""
    suspect_threshold: float = 0.5
    """Probability at which two windows in a row are worth lowering a reply for."""
    stop_threshold: float = 0.35
    """Probability below which a window is not speech once there was some; lower than at the start, so that
    soft syllables do not end it."""
    hangover: float = 0.128
    """Seconds below it that end speech. 0.128 is the shortest that cut through no word of 35 recorded
    sentences (closures of plosives last up to 0.1 s); the silence that ends a *turn* is counted elsewhere."""
    gate_mode: Literal[0, 1, 2, 3] = 0
    """How much webrtcvad rejects before the model is asked; 0, the most lenient, loses no speech and still
    keeps silence free of cost."""

    def __post_init__(self) -> None:
        """Raise ``SettingsError`` where the thresholds contradict each other."""
        mistakes = []
        if not 0.0 < self.stop_threshold <= self.suspect_threshold <= self.start_threshold < 1.0:
            mistakes.append("the thresholds must be ordered: 0 < stop <= suspect <= start < 1")
        if not 0.0 <= self.hangover <= 2.0:
            mistakes.append(f"hangover must be 0 to 2 seconds, not {self.hangover}")
        if self.gate_mode not in (0, 1, 2, 3):
            mistakes.append(f"gate_mode must be 0, 1, 2 or 3, not {self.gate_mode}")
        if mistakes:
            raise SettingsError(mistakes)

    def tuned(self, threshold: float) -> VadOptions:
        """Return them as a client wants them: with 0 the faintest sign is speech, with 1 only what is clear.

        With 0.5 they stay as they are (OpenAI Realtime: ``turn_detection.threshold``). All move by the same
        log odds, so that they keep their order whatever the operator has chosen.
        """
        assert 0.0 <= threshold <= 1.0, f"a threshold is 0 to 1, not {threshold}"
        if threshold == 0.5:
            return self
        odds = math.exp(_SENSITIVITY * (threshold - 0.5))

        def move(probability: float) -> float:
            return probability * odds / (probability * odds + 1.0 - probability)

        return replace(
            self,
            start_threshold=move(self.start_threshold),
            suspect_threshold=move(self.suspect_threshold),
            stop_threshold=move(self.stop_threshold),
        )


@dataclass(frozen=True, slots=True)
class SpeechSign:
    """Something about speech became known.

    ``at``: audio time in seconds since the call began. ``suspected`` and ``started``: the start of the first
    speech window; ``stopped``: the end of the last one. A suspicion may turn into a start, which then has
    the same ``at``; whatever began ends with ``stopped``.
    """

    kind: Literal["suspected", "started", "stopped"]
    at: float


class SpeechBounds:
    """Thresholds and hangover over a row of windows: probabilities in, signs out."""

    def __init__(self, options: VadOptions) -> None:
        self.options = options
        self._recent: deque[tuple[int, float]] = deque(maxlen=_MEMORY)  # start and probability of windows
        self._state: Literal["silence", "suspicion", "speech"] = "silence"
        self._began = 0  # start of the first speech window
        self._ended = 0  # end of the last speech window
        self._last_doubt = 0  # end of the last window that could have been speech

    @property
    def is_speech(self) -> bool:
        """Whether speech has started for certain and not stopped."""
        return self._state == "speech"

    @property
    def is_open(self) -> bool:
        """Whether something has begun, if only a suspicion, that must end."""
        return self._state != "silence"

    def judge(self, probability: float, start: int, end: int) -> SpeechSign | None:
        """Take the next window: its probability, and where it lies in samples at 16 kHz."""
        options = self.options
        previous = self._recent[-1][1] if self._recent else 0.0
        self._recent.append((start, probability))
        if probability >= options.start_threshold and not self.is_speech:
            self._began = self._began if self.is_open else self._find_onset()
            return self._open("speech", end)
        if self._state == "silence":
            if min(probability, previous) >= options.suspect_threshold:
                self._began = self._find_onset()
                return self._open("suspicion", end)
            return None
        if probability >= options.stop_threshold:
            self._last_doubt = end
            if probability >= (options.start_threshold if self.is_speech else options.suspect_threshold):
                self._ended = end
            return None
        # In whole samples: seconds as floats would miss the hangover by their last bit.
        if end - self._last_doubt >= round(options.hangover * HEARING_RATE_HZ):
            return self.close()
        return None

    def close(self) -> SpeechSign | None:
        """End what has begun, as sound that goes missing does."""
        if not self.is_open:
            return None
        self._state = "silence"
        return SpeechSign("stopped", self._ended / HEARING_RATE_HZ)

    def forget(self) -> None:
        """Let no later start be dated back beyond this point: the windows before it are not adjacent."""
        assert not self.is_open, "what is open is closed first"
        self._recent.clear()
        self._ended = 0

    def _open(self, state: Literal["suspicion", "speech"], end: int) -> SpeechSign:
        self._state = state
        self._ended = self._last_doubt = end
        return SpeechSign("started" if state == "speech" else "suspected", self._began / HEARING_RATE_HZ)

    def _find_onset(self) -> int:
        """The start of the first window that belongs to the word of which the latest is certain."""
        onset = self._recent[-1][0]
        n_faint = 0
        for start, probability in reversed(self._recent):
            if probability < _ONSET_PROBABILITY:
                break
            if probability < self.options.stop_threshold or n_faint:
                n_faint += 1
                if n_faint > _ONSET_WINDOWS:
                    break
            onset = start
        return max(onset, self._ended)

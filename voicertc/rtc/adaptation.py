"""How the voice is coded for the link it goes over, by what the client reports of it.

    clean   CELT, low delay       ── loss > 2 % ──>   lossy   VoIP + FEC for the loss there is
              <── 15 s of reports, none above 1 % ──

CELT sounds better and costs a third of the CPU, but holds nothing of the packet before and conceals badly.
"""

from __future__ import annotations

from ..audio.opus import Coding, CodingMode

_LOSSY, _CLEAN = 0.02, 0.01
"""Part of the packets lost at which to change: over the one to lossy, under the other back."""
_PATIENCE = 15.0
"""Seconds of a clean link before it is believed: a change may be heard by a very good ear."""
_LOSSY_BIT_RATE = 40_000
"""Carries 12 kHz of sound and FEC, for half of the CPU that 32,000 take (``audio.opus_coding``)."""
_CONGESTED_BIT_RATE = 24_000
"""Keeps 8 kHz of sound; with less libopus goes down to 6."""
_CONGESTED_LOSS, _CONGESTED_ROUND_TRIP = 0.15, 0.6
"""What tells of a full link rather than a bad one: then fewer bits may lose less."""
_MAX_PERCENT = 30
"""More than that makes libopus spend more on the copy than on the original."""


class LinkAdaptation:
    """Pure; one for each call. ``coding`` is what to use now."""

    def __init__(self, *, bit_rate: int) -> None:
        """``bit_rate``: bit/s on a clean link, and an upper bound for others."""
        self._bit_rate = bit_rate
        self._loss = 0.0
        self._clean_since: float | None = None
        self.coding = Coding(CodingMode.CLEAN, bit_rate)

    def report(self, loss: float, round_trip: float | None, now: float) -> Coding:
        """Take a receiver report; ``loss`` (0 to 1) is that since the one before, the rest in seconds."""
        # Rises at once, falls slowly: one report tells of few packets, and the next loss is like the last.
        self._loss = loss if loss > self._loss else self._loss + (loss - self._loss) * 0.3
        if loss > _CLEAN:
            self._clean_since = None
        elif self._clean_since is None:
            self._clean_since = now
        is_lossy = self.coding.mode is CodingMode.LOSSY
        if loss > _LOSSY or (is_lossy and not self._is_believed(now)):
            self.coding = self._lossy(round_trip)
        elif is_lossy:
            self.coding = Coding(CodingMode.CLEAN, self._bit_rate)
        return self.coding

    def _is_believed(self, now: float) -> bool:
        return self._clean_since is not None and now - self._clean_since >= _PATIENCE

    def _lossy(self, round_trip: float | None) -> Coding:
        is_full = self._loss > _CONGESTED_LOSS and (round_trip or 0.0) > _CONGESTED_ROUND_TRIP
        most = _CONGESTED_BIT_RATE if is_full else _LOSSY_BIT_RATE
        # libopus keeps a copy of a frame only from some percent on; the steps spare it changes for nothing.
        percent = min(_MAX_PERCENT, max(5, 5 * round(20 * self._loss)))
        return Coding(CodingMode.LOSSY, min(self._bit_rate, most), percent)

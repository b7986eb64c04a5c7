"""What the client says: its decoded track as 20 ms frames of 16 kHz mono, each knowing its time in the call.

    aiortc's track (48 kHz, pts) ── AudioClock: is anything missing? ── resampler ── 320 samples ── hear()

The position of a frame must stay true although packets are lost, a client sends nothing while it is silent
(DTX, RFC 6716 §2.1.9), its clock restarts, or its device was asleep: deadlines of turn-taking count from it.
Sound that never came is a forward jump of the position; nothing is made up for it but the rest of a frame
that was begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame

from ..audio.pcm import HEARING_FRAME, HEARING_RATE_HZ, PcmFrame, Samples
from ..audio.resample import Resampler

TRACK_RATE_HZ = 48_000
"""What aiortc decodes Opus to."""
BUFFER_DELAY = 0.08
"""Seconds that aiortc's jitter buffer holds packets at first (4 of them): sound is that much older than it
is when it comes out."""

_MAX_LEAD = 0.5
"""Seconds by which audio time may run ahead of real time before its time stamps are not believed."""
_MAX_LAG = 2.0
"""Seconds by which audio time may lag behind for ``_LAG_PATIENCE`` before it is set right: more than the
1.6 s by which aiortc's jitter buffer delays the packets of a client that uses DTX."""
_LAG_PATIENCE = 1.0
"""Seconds: packets held up on the way all come at once and need no correction."""


class AudioClock:
    """Tells how much sound is missing before each block, from time stamps that may be anything.

    Pure: ``now`` (seconds since the call began, monotonic) and time stamps are given. Invariant: ``position``
    never falls, and stays within ``_MAX_LEAD`` ahead of real time.
    """

    def __init__(self) -> None:
        self.position = 0
        """Samples at 48 kHz since the call began: where the next block begins if nothing is missing."""
        self._next_pts: int | None = None
        self._lag_since = 0.0
        self._least_lag = 0

    def gap(self, pts: int | None, n_samples: int, now: float) -> int:
        """Return the samples missing before a block of ``n_samples`` that came at ``now``, and move on."""
        real = round((now - BUFFER_DELAY) * TRACK_RATE_HZ) - n_samples
        if self._next_pts is None:
            missing = max(0, real)  # the call began before its first sound
        else:
            missing = self._missing(pts, real)
            missing += self._overdue(real - self.position - missing, now)
        self.position += missing + n_samples
        self._next_pts = (self._next_pts or 0) + n_samples if pts is None else pts + n_samples
        return missing

    def _missing(self, pts: int | None, real: int) -> int:
        """Return what the time stamps say is missing, as far as real time bears it out."""
        if pts is None or self._next_pts is None:
            return 0
        jump = pts - self._next_pts
        if jump <= 0:
            return 0  # the client's clock began anew: go on from here
        if self.position + jump - real > _samples(_MAX_LEAD):
            return max(0, real - self.position)
        return jump

    def _overdue(self, lag: int, now: float) -> int:
        """Return what audio time has lagged behind for so long that no late packets can explain it."""
        self._least_lag = min(self._least_lag, lag)
        if now - self._lag_since < _LAG_PATIENCE:
            return 0
        overdue = self._least_lag
        self._lag_since, self._least_lag = now, lag
        if overdue <= _samples(_MAX_LAG):
            return 0
        self._least_lag = 0
        return overdue


class Microphone:
    """Turns the track's frames into ``PcmFrame``s; the peer owns the task that runs it.

    ``hear`` is called synchronously, in order, with 320 samples each, positions never falling.
    """

    def __init__(self, hear: Callable[[PcmFrame], None], *, began: float) -> None:
        """``began``: the loop's time at which the call began, position 0."""
        self._hear = hear
        self._began = began
        self._clock = AudioClock()
        self._resampler = Resampler(TRACK_RATE_HZ, HEARING_RATE_HZ, is_live=True)
        self._pending: Samples = np.empty(0, np.int16)
        self._position = 0

    async def run(self, track: MediaStreamTrack) -> None:
        """Read the track until it ends; a track that nobody reads would grow for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, AudioFrame):
                self.feed(mono(frame), frame.pts, loop.time())

    def feed(self, samples: Samples, pts: int | None, now: float) -> None:
        """Take a block of ``(n,)`` int16 mono at 48 kHz, its time stamp and the loop's time."""
        missing = self._clock.gap(pts, len(samples), now - self._began)
        if missing:
            self._skip(missing * HEARING_RATE_HZ // TRACK_RATE_HZ)
        self._push(self._resampler.feed(samples))

    def _skip(self, n_missing: int) -> None:
        """Finish the frame that was begun and leave the rest out, ``n_missing`` samples at 16 kHz in all."""
        n_filled = min(n_missing, -len(self._pending) % HEARING_FRAME)
        self._push(np.zeros(n_filled, np.int16))
        self._position += n_missing - n_filled

    def _push(self, samples: Samples) -> None:
        pending = np.concatenate((self._pending, samples)) if len(self._pending) else samples
        while len(pending) >= HEARING_FRAME:
            self._hear(PcmFrame(pending[:HEARING_FRAME], self._position))
            self._position += HEARING_FRAME
            pending = pending[HEARING_FRAME:]
        self._pending = pending


def mono(frame: AudioFrame) -> Samples:
    """Return a packed int16 frame as ``(n,)`` mono, the mean of its channels."""
    n_channels = len(frame.layout.channels)
    samples: Samples = frame.to_ndarray().astype(np.int16, copy=False).reshape(-1, n_channels)
    if n_channels > 1:
        samples = (samples.sum(axis=1, dtype=np.int32) // n_channels).astype(np.int16)
    return samples.reshape(-1)


def _samples(seconds: float) -> int:
    return round(seconds * TRACK_RATE_HZ)

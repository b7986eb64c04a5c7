"""What the client says: its decoded track as 20 ms frames of 16 kHz mono, each knowing its time in the call.

    aiortc's track (48 kHz, pts) ── Timeline: is anything missing? ── resampler ── 320 samples ── hear()

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
from ..audio.timeline import TIMELINE_HZ, Timeline

TRACK_RATE_HZ = TIMELINE_HZ
"""What aiortc decodes Opus to: 48 kHz."""
BUFFER_DELAY = 0.08
"""Seconds that aiortc's jitter buffer holds packets at first (4 of them): sound is that much older than it
is when it comes out."""

_MAX_LAG = 2.0
"""Seconds by which sound may lag behind: more than the 1.6 s by which aiortc's jitter buffer delays the
packets of a client that uses DTX."""


class TrackMicrophone:
    """Turns the track's frames into ``PcmFrame``s; the peer owns the task that runs it.

    ``hear`` is called synchronously, in order, with 320 samples each, positions never falling.
    """

    def __init__(self, hear: Callable[[PcmFrame], None], *, began: float, position: int = 0) -> None:
        """``began``: the loop's time at which the call began, position 0. ``position``: of the first one."""
        self._hear = hear
        self._began = began
        self._timeline = Timeline(
            delay=BUFFER_DELAY, max_lag=_MAX_LAG, position=position * TRACK_RATE_HZ // HEARING_RATE_HZ
        )
        self._resampler = Resampler(TRACK_RATE_HZ, HEARING_RATE_HZ, is_live=True)
        self._pending: Samples = np.empty(0, np.int16)
        self.position = position
        """Of the next frame, in samples since the call began."""

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
        missing = self._timeline.gap(pts, len(samples), now - self._began)
        if missing:
            self._skip(missing * HEARING_RATE_HZ // TRACK_RATE_HZ)
        self._push(self._resampler.feed(samples))

    def _skip(self, n_missing: int) -> None:
        """Finish the frame that was begun and leave the rest out, ``n_missing`` samples at 16 kHz in all."""
        n_filled = min(n_missing, -len(self._pending) % HEARING_FRAME)
        self._push(np.zeros(n_filled, np.int16))
        self.position += n_missing - n_filled

    def _push(self, samples: Samples) -> None:
        pending = np.concatenate((self._pending, samples)) if len(self._pending) else samples
        while len(pending) >= HEARING_FRAME:
            self._hear(PcmFrame(pending[:HEARING_FRAME], self.position))
            self.position += HEARING_FRAME
            pending = pending[HEARING_FRAME:]
        self._pending = pending


def mono(frame: AudioFrame) -> Samples:
    """Return a packed int16 frame as ``(n,)`` mono, the mean of its channels."""
    n_channels = len(frame.layout.channels)
    samples: Samples = frame.to_ndarray().astype(np.int16, copy=False).reshape(-1, n_channels)
    if n_channels > 1:
        samples = (samples.sum(axis=1, dtype=np.int32) // n_channels).astype(np.int16)
    return samples.reshape(-1)

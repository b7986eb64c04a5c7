"""What the client says: RTP packets to 20 ms frames of 16 kHz mono, each knowing its time in the call.

    packet ── ReorderWindow ── Timeline: what is missing? ── ConcealingDecoder ── 320 samples ── hear()

All of it happens within the step in which a datagram is read: there is no queue and no task, and no delay but
while a hole is waited for. Sound that nobody sent, because there was silence, is a jump of the position.

Packets whose sender says that they are silent (RFC 6464) are not decoded while nobody speaks. The last of
them are kept, and decoded before the first that is not silent: an onset loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..audio.concealment import ConcealingDecoder
from ..audio.jitter import ReorderWindow
from ..audio.opus import duration
from ..audio.pcm import HEARING_FRAME, HEARING_RATE_HZ, PcmFrame, Samples
from ..audio.timeline import TIMELINE_HZ, Ticks, Timeline
from ..errors import ClientError
from .counters import IncomingCounters
from .rtp import RtpPacket

_PER_SAMPLE = TIMELINE_HZ // HEARING_RATE_HZ
_QUIET_LEVEL = 70
"""−dBov from which a packet is silent. Twenty recorded sentences, also 25 dB too soft, begin and end where
they do when all is decoded (10 ms off in the median, 65 at most): ``tests/rtc/test_silence_left_out.py``."""
_KEPT: Ticks = TIMELINE_HZ // 2
"""How much silence is kept: half a second, more than a turn's padding and a detector's warming up."""
_MEASURED = 4
"""Every so many-th packet's level and size are measured: a second has enough of them."""
_N_FIRST = 50
"""Packets that are decoded in any case: what hears must learn how late sound is."""


class _Quiet(NamedTuple):
    """A packet that was not decoded, and where in the call it begins."""

    start: Ticks
    payload: bytes


class Microphone:
    """Owned by a peer; ``take`` is called on the event loop. Frames' positions never fall.

    ``began``: the monotonic time at which the call began, position 0. ``position``: of the first frame at the
    earliest. ``is_idle``: whether nobody speaks and nothing is recognized, so that silence may be left out.
    ``on_crash``: told of what ``hear`` raised in a timer's step, which nobody else would.
    """

    def __init__(
        self,
        hear: Callable[[PcmFrame], None],
        *,
        began: float,
        position: int = 0,
        is_idle: Callable[[], bool] = lambda: False,
        on_crash: Callable[[Exception], None] | None = None,
    ) -> None:
        self.counters = IncomingCounters()
        """What came, for statistics."""
        self._hear = hear
        self._began = began
        self._is_idle = is_idle
        self._on_crash = on_crash
        self._is_closed = False
        self._window: ReorderWindow[RtpPacket] = ReorderWindow()
        self._timeline = Timeline(position=position * _PER_SAMPLE)
        self._decoder = ConcealingDecoder()
        self._quiet: deque[_Quiet] = deque()  # of half a second
        self._pending: Samples = np.empty(0, np.int16)
        self.position = position
        """Of the next frame, in samples since the call began."""
        self._ssrc: int | None = None
        self._stamp = 0  # the newest time stamp, not wrapped
        self._arrived = 0.0  # when it came
        self._n_decoded = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def take(self, packet: RtpPacket, now: float) -> None:
        """Take a packet of the negotiated codec that came at ``now`` (monotonic seconds)."""
        if packet.ssrc != self._ssrc:
            self._begin_stream(packet)
        for n_lost, released in self._window.push(packet.sequence_number, packet, now):
            self._play(n_lost, released, now)
        if self._window.deadline is not None:
            self._wait()

    def close(self) -> None:
        """Let no timer fire any more; may be called twice, and by what hears."""
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def count(self) -> IncomingCounters:
        """Return the counters with what others have counted for them."""
        counters, window = self.counters, self._window
        counters.n_late, counters.n_duplicate = window.n_late, window.n_duplicate
        counters.n_recovered, counters.n_concealed = self._decoder.n_recovered, self._decoder.n_concealed
        return counters

    # --- holes ------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """See to it that what is held is heard, even if nothing else comes."""
        deadline = self._window.deadline
        if self._timer is None and deadline is not None and not self._is_closed:
            self._timer = self._loop.call_at(deadline, self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        now = self._loop.time()
        try:
            for n_lost, packet in self._window.expire(now):
                self._play(n_lost, packet, now)
        except Exception as error:
            if self._on_crash is None:
                raise
            self._on_crash(error)
        else:
            self._wait()

    def _begin_stream(self, packet: RtpPacket) -> None:
        """Another source: numbers, time stamps and the coding have nothing to do with those before."""
        if self._ssrc is not None:
            self._window.reset()
            self._decoder.reset()
        self._ssrc = packet.ssrc
        self._stamp = packet.timestamp

    # --- one packet in order ----------------------------------------------------------------------

    def _play(self, n_lost: int, packet: RtpPacket, now: float) -> None:
        counters = self.counters
        counters.n_packets += 1
        if n_lost:
            counters.n_lost += n_lost
            counters.n_holes += 1
        if not (payload := packet.payload):
            return  # padding, to probe the way
        try:
            length = duration(payload)
        except ClientError:
            counters.n_invalid += 1
            return
        stamp = self._unwrap(packet.timestamp, now)
        missing = self._timeline.gap(stamp, length, now - self._began)
        start = self._timeline.position - length
        if packet.level is not None and packet.level >= _QUIET_LEVEL and self._may_leave_out():
            self._keep(_Quiet(start, payload))
            return
        if self._quiet:
            self._hear_quiet()
        if n_lost:
            self._fill(n_lost, missing, start, payload)
        self._decode(start, payload)

    def _may_leave_out(self) -> bool:
        return self.counters.n_packets > _N_FIRST and self._is_idle()

    def _keep(self, packet: _Quiet) -> None:
        self._quiet.append(packet)
        while self._quiet[0].start <= packet.start - _KEPT:
            self._quiet.popleft()

    def _hear_quiet(self) -> None:
        quiet, self._quiet = self._quiet, deque()
        for start, payload in quiet:
            self._decode(start, payload)

    def _fill(self, n_lost: int, missing: Ticks, start: Ticks, following: bytes) -> None:
        head, tail = self._decoder.fill(n_lost, missing, following)
        if len(tail) and n_lost == 1:
            self.counters.n_holes -= 1  # none is left
        if len(head):
            self._push(head, start - missing)
        if len(tail):
            self._push(tail, start - len(tail) * _PER_SAMPLE)

    def _decode(self, start: Ticks, payload: bytes) -> None:
        try:
            samples = self._decoder.decode(payload)
        except ClientError:
            self.counters.n_invalid += 1
            return
        self._n_decoded += 1
        if not self._n_decoded % _MEASURED:
            self._measure(payload, samples)
        self._push(samples, start)

    def _measure(self, payload: bytes, samples: Samples) -> None:
        """Let a packet stand for those around it; what is no speech says nothing of how a client codes."""
        counters = self.counters
        if len(samples) and counters.level.add(samples):
            counters.toc = payload[:1]
            counters.n_payload_bytes += len(payload)
            counters.n_ticks += len(samples) * _PER_SAMPLE

    def _push(self, samples: Samples, start: Ticks) -> None:
        """Let samples be heard that begin at ``start``; nothing is made up where nothing came before."""
        jump = start // _PER_SAMPLE - self.position - len(self._pending)
        if jump > 0:
            n_filled = min(jump, -len(self._pending) % HEARING_FRAME)
            if n_filled:
                self._pending = np.concatenate((self._pending, np.zeros(n_filled, np.int16)))
            if len(self._pending) == HEARING_FRAME:
                self._emit(self._pending)
                self._pending = self._pending[:0]
            self.position += jump - n_filled
        if len(self._pending):
            samples = np.concatenate((self._pending, samples))
        while len(samples) >= HEARING_FRAME:
            self._emit(samples[:HEARING_FRAME])
            samples = samples[HEARING_FRAME:]
        self._pending = samples

    def _emit(self, frame: Samples) -> None:
        self._hear(PcmFrame(frame, self.position))
        self.position += HEARING_FRAME

    def _unwrap(self, timestamp: int, now: float) -> int:
        """Return a 32-bit time stamp as one that does not wrap, and note how evenly packets arrive."""
        step = (timestamp - self._stamp + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
        self._stamp += step
        if self._arrived:
            # RFC 3550 appendix A.8
            uneven = abs(now - self._arrived - step / TIMELINE_HZ)
            self.counters.jitter += (uneven - self.counters.jitter) / 16
        self._arrived = now
        return self._stamp

"""When the next packet leaves and which RTP time it carries: for voices of server and headless clients.

RTP time follows one monotonic clock. It jumps over silence, and a tick that comes too late is left out
instead of being made up for by a burst, which the far end would play late or throw away.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

from ..audio.pcm import FRAME_MS

RTP_HZ = 48_000
"""Clock of Opus in RTP, whatever rate is coded (RFC 7587 §4.1)."""
TICK = FRAME_MS / 1000
"""Seconds between packets of speech."""
REST = 0.4
"""Seconds between packets of silence: as libopus does in DTX (RFC 6716 §2.1.9)."""

_TIME_BASE = Fraction(1, RTP_HZ)


class Pacer:
    """Says when the next packet is due and which RTP time it carries. It has no clock: ``now`` is given.

    Invariant: RTP times rise by at least one packet's length, and ``due`` lies on one grid from a wake-up to
    the next rest.
    """

    def __init__(self, now: float) -> None:
        self._origin = now
        self._last = now - TICK
        self.due = now
        """When the next packet is to leave, in the seconds of ``now``."""
        self.skipped = 0
        """Ticks of speech left out because they came a whole tick or more too late."""
        self._pause = TICK

    def stamp(self, now: float, *, pause: float = TICK) -> int:
        """Return the RTP time of the packet that leaves at ``now``; the next is due ``pause`` s after it.

        ``now`` before ``due`` means that sound has come and nobody waits for the grid.
        """
        at = self.due
        if now < at:
            at = max(now, self._last + TICK)
        elif now - at >= TICK:
            missed = int((now - at) / TICK)
            at += missed * TICK
            self.skipped += missed if self._pause == TICK else 0
        self._last = at
        self._pause = pause
        self.due = at + pause
        return round((at - self._origin) * RTP_HZ)


class Alarm:
    """A wait until a time that ``ring`` may cut short. One task waits at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    async def wait_until(self, due: float) -> None:
        """Wait until the loop's time is ``due``, or until it rings."""
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_at(due, _release, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def ring(self) -> None:
        """End the wait now, if there is one."""
        if self._waiter is not None:
            _release(self._waiter)


def opus_packet(payload: bytes, rtp_time: int) -> Packet[Stream]:
    """Return a packet that aiortc's sender sends as it is, without encoding it again."""
    packet: Packet[Stream] = Packet(payload)
    packet.pts = rtp_time
    packet.time_base = _TIME_BASE
    return packet


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

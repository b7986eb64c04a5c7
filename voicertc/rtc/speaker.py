"""The track a call sends: what playout has to say, as Opus packets on one monotonic clock.

aiortc's sender asks ``recv()`` for the next packet and sends it at once, so ``recv`` returning is the moment
of sending. A reply is a packet every 20 ms; silence is a few packets that tell the far end so, then one now
and then, which keeps paths and players alive at next to no cost:

    reply          end          nothing to say                          reply
    |##|##|##|##|##|.|.|.|.|.|                    .                    .        |##|##|##
    every 20 ms     five       one per 400 ms, until playout says that sound has come
"""

from __future__ import annotations

import asyncio

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet
from av.stream import Stream

from ..audio.opus import SILENCE, OpusEncoder
from ..audio.pcm import PLAYOUT_FRAME, Samples
from ..audio.playout import PlayoutBuffer
from .pacing import REST, TICK, Alarm, Pacer, opus_packet

N_SETTLING = 5
"""Packets of silence in a row at the start and after each reply: one may be lost, and a decoder that gets
nothing goes on with the last sound."""


class Speaker(MediaStreamTrack):
    """The outbound audio track of one call; aiortc's sender owns the task that calls ``recv``.

    It encodes only when there is sound, and takes over ``playout.on_data`` until it is stopped.
    """

    kind = "audio"

    def __init__(self, playout: PlayoutBuffer, *, bit_rate: int = 32_000) -> None:
        super().__init__()
        self._playout = playout
        self._bit_rate = bit_rate
        self._now = asyncio.get_running_loop().time  # pyee, the base of all tracks, has a _loop
        self._alarm = Alarm()
        self._encoder: OpusEncoder | None = None
        self._pacer: Pacer | None = None
        self._n_silent = 0
        self._has_news = False
        playout.on_data = self._wake

    @property
    def skipped(self) -> int:
        """Ticks left out because the event loop was late: each was heard as 20 ms of nothing."""
        return self._pacer.skipped if self._pacer else 0

    async def recv(self) -> Packet[Stream]:
        """Return the next packet when its time has come."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._pacer is None:
            self._pacer = Pacer(self._now())
        pacer = self._pacer
        while True:
            if self._now() < pacer.due and not (self._n_silent and self._has_news):
                await self._alarm.wait_until(pacer.due)
            now = self._now()
            self._has_news = False
            samples = self._playout.read(PLAYOUT_FRAME, now)
            if samples is not None:
                self._n_silent = 0
                return opus_packet(self._encode(samples), pacer.stamp(now))
            if now >= pacer.due:
                self._n_silent += 1
                pause = TICK if self._n_silent < N_SETTLING else REST
                return opus_packet(SILENCE, pacer.stamp(now, pause=pause))
            # Woken for nothing: what came is held, or cancelled again. A packet now would be one too many.

    def stop(self) -> None:
        """End the track; playout may be given to another one."""
        if self._playout.on_data == self._wake:
            self._playout.on_data = None
        super().stop()

    def _encode(self, samples: Samples) -> bytes:
        if self._encoder is None:
            self._encoder = OpusEncoder(bit_rate=self._bit_rate)
        return self._encoder.encode(samples)

    def _wake(self) -> None:
        self._has_news = True
        if self._n_silent:
            self._alarm.ring()

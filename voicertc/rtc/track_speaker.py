"""The track a call sends on the public path: its voice, as Opus packets on one monotonic clock.

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

from .pacing import REST, TICK, Alarm, Pacer, opus_packet
from .speaker import N_SETTLING
from .voice import Voice


class TrackSpeaker(MediaStreamTrack):
    """The outbound audio track of one call; aiortc's sender owns the task that calls ``recv``.

    ``wake`` is to be called whenever there may be something to say.
    """

    kind = "audio"

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice
        self._now = asyncio.get_running_loop().time  # pyee, the base of all tracks, has a _loop
        self._alarm = Alarm()
        self._pacer: Pacer | None = None
        self._n_silent = 0
        self._has_news = False

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
                await self._wait(pacer)
            now = self._now()
            self._has_news = False
            payload = self._voice.next(now)
            if payload is not None:
                self._n_silent = 0
                return opus_packet(payload, pacer.stamp(now))
            if now >= pacer.due:
                self._n_silent += 1
                if self._n_silent <= N_SETTLING:
                    pause = TICK if self._n_silent < N_SETTLING else REST
                    return opus_packet(self._voice.hush(), pacer.stamp(now, pause=pause))
                return opus_packet(self._voice.rest(), pacer.stamp(now, pause=REST))
            # Woken for nothing: what came is held, or cancelled again. A packet now would be one too many.

    def wake(self) -> None:
        """Look at once whether there is something to say, if there was nothing."""
        self._has_news = True
        if self._n_silent:
            self._alarm.ring()

    async def _wait(self, pacer: Pacer) -> None:
        """Wait until the next packet is due, or something to say has come, or may come unasked."""
        until = pacer.due
        if self._n_silent and self._voice.is_awaited:
            until = min(until, self._now() + TICK)
            self._has_news = True
        await self._alarm.wait_until(until)

"""Sends a call's voice on the process's media clock, past aiortc's sender.

A reply is a packet every 20 ms; silence is a few packets that tell the far end so, then one now and then,
which keeps paths and players alive at next to no cost. RTP time is the clock's, and jumps over silence:

    reply          end          nothing to say                          reply
    |##|##|##|##|##|.|.|.|.|.|                    '                    '        |##|##|##
    every 20 ms     five       one per 400 ms, until playout says that sound has come

The five are silence; those behind them (') one byte that says: as before. A decoder that missed all five
would take speech for what was before, and hum: so now and then one more of the five goes ahead.
"""

from __future__ import annotations

from collections.abc import Callable

from .media_clock import SLOT, SLOTS_PER_REST, SLOTS_PER_TICK, MediaClock
from .pacing import RTP_HZ, TICK
from .voice import Voice

N_SETTLING = 5
"""Packets of silence in a row at the start and after each reply: one may be lost, and a decoder that gets
nothing goes on with the last sound."""
_REMINDS_EACH = 5
"""Of the packets behind them, this one is silence too, with the next one 20 ms behind it."""


class Speaker:
    """Owned by a peer, on its event loop. ``wake`` is to be called whenever there may be something to say.

    ``send`` is given a payload, its RTP time (not wrapped) and whether it is the first after silence.
    ``on_crash`` is told of what playout's listener or the voice raised: the clock belongs to other calls too.
    """

    def __init__(
        self,
        voice: Voice,
        clock: MediaClock,
        send: Callable[[bytes, int, bool], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self._voice = voice
        self._clock = clock
        self._send = send
        self._on_crash = on_crash
        self._seat = clock.seat(self)
        self._origin = clock.now
        self._last = self._origin - TICK  # the time of the last packet
        self._rests_until = 0.0
        self._n_silent = 0
        self._has_begun = False

    def start(self) -> None:
        """Begin to send; a second start does nothing."""
        if not self._has_begun:
            self._has_begun = True
            self._seat.hasten()

    def wake(self) -> None:
        """Look at once whether there is something to say, if there was nothing."""
        if self._has_begun and self._n_silent:
            self._seat.hasten()

    def stop(self) -> None:
        """Send nothing any more; may be called twice."""
        self._has_begun = False
        self._seat.leave()

    def tick(self, at: float, n_missed: int) -> int | None:
        """Send what is due; see ``media_clock.Ticking``."""
        try:
            return self._speak(at, n_missed)
        except Exception as error:
            self._on_crash(error)
            return None

    def _speak(self, at: float, n_missed: int) -> int:
        payload = self._voice.next(self._clock.now)
        if payload is not None:
            is_first = bool(self._n_silent)
            self._n_silent, self._rests_until = 0, 0.0
            self._voice.counters.n_skipped += 0 if is_first else n_missed
            return self._leave(payload, at, is_first=is_first)
        early = round((self._last + TICK - at) / SLOT)
        if early > 0:
            return early  # woken for nothing: silence does not run ahead of its time
        if self._n_silent < N_SETTLING:
            self._n_silent += 1
            return self._leave(self._voice.hush(), at)
        if at < self._rests_until - SLOT / 2:
            return self._pause(at)
        self._n_silent += 1
        if self._n_silent % _REMINDS_EACH == 0:
            return self._leave(self._voice.hush(), at)
        self._rests_until = at + SLOTS_PER_REST * SLOT
        self._leave(self._voice.rest(), at)
        return self._pause(at)

    def _leave(self, payload: bytes, at: float, *, is_first: bool = False) -> int:
        """Send a packet that is due at ``at``; return in how many slots the next one is."""
        ahead = max(0.0, self._last + TICK - at)  # it was woken within the 20 ms of the one before
        self._last = at + ahead
        self._send(payload, round((self._last - self._origin) * RTP_HZ), is_first)
        return SLOTS_PER_TICK + round(ahead / SLOT)

    def _pause(self, at: float) -> int:
        """Return in how many slots to look again while there is nothing to be heard."""
        if self._voice.is_awaited:
            return SLOTS_PER_TICK
        return max(1, round((self._rests_until - at) / SLOT))

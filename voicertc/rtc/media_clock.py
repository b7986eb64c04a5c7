"""The one clock by which a process sends sound: a wheel of slots, each 2 ms, turned by a single timer.

    slot     0   1   2   3  …  10  11  12  …  199 (then 0 again)
    seats   [a] [b,c]          [ ] [ ]        [d]
             └── in 20 ms ──────^   d has nothing to say and comes again after 400 ms

Calls that speak sit in the wheel; those that have nothing to send for now sit 400 ms ahead, and who sends
nothing at all sits nowhere. A wake-up serves a slot's seats, so that ten calls cost hardly more wake-ups than
one. Seats are spread over the 20 ms, or the last of a hundred would always wait for those before it.

It reads one monotonic clock. A slot served late is served once: who is late by a whole tick learns how many
were missed, leaves them out, and keeps its place.
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

SLOT = 0.002
"""Seconds: as exactly as timers are."""
SLOTS_PER_TICK = 10
"""20 ms: a packet of speech."""
SLOTS_PER_REST = 200
"""400 ms: how often silence is told, as libopus does in DTX (RFC 6716 §2.1.9)."""
_CROWDED = 4
"""So many seats in a slot, and twice the mean beside them, are a crowd."""


class Ticking(Protocol):
    """Who sits in the clock."""

    def tick(self, at: float, n_missed: int) -> int | None:
        """Send what is due at ``at`` (monotonic seconds, on the grid), and return in how many slots again.

        ``n_missed``: whole ticks that were left out since it was due. ``None``: never, until it joins again.
        It must not wait and not raise.
        """


class Seat:
    """One place in the clock; made by ``MediaClock.seat``, used by its owner alone."""

    __slots__ = ("_clock", "owner", "slot")

    def __init__(self, clock: MediaClock, owner: Ticking) -> None:
        self._clock = clock
        self.owner = owner
        self.slot: int | None = None
        """Number of the slot in which it is served next, counted from the clock's beginning."""

    def hasten(self) -> None:
        """Be served now, or within 6 ms if many others want the same, wherever it sits."""
        self._clock._place(self, self._clock._soonest())

    def leave(self) -> None:
        """Be served no more; may be called twice."""
        self._clock._remove(self)


class MediaClock:
    """One for each process, made and used on its event loop; it sleeps while nobody sits in it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._origin = self._loop.time()
        self._wheel: list[dict[Seat, None]] = [{} for _ in range(SLOTS_PER_REST)]
        self._load = [0] * SLOTS_PER_TICK  # seats whose slots are the same 2 ms of every 20
        self._n_seats = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timed: int | None = None  # the slot that the timer is set for
        self._is_turning = False
        self._served = -1  # the last slot that was served

    def seat(self, owner: Ticking) -> Seat:
        """Return a seat that is served from ``hasten`` on."""
        return Seat(self, owner)

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._loop.time()

    # --- for seats ----------------------------------------------------------------------------------

    def _soonest(self) -> int:
        """The slot that has begun, or one of the next two if too many sit there."""
        begun = max(self._served + 1, math.floor((self._loop.time() - self._origin) / SLOT))
        load, most = self._load, _CROWDED + 2 * self._n_seats // SLOTS_PER_TICK
        slots = range(begun, begun + 3)
        for slot in slots:
            if load[slot % SLOTS_PER_TICK] < most:
                return slot
        return min(slots, key=lambda slot: load[slot % SLOTS_PER_TICK])

    def _place(self, seat: Seat, slot: int) -> None:
        self._remove(seat)
        seat.slot = slot
        self._wheel[slot % SLOTS_PER_REST][seat] = None
        self._load[slot % SLOTS_PER_TICK] += 1
        self._n_seats += 1
        if not self._is_turning and (self._timed is None or slot < self._timed):
            self._wake_at(slot)

    def _remove(self, seat: Seat) -> None:
        if seat.slot is not None:
            del self._wheel[seat.slot % SLOTS_PER_REST][seat]
            self._load[seat.slot % SLOTS_PER_TICK] -= 1
            self._n_seats -= 1
            seat.slot = None

    # --- the timer ----------------------------------------------------------------------------------

    def _wake_at(self, slot: int) -> None:
        if self._timer:
            self._timer.cancel()
        self._timed = slot
        self._timer = self._loop.call_at(self._origin + slot * SLOT, self._turn)

    def _turn(self) -> None:
        """Serve every slot that is due, each seat once; then sleep until the next that has any."""
        assert self._timed is not None, "a timer was set for a slot"
        first, self._timed, self._timer = self._timed, None, None
        self._is_turning = True
        self._served = last = max(first, math.floor((self._loop.time() - self._origin) / SLOT + 0.01))
        for slot in range(first, min(last, first + SLOTS_PER_REST - 1) + 1):
            for seat in tuple(self._wheel[slot % SLOTS_PER_REST]):
                if seat.slot is not None and seat.slot <= last:
                    self._serve(seat, seat.slot)
        self._is_turning = False
        self._sleep(last + 1)

    def _serve(self, seat: Seat, slot: int) -> None:
        late = math.floor((self._loop.time() - self._origin) / SLOT) - slot
        n_missed = max(0, late) // SLOTS_PER_TICK
        slot += n_missed * SLOTS_PER_TICK
        again = seat.owner.tick(self._origin + slot * SLOT, n_missed)
        if seat.slot is None:
            return  # it has left meanwhile
        if again is None:
            self._remove(seat)
        else:
            self._place(seat, slot + again)

    def _sleep(self, first: int) -> None:
        if self._n_seats:
            slots = range(first, first + SLOTS_PER_REST)
            self._wake_at(next(slot for slot in slots if self._wheel[slot % SLOTS_PER_REST]))

"""Puts packets in order without making anybody wait who need not.

    arrived   1  2  4  3  5  7  8  9
    released  1  2  .  3 4  5  .  .  [6 is lost] 7 8  9
                    ^held         ^^held until ``depth`` packets are there, or ``patience`` has passed

A player must smooth jitter, a recognizer need not: what comes in order passes at once, and delay is nothing
again as soon as a hole is closed or given up. How long a hole is waited for follows what the network does:
packets that come after they were given up widen the window, a quiet while narrows it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")

_MIN_DEPTH, _MAX_DEPTH = 2, 8
"""Packets behind a hole that prove it lost: pairs are often swapped, more of them seldom."""
_PATIENCE_PER_PACKET = 0.02
"""Seconds of waiting for each packet of depth, for senders that have nothing more to send."""
_CALM = 250
"""Packets in order after which the window narrows by one: 5 s."""
_MAX_DROPOUT = 3000
"""A greater jump ahead is a sender that began anew (RFC 3550 A.1)."""
_MAX_MISORDER = 100
"""So is a greater jump back."""


class ReorderWindow(Generic[_T]):
    """Pure: the numbers and times of arrival are given. Owned by one call's microphone.

    ``push`` and ``expire`` return what is to be taken now, in order, each with how many were lost before it.
    """

    def __init__(self) -> None:
        self.depth = _MIN_DEPTH
        """Packets that are held behind a hole at most."""
        self.n_late = 0
        """Packets that came after they were given up."""
        self.n_duplicate = 0
        """Packets that came again."""
        self._expected: int | None = None  # the next number, not wrapped
        self._held: dict[int, _T] = {}
        self._given_up: dict[int, None] = {}
        self._hole_since = 0.0
        self._n_calm = 0
        self._restart: int | None = None

    @property
    def deadline(self) -> float | None:
        """When ``expire`` has something to give up, in the time of ``push``; ``None``: nothing is held."""
        return self._hole_since + self.depth * _PATIENCE_PER_PACKET if self._held else None

    def push(self, number: int, item: _T, now: float) -> list[tuple[int, _T]]:
        """Take a packet by its 16-bit sequence number, which wraps."""
        expected = self._expected
        if expected is None:
            self._expected = number + 1
            return [(0, item)]
        ahead = (number - expected + 0x8000 & 0xFFFF) - 0x8000
        if not ahead and not self._held:
            self._expected = expected + 1
            self._restart = None
            if self.depth > _MIN_DEPTH:
                self._calm_down()
            return [(0, item)]
        if ahead > _MAX_DROPOUT or ahead < -_MAX_MISORDER:
            return self._stray(number, item)
        self._restart = None
        if ahead < 0:
            self._note_late(expected + ahead)
            return []
        return self._hold(expected + ahead, item, now)

    def expire(self, now: float) -> list[tuple[int, _T]]:
        """Give up the holes that have been waited for long enough."""
        deadline = self.deadline
        return list(self._release(give_up=True)) if deadline is not None and now >= deadline else []

    def reset(self) -> None:
        """Begin with whatever number comes next; what is held is forgotten."""
        self._expected = self._restart = None
        self._held.clear()
        self._given_up.clear()

    def _hold(self, number: int, item: _T, now: float) -> list[tuple[int, _T]]:
        if number in self._held:
            self.n_duplicate += 1
            return []
        if not self._held:
            self._hole_since = now
        self._held[number] = item
        released = list(self._release(give_up=len(self._held) >= self.depth))
        if released and self._held:
            self._hole_since = now  # another hole behind it
        return released

    def _release(self, *, give_up: bool) -> Iterator[tuple[int, _T]]:
        """Yield what is in order; ``give_up``: behind the first hole, too."""
        assert self._expected is not None, "what is held came behind something"
        if give_up:
            first = min(self._held)
            n_lost = first - self._expected
            for number in range(max(self._expected, first - _MAX_MISORDER), first):
                self._given_up[number] = None
            while len(self._given_up) > _MAX_MISORDER:
                self._given_up.pop(next(iter(self._given_up)))
            self._expected = first + 1
            yield n_lost, self._held.pop(first)
        while self._expected in self._held:
            yield 0, self._held.pop(self._expected)
            self._expected += 1

    def _note_late(self, number: int) -> None:
        if number not in self._given_up:
            self.n_duplicate += 1
            return
        del self._given_up[number]
        self.n_late += 1
        self._n_calm = 0
        self.depth = min(_MAX_DEPTH, self.depth + 1)

    def _calm_down(self) -> None:
        self._n_calm += 1
        if self._n_calm >= _CALM:
            self._n_calm = 0
            self.depth -= 1

    def _stray(self, number: int, item: _T) -> list[tuple[int, _T]]:
        """Two numbers in a row far from the others are a sender that began anew (RFC 3550 A.1)."""
        if number != self._restart:
            self._restart = number + 1 & 0xFFFF
            return []
        self.reset()
        self._expected = number + 1
        return [(0, item)]

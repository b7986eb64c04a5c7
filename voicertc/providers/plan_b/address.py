"""A server's address: whether anything comes from it at all, learnt by one engine and known to all there.

A server that takes connections and says nothing would cost each of its engines its first timeout, one after
the other. So after the first timeout it is probed at once: if nothing comes of that either, the address is
silent, and its engines are passed by until something is heard of it. A slow engine of a server that answers
is none of this: the probe is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Address:
    """What is known of an address. Whoever asks it says what was heard; the chains ask whether it is silent.

    Its times are the event loop's.
    """

    def __init__(self) -> None:
        self.is_silent = False
        """Whether nothing comes from it, as far as is known."""
        self.is_watched = False
        """Whether somebody probes it; whoever does decides whether it is silent."""
        self.heard_at = float("-inf")
        """When something came from it last: the head of an answer, a message on a socket."""
        self._waiting: list[Callable[[], None]] = []

    def heard(self, now: float) -> None:
        """Note that something came from it."""
        self.heard_at = now
        self.is_silent = False

    def judge(self, since: float) -> None:
        """Call it silent if nothing has come since it was asked, and tell who waits for it."""
        if self.heard_at < since and not self.is_silent:
            self.is_silent = True
            for give_up in tuple(self._waiting):
                give_up()

    def unwatched(self) -> None:
        """Note that nobody probes it any more: then nobody can say that it is silent."""
        self.is_watched = self.is_silent = False

    @contextmanager
    def waiting(self, give_up: Callable[[], None]) -> Iterator[None]:
        """Have ``give_up`` called if the address turns out to be silent meanwhile. It must not block."""
        self._waiting.append(give_up)
        try:
            yield
        finally:
            self._waiting.remove(give_up)

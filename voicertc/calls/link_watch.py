"""Measures how a call's packets fare for as long as any client of it wants to know (``voicertc.link``)."""

from __future__ import annotations

from collections.abc import Callable

from ..core.facts import Fact, LinkMeasured
from ..rtc.link import LinkQuality
from ..rtc.peer import Peer


class LinkWatch:
    """Owned by a call; ``tell`` tells its clients."""

    def __init__(self, peer: Peer, tell: Callable[[Fact], None]) -> None:
        self._peer = peer
        self._tell = tell
        self._followers: set[str] = set()
        self._stop: Callable[[], object] | None = None

    def follow(self, wire: str, *, wanted: bool) -> None:
        """Note whether the client of this wire wants to know."""
        if wanted:
            self._followers.add(wire)
        else:
            self._followers.discard(wire)
        if self._followers and self._stop is None:
            self._stop = self._peer.watch_link(self._measured)
        elif not self._followers:
            self.close()

    def moved(self, peer: Peer) -> None:
        """Another connection has taken the place of the one before."""
        self._peer = peer
        if self._stop is not None:
            self._stop()
            self._stop = peer.watch_link(self._measured)

    def close(self) -> None:
        """Measure no more; may be called twice."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def _measured(self, quality: LinkQuality) -> None:
        to_us, to_client = quality.incoming, quality.outgoing
        self._tell(
            LinkMeasured(
                to_us.loss,
                to_us.jitter_ms,
                to_us.kbps,
                to_client.loss,
                to_client.jitter_ms,
                to_client.kbps,
                quality.round_trip_ms,
            )
        )

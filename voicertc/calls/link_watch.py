"""Measures how a call's packets fare: for clients that want to know (``voicertc.link``), and for the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

from ..core.facts import Fact, LinkFlow, LinkMeasured
from ..rtc.link import Flow, LinkQuality
from ..rtc.peer import Peer


class LinkSummary(TypedDict):
    """A whole call, as the log shows it: means of the seconds in which each was known; ``None``: in none."""

    mos_in: float | None
    mos_out: float | None
    loss_in: float | None
    loss_out: float | None


class LinkWatch:
    """Owned by a call, and measuring until it is closed; ``tell`` tells the call's clients."""

    def __init__(self, peer: Peer, tell: Callable[[Fact], None]) -> None:
        self._tell = tell
        self._followers: set[str] = set()
        self._incoming, self._outgoing = _Means(), _Means()
        self._stop: Callable[[], object] | None = peer.watch_link(self._measured)

    def follow(self, wire: str, *, wanted: bool) -> None:
        """Note whether the client of this wire wants to know."""
        if wanted:
            self._followers.add(wire)
        else:
            self._followers.discard(wire)

    def moved(self, peer: Peer) -> None:
        """Another connection has taken the place of the one before."""
        if self._stop is not None:
            self._stop()
            self._stop = peer.watch_link(self._measured)

    def close(self) -> None:
        """Measure no more; may be called twice."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def summary(self) -> LinkSummary:
        """Return how the call has fared so far, over all its connections."""
        return {
            "mos_in": self._incoming.mos.value,
            "mos_out": self._outgoing.mos.value,
            "loss_in": self._incoming.loss.value,
            "loss_out": self._outgoing.loss.value,
        }

    def _measured(self, quality: LinkQuality) -> None:
        self._incoming.add(quality.incoming)
        self._outgoing.add(quality.outgoing)
        if self._followers:
            inbound, outbound = _told(quality.incoming), _told(quality.outgoing)
            self._tell(LinkMeasured(inbound, outbound, quality.round_trip_ms))


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    n: int = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.n += 1

    @property
    def value(self) -> float | None:
        return round(self.total / self.n, 3) if self.n else None


@dataclass(slots=True)
class _Means:
    mos: _Mean = field(default_factory=_Mean)
    loss: _Mean = field(default_factory=_Mean)

    def add(self, flow: Flow) -> None:
        self.mos.add(flow.mos)
        self.loss.add(flow.loss)


def _told(flow: Flow) -> LinkFlow:
    return LinkFlow(flow.loss, flow.jitter_ms, flow.concealed_ms, flow.kbps, flow.level_dbov, flow.mos)

"""What a bad network does to datagrams, decided by their order alone: no clock, no sockets.

    LinkModel   how much is lost, late, out of order: figures that may change at any time
    Fortune     what becomes of each datagram of one kind, one after the other, from a seed

Each kind of datagram (RFC 7983) has a fortune of its own, so that the n-th RTP packet of a call meets the
same fate in every run, whatever STUN and RTCP do between.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random


class Kind(Enum):
    """What a datagram is, told by its first bytes (RFC 7983 §7, RFC 5761 §4)."""

    STUN = "stun"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    OTHER = "other"


def kind_of(datagram: bytes) -> Kind:
    """Return what a datagram is."""
    first = datagram[0] if datagram else 255
    if 128 <= first <= 191:
        return Kind.RTCP if len(datagram) > 1 and 192 <= datagram[1] <= 223 else Kind.RTP
    if 20 <= first <= 63:
        return Kind.DTLS
    return Kind.STUN if first <= 3 else Kind.OTHER


@dataclass(frozen=True, slots=True)
class LinkModel:
    """What one direction does to datagrams. Shares are 0 to 1, lengths of time are seconds."""

    loss: float = 0.0
    """Share of datagrams that are lost."""
    burst: float = 1.0
    """Burst ratio (ITU-T G.107, BurstR): how many times as long as by chance losses go on in a row. A row has
    ``burst / (1 - loss)`` datagrams on average; 1 is chance."""
    delay: float = 0.0
    """How long each datagram takes, whatever it is."""
    jitter: float = 0.0
    """By how much that varies up and down, evenly. Each datagram leaves at its own time: they may pass each
    other, and none waits to leave in a burst."""
    reorder: float = 0.0
    """Share of datagrams that take ``reorder_by`` longer."""
    reorder_by: float = 0.03
    """Long enough for the next packet of speech to pass, and not the one behind it."""
    duplicate: float = 0.0
    """Share of datagrams that arrive twice."""
    hurts: frozenset[Kind] = frozenset(Kind)
    """What is lost, disordered and doubled; anything else only takes its ``delay``."""

    def __post_init__(self) -> None:
        shares = (self.loss, self.reorder, self.duplicate)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("shares of datagrams are 0 to 1")
        if min(self.delay, self.jitter, self.reorder_by) < 0:
            raise ValueError("lengths of time are not below 0")
        if self.burst < 1:
            raise ValueError("losses in a row are not fewer than by chance: burst is at least 1")


CLEAN = LinkModel()
"""A link that does nothing."""
RTP_ONLY = frozenset({Kind.RTP})
"""For ``hurts``: calls are set up and reported on as over a clean link."""


class Fortune:
    """The fates of the datagrams of one kind, in one direction of one call.

    Losses are a Markov chain of two states (Gilbert 1960, all lost in the bad one). Every datagram draws the
    same number of random numbers, so that a model may change without another fate for all that follow.
    """

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._is_losing = False

    def next(self, model: LinkModel, kind: Kind) -> tuple[float, ...]:
        """Return after how many seconds the next datagram arrives: empty if it is lost, two if doubled."""
        loses, drifts, falls_back, doubles = (self._random.random() for _ in range(4))
        if kind not in model.hurts:
            return (model.delay,)
        if self._is_losing:
            self._is_losing = loses >= (1 - model.loss) / model.burst
        else:
            self._is_losing = loses < model.loss / model.burst
        if self._is_losing:
            return ()
        delay = max(0.0, model.delay + (2 * drifts - 1) * model.jitter)
        if falls_back < model.reorder:
            delay += model.reorder_by
        return (delay, delay) if doubles < model.duplicate else (delay,)


@dataclass(slots=True)
class Counts:
    """What became of the datagrams of one kind in one direction."""

    received: int = 0
    lost: int = 0
    duplicated: int = 0
    """Sent on twice."""
    reordered: int = 0
    """Sent on behind one that came later."""
    sent: int = 0
    """Sent on, doubles included. What is on its way is neither sent nor lost."""

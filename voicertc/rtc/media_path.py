"""How a call's sound gets through aiortc: what a peer needs to know of it, whichever way it is.

``own_path`` goes past aiortc's queues, threads and codecs; ``public_path`` uses its public API alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpTransceiver

from ..audio.pcm import PcmFrame
from ..audio.playout import PlayoutBuffer
from .counters import IncomingCounters, OutgoingCounters
from .voice import Mixing


@dataclass(frozen=True, slots=True)
class CallAudio:
    """A call's sound at our end, whatever carries it."""

    playout: PlayoutBuffer
    """What is said to the client."""
    hear: Callable[[PcmFrame], None]
    """Takes what the client says: synchronously, in order, 320 samples at 16 kHz, positions never falling."""
    mixing: Mixing | None = None
    """What is heard besides replies."""
    is_idle: Callable[[], bool] = lambda: False
    """Whether nobody speaks and nothing is recognized: then silence need not be decoded."""
    bit_rate: int = 48_000
    """Opus bit/s on a clean link."""


class MediaPath(Protocol):
    """Owned by a peer. Its life: ``describe``, ``begin``, any number of ``follow_direction``, ``close``."""

    track: MediaStreamTrack
    """What aiortc's sender is given."""
    hearing_delay: float
    """How old, in seconds, the newest sound is that is heard, the client's own packet of 20 ms included."""

    @property
    def incoming(self) -> IncomingCounters | None:
        """What came so far; ``None`` where only aiortc knows."""

    @property
    def outgoing(self) -> OutgoingCounters | None:
        """What was sent so far; ``None`` where only aiortc knows."""

    @property
    def skipped(self) -> int:
        """Packets of speech left out because the event loop was late."""

    def describe(self, pc: RTCPeerConnection, transceiver: RTCRtpTransceiver) -> None:
        """Both descriptions are set for the first time: sockets are open, nothing has arrived."""

    def renegotiated(self) -> None:
        """They were changed."""

    @property
    def position(self) -> int:
        """Samples at 16 kHz since the call began, behind which nothing was heard yet."""

    def begin(self, began: float, position: int) -> None:
        """Sound can flow. ``began``: the monotonic time at which the call did. ``position``: as above."""

    def follow_direction(self, *, is_sending: bool) -> None:
        """Let the client have our voice, if it wants it; replies pass in real time in any case."""

    def release(self) -> None:
        """Let go of playout and ears at once: they are another peer's from now on. May be called twice."""

    async def close(self) -> None:
        """Free everything; may be called twice."""

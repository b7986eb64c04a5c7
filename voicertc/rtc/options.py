"""What an operator may choose about calls over WebRTC."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ice import announced_addresses


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server."""

    urls: tuple[str, ...]
    """URLs like ``stun:host:3478`` or ``turn:host:3478?transport=udp`` (RFC 7064, RFC 7065)."""
    username: str | None = None
    """User name, for TURN only."""
    credential: str | None = field(default=None, repr=False)
    """Password, for TURN only."""


@dataclass(frozen=True, slots=True)
class RtcOptions:
    """How calls reach this server, and when a client counts as gone. Lengths of time are seconds."""

    udp_port: int | None = 0
    """UDP port that all calls share, 0 for any free one; ``None`` opens random ports for each call."""
    announced_address: str | None = None
    """Public IP address that answers name instead of the machine's own: for one-to-one NAT and containers.
    An IPv4 and an IPv6 address are separated by a comma."""
    ice_servers: tuple[IceServer, ...] = ()
    """STUN or TURN servers that the server itself gathers from before each answer; none, because a dead one
    delays every call."""
    connect_timeout: float = 15.0
    """From the answer until media must flow; slow mobile networks need up to ten."""
    pause_after: float = 5.0
    """Without any datagram until the client counts as away: a live one sends something every two seconds."""
    close_after: float = 15.0
    """Without any datagram until the call is given up: long enough to walk through a lift."""
    max_message_bytes: int = 262_144
    """Longest message sent on the data channel, also if the client would take more: what Chromium takes. A
    session with long instructions or many tools has to fit, or its client never hears that it was created."""
    max_buffered_bytes: int = 1_048_576
    """Unsent bytes on the data channel at which a client is too slow: minutes of events."""

    def __post_init__(self) -> None:
        if self.announced_address is not None:
            announced_addresses(self.announced_address)
        if not 0 < self.pause_after < self.close_after:
            raise ValueError("pause_after must be above 0 and below close_after")

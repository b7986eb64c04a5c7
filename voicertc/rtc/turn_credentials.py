"""The STUN and TURN servers that clients are told, with credentials for TURN that expire by themselves.

A TURN server relays for whoever has its password, and a page cannot keep one. So the page is given a user
name that says until when it holds, and a password that only who knows a secret can make of it. The TURN
server knows the secret too, and needs to be asked by nobody (draft-uberti-behave-turn-rest-00 §2.2; coturn:
``use-auth-secret``, ``static-auth-secret``):

    username     <unix time of its expiry>:<name>
    credential   base64(HMAC-SHA1(secret, username))
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field, replace

from .options import IceServer

DAY = 86_400.0
"""Seconds; what the draft recommends (§2.2)."""


@dataclass(frozen=True, slots=True)
class ClientIceServers:
    """What clients are told; the server itself uses none of it."""

    servers: tuple[IceServer, ...] = ()
    """A TURN server without credential is told with a time-limited one, which takes the secret."""
    turn_secret: str | None = field(default=None, repr=False)
    """What the TURN servers share with this one."""
    turn_ttl: float = DAY
    """Seconds for which a credential opens allocations."""

    def for_client(self, name: str, now: float) -> tuple[IceServer, ...]:
        """Return the servers with all that is needed to use them from ``now`` (unix seconds) on.

        ``name`` tells the TURN server whose allocations belong together, for its quotas and its log.
        """
        if self.turn_secret is None:
            return self.servers
        username, credential = turn_credentials(self.turn_secret, name, expires_at=int(now + self.turn_ttl))
        return tuple(
            replace(server, username=username, credential=credential) if needs_credential(server) else server
            for server in self.servers
        )


def needs_credential(server: IceServer) -> bool:
    """Whether a client could do nothing with what is known of the server: TURN demands a password."""
    return server.credential is None and any(is_turn(url) for url in server.urls)


def is_turn(url: str) -> bool:
    """Whether this is a TURN server's URL (RFC 7065), not a STUN server's (RFC 7064)."""
    return url.lower().startswith(("turn:", "turns:"))


def turn_credentials(secret: str, name: str, *, expires_at: int) -> tuple[str, str]:
    """Return user name and password that a TURN server with this secret takes until ``expires_at``."""
    username = f"{expires_at}:{name}"
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return username, base64.b64encode(digest).decode()

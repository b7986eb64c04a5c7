"""Who really asked, and under which address, when proxies stand between: only trusted ones are believed.

Read right to left, each proxy's word is taken as long as whoever gave it is trusted:

    X-Forwarded-For: <a client's lie>, 203.0.113.9, 10.0.0.2      from 10.0.0.1, trusted: 10.0.0.0/8
                                       └─ the client              └─ trusted, and so on
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import web

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PREFIX = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")
"""A path without an empty segment: ``//host`` in a ``Location`` would be another server."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The client of a request. ``prefix`` is the path under which the outermost proxy serves this server."""

    address: Address | None
    scheme: str
    host: str
    prefix: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether the client runs on this machine."""
        return self.address is not None and self.address.is_loopback


class Proxies:
    """The proxies that are trusted: ``addresses`` are single ones or networks (``10.0.0.0/8``)."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self._networks: list[Network] = [ip_network(text, strict=False) for text in addresses]

    def visitor(self, request: web.Request) -> Visitor:
        """Return who sent ``request``. RFC 7239 is read if no ``X-Forwarded-…`` header is there: a proxy
        that sets one kind passes the other on as its client wrote it."""
        peer = _parse_address(request.remote or "")
        direct = Visitor(peer, request.scheme, request.host)
        if not self._trusts(peer):
            return direct
        said = _x_forwarded(request) or _forwarded(request)
        return Visitor(
            self._client(peer, said.get("for", [])),
            _last(said, "proto", direct.scheme).lower(),
            _last(said, "host", direct.host),
            _prefix(said),
        )

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)

    def _client(self, peer: Address | None, hops: list[str]) -> Address | None:
        client = peer
        for hop in reversed(hops):
            if not self._trusts(client):
                break
            client = _parse_address(hop)
        return client


def _x_forwarded(request: web.Request) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for name in ("for", "proto", "host", "prefix"):
        for header in request.headers.getall(f"X-Forwarded-{name}", ()):
            said.setdefault(name, []).extend(word.strip() for word in header.split(","))
    return said


def _forwarded(request: web.Request) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for element in request.forwarded:
        for name, value in element.items():
            said.setdefault(name, []).append(value)
    return said


def _last(said: dict[str, list[str]], name: str, otherwise: str) -> str:
    """Return the nearest proxy's word: those before it may be the client's invention."""
    return next((word for word in reversed(said.get(name, [])) if word), otherwise)


def _prefix(said: dict[str, list[str]]) -> str | None:
    prefix = _last(said, "prefix", "").rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else None


def _parse_address(text: str) -> Address | None:
    """Return the address in ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``;
    ``None`` for a name that hides it (RFC 7239 §6)."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    # A socket that listens on :: shows IPv4 clients so.
    return getattr(address, "ipv4_mapped", None) or address

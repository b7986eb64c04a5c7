"""The names and addresses this machine goes by: for certificates, start-up lines and self-checks."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import ifaddr

IpAddress = IPv4Address | IPv6Address


def machine_addresses() -> tuple[IpAddress, ...]:
    """Return the addresses of all interfaces, loopback last, link-local IPv6 left out.

    A link-local IPv6 address needs a zone to be reached, which neither a certificate nor a URL carries.
    """
    found: set[IpAddress] = {ip_address("127.0.0.1")}
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            address = ip_address(text)
            if not (address.version == 6 and address.is_link_local):
                found.add(address)
    return tuple(sorted(found, key=lambda address: (address.is_loopback, address.version, int(address))))


def machine_names() -> tuple[str, ...]:
    """Return ``localhost``, the host name, and its mDNS name if it has no domain, lower case."""
    host = socket.gethostname().lower()
    names = ["localhost"]
    if host and host != "localhost":
        names.append(host)
        if "." not in host:
            names.append(f"{host}.local")
    return tuple(names)

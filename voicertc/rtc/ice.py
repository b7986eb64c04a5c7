"""What an offer's text must be before aiortc may see it, and the answer's before the client may.

Pure functions on SDP text (RFC 8866, RFC 8839). An offer passes ``check_offer``, then ``sanitize_offer``; the
answer passes ``announce``. Which media sections are negotiated at all is ``negotiation``'s business.

Three habits of clients break aioice and are undone here:

- ``.local`` candidates (mDNS, RFC 8828) cost a second each, and together with ``a=end-of-candidates`` they
  make Firefox never connect. No candidate of the client's is needed at all: its checks reach ours.
- TCP candidates: aioice has no ICE over TCP.
- ``a=setup:actpass``: aiortc would become the DTLS client, which offers ECDSA suites only, so that a peer
  with an RSA certificate (GStreamer) fails. ``active`` in the offer makes it the server.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import ClientError

MAX_OFFER_CHARS = 200_000
"""Browsers' offers have 2,000 to 15,000 characters; more is not an offer."""
MAX_CANDIDATES = 32
"""Candidates kept per offer: each is an address that we send packets to because a stranger says so."""

_IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_OPUS = re.compile(r"^a=rtpmap:\d+ opus/48000", re.IGNORECASE | re.MULTILINE)
"""RFC 7587 §7."""
_NUMBER = re.compile(r"[0-9]{1,10}")
"""What ``int`` reads for certain: it takes other scripts' digits too, and refuses thousands of them."""


@dataclass(frozen=True, slots=True)
class TrickledCandidate:
    """An address that a client names behind its offer (RFC 8838).

    ``text`` begins with ``candidate:``; an empty one says that there are no more. ``mid`` names the section
    it belongs to, or else ``index`` does, counted from 0 in the client's offer.
    """

    text: str
    mid: str | None = None
    index: int | None = None

    @property
    def fields(self) -> str:
        """What stands behind ``candidate:``."""
        return self.text.removeprefix("a=").removeprefix("candidate:")


def check_offer(sdp: str) -> None:
    """Raise ``ClientError`` if no call can come of this offer.

    400 ``invalid_sdp``: it is not a WebRTC offer. 422 ``no_audio``: it is one, without Opus audio. It is only
    looked at from outside here; ``negotiation.Offer`` reads it.
    """
    if len(sdp) > MAX_OFFER_CHARS:
        raise invalid_sdp(f"The offer has {len(sdp)} characters; at most {MAX_OFFER_CHARS} are read.")
    if not sdp.startswith("v=0"):
        raise invalid_sdp('The body must be an SDP offer as text, beginning with "v=0".')
    if not _OPUS.search(sdp):
        raise ClientError(
            "The offer has no Opus audio: add an audio track or transceiver before creating the offer.",
            code="no_audio",
            status=422,
        )
    # Sections of a BUNDLE group may leave these to the first of them, so one of each is asked for, not all.
    for attribute in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
        if f"\na={attribute}:" not in sdp:
            raise invalid_sdp(f"The offer has no a={attribute} line; WebRTC requires ICE and DTLS.")


def sanitize_offer(sdp: str) -> str:
    """Return the offer without the lines that break aioice, and with ``active`` for ``actpass``."""
    kept: list[str] = []
    n_candidates = 0
    for raw in sdp.splitlines():
        line = raw.strip()
        if not line or line.startswith("a=end-of-candidates"):
            continue
        if line.startswith("a=candidate:"):
            if n_candidates >= MAX_CANDIDATES or not is_usable(line.removeprefix("a=candidate:")):
                continue
            n_candidates += 1
        elif line == "a=setup:actpass":
            line = "a=setup:active"
        kept.append(line)
    return "\r\n".join(kept) + "\r\n"


def announce(answer_sdp: str, address: str) -> str:
    """Return the answer with ``address`` in place of this machine's own addresses of the same IP version.

    For servers behind one-to-one NAT or in a container, whose ports are reachable under another address
    (RFC 8445 §5.1.1.1 has only STUN for this, which asks a third party and waits). Loopback candidates stay:
    they are meant for clients on this machine. Raises ``ValueError`` as ``announced_addresses`` does.
    """
    for announced in announced_addresses(address):
        answer_sdp = _announce(answer_sdp, announced)
    return answer_sdp


def announced_addresses(text: str) -> tuple[_IpAddress, ...]:
    """Read an address, or two of different IP versions with a comma between them.

    Raises ``ValueError`` with what is wrong; names are not looked up.
    """
    addresses = []
    for part in text.split(","):
        try:
            addresses.append(ipaddress.ip_address(part.strip()))
        except ValueError:
            raise ValueError(f"{part.strip()!r} must be an IP address; names are not looked up") from None
    if len({address.version for address in addresses}) < len(addresses):
        raise ValueError(f"{text!r} has two addresses of one IP version; one of each can be announced")
    return tuple(addresses)


def is_usable(candidate: str) -> bool:
    """Whether aioice can do anything with a candidate: UDP to a literal address (RFC 8839 §5.1)."""
    fields = candidate.split()
    if len(fields) < 8 or fields[2].lower() != "udp":
        return False
    if not all(_NUMBER.fullmatch(fields[place]) for place in (1, 3, 5)) or not 0 < int(fields[5]) < 65_536:
        return False
    try:
        ipaddress.ip_address(fields[4])
    except ValueError:
        return False
    return fields[7] in ("host", "srflx", "relay")


def _announce(answer_sdp: str, announced: _IpAddress) -> str:
    lines: list[str] = []
    told: set[tuple[str, ...]] = set()
    for line in answer_sdp.splitlines():
        if line.startswith("m="):
            told.clear()
        fields = line.split(" ")
        if line.startswith("a=candidate:") and len(fields) > 7 and fields[7] == "host":
            if _is_stand_in(announced, fields[4]):
                fields[4] = str(announced)
                line = " ".join(fields)
                candidate = (fields[1], fields[2], fields[4], fields[5])
                if candidate in told:
                    continue  # several addresses with one port have become one (RFC 8445 §5.1.3)
                told.add(candidate)
        elif line.startswith(f"c=IN IP{announced.version} ") and _is_stand_in(announced, fields[2]):
            line = f"c=IN IP{announced.version} {announced}"
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _is_stand_in(announced: _IpAddress, own: str) -> bool:
    """Whether ``announced`` may take the place of the address ``own``."""
    try:
        address = ipaddress.ip_address(own)
    except ValueError:
        return False
    return address.version == announced.version and not address.is_loopback and not address.is_unspecified


def invalid_sdp(message: str) -> ClientError:
    """Return the error for an offer that is none."""
    return ClientError(message, code="invalid_sdp", status=400)

"""Trickle ICE as WHIP sends it: a fragment of SDP with addresses found after the offer (RFC 8840 §9).

a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
m=audio 9 UDP/TLS/RTP/SAVPF 0
a=mid:0
a=candidate:1 1 udp 2130706431 192.0.2.1 61665 typ host
a=end-of-candidates
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ClientError
from .ice import TrickledCandidate

MEDIA_TYPE = "application/trickle-ice-sdpfrag"

_LINE = re.compile(r"[a-z]=.*")
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
"""RFC 8839 §5.4."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """``ufrag`` is the client's half of what names the connection; another than the offer's restarts ICE."""

    ufrag: str | None
    candidates: tuple[TrickledCandidate, ...]


def read_fragment(text: str) -> Fragment:
    """Return what a fragment says; that there are no more candidates is left out, for it means nothing here.

    Raises ``ClientError`` 400 ``invalid_fragment``.
    """
    ufrag: str | None = None
    mid: str | None = None
    candidates: list[TrickledCandidate] = []
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise _invalid("It is empty.")
    for line in lines:
        if not _LINE.fullmatch(line):
            raise _invalid("Each of its lines must be one of SDP, like a=candidate:…")
        name, _, value = line.partition(":")
        if line.startswith("m="):
            mid = None
        elif name == "a=mid":
            mid = value
        elif name == "a=ice-ufrag":
            if not _UFRAG.fullmatch(value):
                raise _invalid("Its a=ice-ufrag is none.")
            ufrag = value
        elif name == "a=candidate":
            # Without a section named, it is the first: that of the bundle.
            candidates.append(TrickledCandidate(line, mid, 0 if mid is None else None))
    return Fragment(ufrag, tuple(candidates))


def _invalid(problem: str) -> ClientError:
    return ClientError(f"The body is no fragment of SDP. {problem}", code="invalid_fragment", status=400)

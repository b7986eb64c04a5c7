"""What a failed connection means for the operator: names that do not exist, certificates that are refused.

Most failures of the network pass by themselves; these do not, and their exceptions are hard to read.
Libraries wrap them several times, so the innermost is looked at first.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_OTHER_PROTOCOL = frozenset(
    {
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "HTTP_REQUEST",
        "UNSUPPORTED_PROTOCOL",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "NO_PROTOCOLS_AVAILABLE",
    }
)
"""OpenSSL's reasons when the other side speaks plain HTTP, or only an old TLS."""

_FIX_CERTIFICATE = "Check the base URL; for a certificate of your own set SSL_CERT_FILE to its authority."


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """``message`` goes behind "the connection to x failed: "; ``fix`` is empty if it may pass by itself."""

    message: str
    fix: str = ""


def network_fault(causes: Iterable[BaseException]) -> NetworkFault | None:
    """Say what the first of ``causes`` means that is of this kind; innermost first. ``None`` if none is."""
    for cause in causes:
        match cause:
            case socket.gaierror():
                if cause.errno in _NO_SUCH_NAME:
                    return NetworkFault("there is no host of this name", "Check the base URL.")
                return NetworkFault("the host's name could not be looked up")
            case ssl.SSLCertVerificationError():
                why = getattr(cause, "verify_message", "") or "it is for another host"
                return NetworkFault(f"its TLS certificate is refused ({why})", _FIX_CERTIFICATE)
            case ssl.SSLError():
                return _tls(cause)
    return None


def _tls(error: ssl.SSLError) -> NetworkFault:
    reason = getattr(error, "reason", None) or type(error).__name__  # aiohttp's subclasses may have none
    if reason in _OTHER_PROTOCOL:
        return NetworkFault("it does not speak TLS there", "Check the base URL: http or https, and the port.")
    return NetworkFault(f"TLS failed ({reason})")

"""Every private name of aiortc and aioice that is used here, looked up once at start."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

_PRIVATE: tuple[tuple[str, str, str], ...] = (
    ("aiortc", "RTCPeerConnection", "_RTCPeerConnection__certificates"),
    ("aiortc", "RTCPeerConnection", "_RTCPeerConnection__iceTransports"),
    ("aiortc", "RTCIceTransport", "_connection"),
    ("aioice", "Connection", "_protocols"),
    ("aioice", "Connection", "get_component_candidates"),
    ("aioice", "Connection", "_local_username"),
    ("aioice", "Connection", "_nominated"),
    ("aioice", "Connection", "_queue"),
    ("aioice", "Connection", "_remote_candidates"),
    ("aioice", "Connection", "check_incoming"),
    ("aioice", "Connection", "stun_server"),
    ("aioice.ice", "StunProtocol", "datagram_received"),
    ("aioice.ice", "StunProtocol", "connection_made"),
    ("aioice.ice", "get_host_addresses", ""),
    ("aioice.ice", "server_reflexive_candidate", ""),
    ("aioice.candidate", "candidate_foundation", ""),
    ("aioice.candidate", "candidate_priority", ""),
    ("aiortc.clock", "current_ntp_time", ""),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_state"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_rx_srtp"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_tx_srtp"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_register_rtp_receiver"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_setup_srtp"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_handle_rtcp_data"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_register_data_receiver"),
    ("aiortc.rtcdtlstransport", "State", "CONNECTED"),
    ("aiortc", "RTCSctpTransport", "_advertised_rwnd"),
    ("aiortc", "RTCSctpTransport", "_data_channels"),
    ("aiortc", "RTCSctpTransport", "_handle_data"),
    ("aiortc", "RTCSctpTransport", "_inbound_streams"),
    ("aiortc", "RTCSctpTransport", "_last_received_tsn"),
    ("aiortc.rtcsctptransport", "InboundStream", "reassembly"),
    ("aiortc", "RTCRtpSender", "_ssrc"),
    ("aiortc", "RTCRtpSender", "_handle_rtcp_packet"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__rtt"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__ntp_timestamp"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__rtp_timestamp"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__packet_count"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__octet_count"),
    ("aiortc", "RTCRtpTransceiver", "_codecs"),
    ("aiortc", "RTCRtpTransceiver", "_headerExtensions"),
    ("aiortc", "RTCRtpReceiver", "_run_rtcp"),
    ("aiortc", "RTCRtpReceiver", "_RTCRtpReceiver__remote_streams"),
    ("aiortc", "RTCRtpReceiver", "_RTCRtpReceiver__rtcp_task"),
    ("aiortc", "RTCRtpReceiver", "_RTCRtpReceiver__started"),
    ("aiortc.rtcrtpreceiver", "StreamStatistics", "add"),
    ("aiortc.rtcrtpreceiver", "StreamStatistics", "jitter"),
)
"""Module, class or function, attribute (none for functions)."""


def missing_names(names: Iterable[tuple[str, str, str]] = _PRIVATE) -> tuple[str, ...]:
    """Return those private names that the installed versions do not have, as ``module.Class.name``.

    A name counts if the class has it or its ``__init__`` mentions it, which is where both libraries make
    their attributes.
    """
    return tuple(".".join(filter(None, name)) for name in names if not _is_there(*name))


def _is_there(module: str, owner: str, attribute: str) -> bool:
    try:
        found = getattr(importlib.import_module(module), owner)
    except (ImportError, AttributeError):
        return False
    return not attribute or hasattr(found, attribute) or attribute in found.__init__.__code__.co_names


MISSING = missing_names()
"""What the installed versions lack; empty with the pinned ones."""

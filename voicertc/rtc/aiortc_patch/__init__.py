"""Everything that aiortc and aioice do not offer in public: the only place that touches their private parts.

Both are pinned exactly in ``pyproject.toml``. Importing this module looks every private name up; if one is
missing, ``MISSING`` names it and nothing else here may be called: calls then run on the public API, at a
higher cost (``connection``). Nothing is patched globally: each function changes one object of one call.

Read in aiortc 1.16.0 and aioice 0.13.0:

    RTCPeerConnection ─┬─ __certificates
                       ├─ __iceTransports ─ RTCIceTransport._connection = aioice.Connection
                       │                    ├─ get_component_candidates(addresses): where sockets are opened
                       │                    ├─ _protocols ─ datagram_received(): where all arrives
                       │                    └─ _nominated[1] ─ protocol, remote_addr: where all leaves
                       └─ RTCRtpReceiver/-Sender.transport = RTCDtlsTransport ─ _rx_srtp, _tx_srtp
"""

from __future__ import annotations

from .addresses import (
    LOOPBACK,
    has_only_loopback,
    host_addresses,
    offer_loopback,
    share_port,
    shared_certificate,
    shrink_reads,
    use_certificate,
)
from .cable import cut_link
from .guards import guard, guard_data_channel
from .inbound import RtpInput, watch_inbound
from .names import MISSING, missing_names
from .outbound import RtpOutput, round_trip, watch_reports

__all__ = [
    "LOOPBACK",
    "MISSING",
    "RtpInput",
    "RtpOutput",
    "cut_link",
    "guard",
    "guard_data_channel",
    "has_only_loopback",
    "host_addresses",
    "missing_names",
    "offer_loopback",
    "round_trip",
    "share_port",
    "shared_certificate",
    "shrink_reads",
    "use_certificate",
    "watch_inbound",
    "watch_reports",
]

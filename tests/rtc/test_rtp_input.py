"""What ``RtpInput`` makes of any bytes, with aiortc and SRTP played by what lets everything through."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pylibsrtp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, rtcrtpreceiver
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket
from hypothesis import given
from hypothesis import strategies as st

from voicertc.rtc.aiortc_patch import inbound
from voicertc.rtc.aiortc_patch.guards import _BoundedSession, guard
from voicertc.rtc.aiortc_patch.inbound import N_SOURCES, RtpInput
from voicertc.rtc.rtp import RtpPacket, header, parse

OPUS = 111
LEVEL_ID = 3
MANY = N_SOURCES


class Transceiver:
    """As much of aiortc's as an input looks at; ``unprotect`` takes SRTP's place."""

    def __init__(self) -> None:
        self.fails: str | None = None
        self.receiver = SimpleNamespace(
            transport=SimpleNamespace(_rx_srtp=self), _RTCRtpReceiver__remote_streams={}, receive=None
        )
        self._codecs = [
            SimpleNamespace(mimeType="audio/opus", payloadType=OPUS),
            SimpleNamespace(mimeType="audio/PCMU", payloadType=0),
        ]
        self._headerExtensions = [
            SimpleNamespace(uri="urn:ietf:params:rtp-hdrext:ssrc-audio-level", id=LEVEL_ID)
        ]

    def unprotect(self, data: bytes) -> bytes:
        if self.fails:
            raise pylibsrtp.Error(self.fails)
        return data


def made() -> tuple[RtpInput, Transceiver, list[RtpPacket]]:
    heard: list[RtpPacket] = []
    transceiver = Transceiver()
    taking = RtpInput(transceiver, lambda packet, now: heard.append(packet))  # type: ignore[arg-type]
    return taking, transceiver, heard


def reports(transceiver: Transceiver) -> bytes:
    """What aiortc's task for reports writes once a second."""
    streams = transceiver.receiver._RTCRtpReceiver__remote_streams
    return bytes(
        RtcpRrPacket(
            1,
            [
                RtcpReceiverInfo(
                    ssrc, each.fraction_lost, each.packets_lost, each.max_seq, each.jitter, lsr=0, dlsr=0
                )
                for ssrc, each in streams.items()
            ],
        )
    )


@given(st.lists(st.binary(max_size=60)), st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3, st.binary())))
def test_any_bytes_are_heard_or_counted_and_reports_can_be_written(
    garbage: list[bytes], packets: list[tuple[int, int, int, bytes]]
) -> None:
    taking, transceiver, heard = made()
    sent = [header(OPUS, number & 0xFFFF, stamp, ssrc) + rest for number, stamp, ssrc, rest in packets]
    for data in [*garbage, *sent]:
        taking.take(data, 0.0)
    assert len(heard) + taking.n_invalid == len(garbage) + len(sent)
    assert all(packet.payload_type == OPUS for packet in heard)
    assert len({packet.ssrc for packet in heard}) <= MANY
    assert len(reports(transceiver)) == 8 + 24 * len(transceiver.receiver._RTCRtpReceiver__remote_streams)


def test_what_is_forged_or_of_another_codec_or_comes_twice_is_counted() -> None:
    taking, transceiver, heard = made()
    taking.take(header(0, 1, 0, 7) + b"pcmu", 0.0)
    assert (taking.n_invalid, taking.n_duplicate) == (1, 0)
    transceiver.fails = "authentication failure"
    taking.take(header(OPUS, 1, 0, 7) + b"opus", 0.0)
    assert (taking.n_invalid, taking.n_duplicate) == (2, 0)
    transceiver.fails = "replay check failed (bad index)"
    taking.take(header(OPUS, 1, 0, 7) + b"opus", 0.0)
    assert (taking.n_invalid, taking.n_duplicate, heard) == (2, 1, [])


def test_nothing_is_read_before_there_are_keys() -> None:
    taking, transceiver, heard = made()
    transceiver.receiver.transport._rx_srtp = None
    taking.take(header(OPUS, 1, 0, 7) + b"opus", 0.0)
    assert (taking.n_bytes, taking.n_invalid, heard) == (0, 0, [])


def test_the_level_is_looked_up_again_after_a_negotiation() -> None:
    taking, transceiver, heard = made()
    element = bytes([0xBE, 0xDE, 0, 1, LEVEL_ID << 4, 42, 0, 0])
    data = bytes([0x90]) + header(OPUS, 1, 0, 7)[1:] + element + b"opus"
    taking.take(data, 0.0)
    transceiver._headerExtensions = []
    taking.take(data, 0.0)
    taking.renegotiated()
    taking.take(data, 0.0)
    assert [packet.level for packet in heard] == [42, 42, None]


def test_time_stamps_that_jump_to_and_fro_break_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc's jitter overflows 32 bits: its task for reports would die, and ``close`` wait for it."""
    now = [0.0]
    monkeypatch.setattr(rtcrtpreceiver, "time", SimpleNamespace(time=lambda: now[0]))
    taking, transceiver, heard = made()
    for n in range(600):
        now[0] += 0.05 if n % 2 else 0.0001
        taking.take(header(OPUS, n, 0 if n % 2 else 2**32 - 1, 7) + b"opus", now[0])
    assert len(heard) == 600
    assert reports(transceiver)[-12:-8] == b"\xff\xff\xff\xff", "the most that there is room for"


async def test_only_what_aiortc_understands_reaches_it_and_it_may_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reached: list[bytes] = []
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    def receive(data: bytes, address: object) -> None:
        reached.append(data)
        if data[0] == 1:
            raise struct.error

    protocol: Any = SimpleNamespace(datagram_received=receive, receiver=SimpleNamespace(_queue=queue))
    taken: list[bytes] = []
    inbound._divert(protocol, lambda now: None, lambda data, now: taken.append(data))
    every = [bytes([first, second]) + bytes(20) for first in range(256) for second in range(256)]
    for data in [*every, b"", b"\x80", bytes(1501), b"\x80\xc8" + bytes(1700), b"\x80\x6f" + bytes(1700)]:
        protocol.datagram_received(data, ("192.0.2.1", 9))
    kinds = Counter(data[0] for data in reached)
    assert kinds == dict.fromkeys([*range(4), *range(20, 64)], 256) | dict.fromkeys(range(128, 192), 17)
    assert len(taken) == 64 * (256 - 32)
    assert [record.message for record in caplog.records] == ["datagram_refused"]
    reached.clear()
    for _ in range(256):
        queue.put_nowait(b"")
    for data in every[:: 256 + 1]:
        protocol.datagram_received(data, ("192.0.2.1", 9))
    assert {data[0] for data in reached} == {0, 1, 2, 3}, "checks must pass; the rest would wait for nobody"


async def test_each_transport_is_guarded_once() -> None:
    """A further offer may bring another, of a data channel outside the bundle."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transport = pc.addTransceiver("audio").receiver.transport
    guard(pc)
    guarded = dict(vars(transport))
    pc.createDataChannel("channel")
    assert pc.sctp is not None
    assert pc.sctp.transport is not transport
    guard(pc)
    assert vars(transport) == guarded
    assert {"_setup_srtp", "_handle_rtcp_data", "_register_data_receiver"} <= set(vars(pc.sctp.transport))
    await pc.close()


class Session:
    """An SRTP session that lets through what does not begin with a 0, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def unprotect(self, data: bytes) -> bytes:
        self.asked.append(data)
        if data[-1:] == b"!":
            raise pylibsrtp.Error("authentication failure")
        return data

    unprotect_rtcp = unprotect


def test_a_session_knows_few_sources_and_forgeries_take_nobodys_place() -> None:
    inner = Session()
    session: Any = _BoundedSession(inner)  # type: ignore[arg-type]
    for source in range(100):
        with pytest.raises(pylibsrtp.Error):
            session.unprotect(header(OPUS, 1, 0, source) + b"forged!")
    for source in range(MANY - 1):
        session.unprotect(header(OPUS, 1, 0, source) + b"good")
    rtcp = struct.pack("!BBHL", 0x80, 201, 1, 99)
    assert session.unprotect_rtcp(rtcp) == rtcp
    inner.asked.clear()
    for unprotect, data in (
        (session.unprotect, header(OPUS, 1, 0, 1000)),
        (session.unprotect_rtcp, struct.pack("!BBHL", 0x80, 201, 1, 1000)),
    ):
        with pytest.raises(pylibsrtp.Error, match="too many sources"):
            unprotect(data)
    assert inner.asked == [], "libsrtp would have kept it"
    assert parse(session.unprotect(header(OPUS, 2, 0, 99))) == RtpPacket(OPUS, 2, 0, 99, b"")

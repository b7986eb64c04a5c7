"""Our own way: datagrams to frames and frames to datagrams, each within one step of the event loop.

    datagram ── RtpInput ── Microphone ──> hear()      playout ── Voice ── Speaker ── RtpOutput ──> datagram
                                                           ^ reports ── LinkAdaptation

aiortc keeps what it is good at: SDP, ICE, DTLS, RTCP, the data channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpTransceiver
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet
from av.stream import Stream

from . import aiortc_patch
from .adaptation import LinkAdaptation
from .counters import Coding, IncomingCounters, OutgoingCounters, ReceiverReport
from .media_clock import MediaClock
from .media_path import CallAudio
from .microphone import Microphone
from .rtp import RtpPacket
from .speaker import Speaker
from .voice import Voice

_LOOKAHEAD = 0.0065
"""Seconds by which the encoder delays, in either mode, so that it may change."""


class OwnPath:
    """See ``media_path.MediaPath``. ``on_datagram`` is told the time of everything that arrives.

    ``on_crash`` is told of what the owner's ear or playout's listener raised, within another's step.
    """

    hearing_delay = 0.02

    def __init__(
        self,
        audio: CallAudio,
        clock: MediaClock,
        on_datagram: Callable[[float], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self.track: MediaStreamTrack = SilentTrack()
        self._audio = audio
        self._on_datagram = on_datagram
        self._on_crash = on_crash
        self._adaptation = LinkAdaptation(bit_rate=audio.bit_rate)
        self._voice = Voice(audio.playout, self._adaptation.coding, audio.mixing)
        self._speaker = Speaker(self._voice, clock, self._send, on_crash)
        self._microphone: Microphone | None = None
        self._input: aiortc_patch.RtpInput | None = None
        self._output: aiortc_patch.RtpOutput | None = None
        self._pc: RTCPeerConnection | None = None
        self._transceiver: RTCRtpTransceiver | None = None
        self._has_sent = False
        self._is_released = False
        self._wake = self._speaker.wake  # one object: it is compared with what playout has

    @property
    def incoming(self) -> IncomingCounters | None:
        """What came so far."""
        if self._microphone is None or self._input is None:
            return None
        counters = self._microphone.count()
        counters.n_bytes = self._input.n_bytes
        return counters

    @property
    def outgoing(self) -> OutgoingCounters | None:
        """What was sent so far."""
        counters = self._voice.counters
        if self._output is not None:
            counters.n_packets, counters.n_bytes = self._output.n_packets, self._output.n_bytes
        coding = self._voice.coding
        counters.coding = Coding(coding.bit_rate, _LOOKAHEAD, coding.loss_percent > 0)
        return counters

    @property
    def skipped(self) -> int:
        """Packets of speech left out because the event loop was late."""
        return self._voice.counters.n_skipped

    def describe(self, pc: RTCPeerConnection, transceiver: RTCRtpTransceiver) -> None:
        """Take the place of aiortc's receiver and sender."""
        self._pc, self._transceiver = pc, transceiver
        self._input = aiortc_patch.RtpInput(transceiver, self._hear)
        aiortc_patch.shrink_reads(pc)
        aiortc_patch.watch_inbound(pc, self._on_datagram, self._input.take)
        aiortc_patch.watch_reports(transceiver.sender, self._reported)
        aiortc_patch.guard(pc)

    def renegotiated(self) -> None:
        """Other header extensions may have been agreed on, and a data channel."""
        if self._pc and self._input:
            self._input.renegotiated()
            aiortc_patch.guard(self._pc)

    @property
    def position(self) -> int:
        """Where hearing has come to."""
        return self._microphone.position if self._microphone else 0

    def begin(self, began: float, position: int) -> None:
        """Listen from now on."""
        audio = self._audio
        self._microphone = Microphone(
            audio.hear, began=began, position=position, is_idle=audio.is_idle, on_crash=self._on_crash
        )
        self._audio.playout.on_data = self._wake
        if self._audio.mixing is not None:
            self._audio.mixing.on_needed = self._wake

    def follow_direction(self, *, is_sending: bool) -> None:
        """Send, or let replies pass in real time without a packet; what has begun goes on."""
        if is_sending and not self._has_sent and self._transceiver is not None:
            self._has_sent = True
            self._output = aiortc_patch.RtpOutput(self._transceiver)
        self._speaker.start()

    def release(self) -> None:
        """Let go of playout and ears at once."""
        self._speaker.stop()
        if self._audio.playout.on_data == self._wake:
            self._audio.playout.on_data = None
        if self._audio.mixing is not None and self._audio.mixing.on_needed == self._wake:
            self._audio.mixing.on_needed = None
        if self._microphone is not None:
            self._microphone.close()
        self._is_released = True

    async def close(self) -> None:
        """Free everything."""
        self.release()
        self.track.stop()

    def _hear(self, packet: RtpPacket, now: float) -> None:
        if self._microphone is not None and not self._is_released:
            try:
                self._microphone.take(packet, now)
            except Exception as error:
                self._on_crash(error)

    def _send(self, payload: bytes, rtp_time: int, is_first: bool) -> None:
        if self._output is not None:
            self._output.send(payload, rtp_time, is_first)

    def _reported(self, report: ReceiverReport) -> None:
        self._voice.counters.report = report
        assert self._transceiver is not None, "its sender was told of a report"
        round_trip = aiortc_patch.round_trip(self._transceiver.sender)
        coding = self._adaptation.report(report.fraction_lost, round_trip, report.time)
        if coding != self._voice.coding:
            self._voice.coding = coding


class SilentTrack(MediaStreamTrack):
    """What aiortc's sender is given to wait for: packets go past it."""

    kind = "audio"

    async def recv(self) -> Packet[Stream]:
        """Wait until the sender is stopped."""
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.get_running_loop().create_future()
        raise MediaStreamError

"""One client's peer connection: sound both ways, a data channel, and the truth about whether it is there.

    client ── RTP ──▶ Microphone ── PcmFrame ──▶ hear()
           ◀─ RTP ─── Speaker ◀──── read() ───── PlayoutBuffer
           ◀─ oai-events ─▶ send() / PeerListener.message_received()

A peer's life: ``answer`` once, then it tells its listener what happens, until ``close`` is called or it ends
by itself and says ``closed``. Everything runs on one event loop; the listener is called synchronously.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol

from aiortc import (
    InvalidStateError,
    MediaStreamError,
    MediaStreamTrack,
    RTCCertificate,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError

from .. import logs
from ..audio.pcm import PcmFrame
from ..audio.playout import EAR_DELAY, PlayoutBuffer
from ..errors import ClientError
from . import aiortc_patch
from .ice import announce
from .microphone import Microphone
from .negotiation import Offer
from .options import IceServer, RtcOptions
from .speaker import Speaker
from .watchdog import Sign, Watchdog

__all__ = ["CHANNEL_LABEL", "IceServer", "Peer", "PeerListener", "RtcOptions"]

_log = logging.getLogger(__name__)

CHANNEL_LABEL = "oai-events"
"""The data channel that clients of OpenAI's Realtime API open; others are left alone."""
MAX_ROUND_TRIP = 2.0
"""Seconds; more is a clock that was set, not a network."""
CLOSE_TIMEOUT = 5.0
"""Seconds that aiortc is given to close: it says goodbye in a few packets."""


class PeerListener(Protocol):
    """Whoever owns the call. Nothing is called any more after ``closed`` or once ``close`` was called."""

    def connected(self) -> None:
        """Media can flow both ways."""

    def away(self) -> None:
        """Nothing has arrived for ``pause_after`` seconds."""

    def back(self) -> None:
        """Something has arrived again."""

    def closed(self, reason: str) -> None:
        """It is over: ``never_connected``, ``lost``, ``closed`` (goodbye), ``slow_client`` or ``failed``."""

    def channel_opened(self) -> None:
        """The data channel is open: the first message may be sent, from here on."""

    def message_received(self, message: str | bytes) -> None:
        """A message came on the data channel."""


class Peer:
    """One peer connection, answered. Owned by its call; to be closed by it, also after ``closed``.

    Tasks: ``{name}/microphone`` while the client has a track, ``{name}/playout`` if the client does not want
    to hear us, ``{name}/close`` while it ends.
    """

    def __init__(
        self,
        playout: PlayoutBuffer,
        hear: Callable[[PcmFrame], None],
        listener: PeerListener,
        options: RtcOptions | None = None,
        *,
        name: str = "call",
        certificate: RTCCertificate | None = None,
        bit_rate: int = 32_000,
    ) -> None:
        self._playout = playout
        self._hear = hear
        self._listener = listener
        self._options = options or RtcOptions()
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._pc = RTCPeerConnection(_configuration(self._options))
        aiortc_patch.use_certificate(self._pc, certificate or aiortc_patch.shared_certificate())
        self._speaker = Speaker(playout, bit_rate=bit_rate)
        self._transceiver = self._add_transceiver()
        self._channel: RTCDataChannel | None = None
        self._max_message_bytes = self._options.max_message_bytes
        self._watchdog: Watchdog | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._track: MediaStreamTrack | None = None

    # --- for the owner ----------------------------------------------------------------------------

    async def answer(self, offer_sdp: str, *, is_loopback_client: bool = False) -> str:
        """Return the answer to an offer; to be called once.

        ``is_loopback_client``: the offer came from this machine, which may have no other way to itself.
        Raises ``ClientError`` (400 ``invalid_sdp``, 422 ``no_audio``) and closes the peer if there is none.
        """
        assert self._watchdog is None, "a peer answers one offer"
        try:
            offer = Offer.read(offer_sdp)
            self._max_message_bytes = min(self._max_message_bytes, offer.max_message_bytes)
            answer = offer.answer(await self._negotiate(offer.text, is_loopback_client))
        except BaseException:
            await self.close()
            raise
        if self._options.announced_address is not None:
            answer = announce(answer, self._options.announced_address)
        return answer

    def send(self, text: str) -> None:
        """Send a message on the data channel; it is dropped if there is none, or none any more. Never raises.

        A client that does not take its messages is closed as ``slow_client``.
        """
        channel = self._channel
        if channel is None or channel.readyState != "open" or self._closing is not None:
            return
        n_bytes = len(text.encode())
        if n_bytes > self._max_message_bytes:
            limit = self._max_message_bytes
            logs.event(_log, logging.WARNING, "message_too_long", bytes=n_bytes, limit=limit)
            return
        if channel.bufferedAmount + n_bytes > self._options.max_buffered_bytes:
            self._end("slow_client")
            return
        with contextlib.suppress(InvalidStateError):  # it closes this very moment
            channel.send(text)

    async def close(self) -> None:
        """Say goodbye and leave nothing behind; may be called any number of times."""
        if self._closing is None:
            self._closing = self._begin_close()
        await asyncio.shield(self._closing)

    @property
    def round_trip(self) -> float | None:
        """Seconds to the client and back, from its receiver reports; ``None`` until one came."""
        rtt = aiortc_patch.round_trip(self._transceiver.sender)
        return rtt if rtt is not None and 0 <= rtt <= MAX_ROUND_TRIP else None

    @property
    def skipped(self) -> int:
        """Packets left out because the event loop was late."""
        return self._speaker.skipped

    # --- the connection ---------------------------------------------------------------------------

    def _add_transceiver(self) -> RTCRtpTransceiver:
        self._pc.on("track", self._on_track)
        self._pc.on("datachannel", self._on_channel)
        self._pc.on("connectionstatechange", self._on_state)
        transceiver = self._pc.addTransceiver(self._speaker, direction="sendrecv")
        capabilities = RTCRtpReceiver.getCapabilities("audio")
        assert capabilities is not None
        # Our packets are Opus, whatever the client would like best.
        transceiver.setCodecPreferences([c for c in capabilities.codecs if c.mimeType == "audio/opus"])
        return transceiver

    async def _negotiate(self, offer: str, is_loopback_client: bool) -> str:
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        except InvalidStateError as error:
            raise ClientError(
                "The call ended while it was answered.", code="call_ended", status=503
            ) from error
        except (ValueError, OperationError, AssertionError) as error:
            raise ClientError(f"The offer cannot be answered: {error}", code="invalid_sdp") from error
        if is_loopback_client or aiortc_patch.has_only_loopback():
            aiortc_patch.offer_loopback(self._pc)
        self._watchdog = Watchdog(
            self._loop.time(),
            connect_timeout=self._options.connect_timeout,
            pause_after=self._options.pause_after,
            close_after=self._options.close_after,
        )
        await self._pc.setLocalDescription()
        aiortc_patch.shrink_reads(self._pc)
        aiortc_patch.watch_inbound(self._pc, self._on_datagram)
        self._look_again()
        return self._pc.localDescription.sdp

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._track = track

    def _on_state(self) -> None:
        state = self._pc.connectionState
        if self._closing is not None or self._watchdog is None:
            return
        if state == "connected":
            self._on_connected(self._watchdog)
        elif state in ("failed", "closed"):
            if not self._watchdog.is_connected:
                self._end("never_connected")
            else:
                self._end("lost" if state == "failed" or self._watchdog.is_away else "closed")

    def _on_connected(self, watchdog: Watchdog) -> None:
        if watchdog.is_connected:
            return
        now = self._loop.time()
        watchdog.connect(now)
        self._look_again()
        if self._track is not None:
            microphone = Microphone(self._hear, began=now)
            self._start(microphone.run(self._track), "microphone")
        if self._transceiver.currentDirection not in ("sendrecv", "sendonly"):
            self._start(self._play_to_nobody(), "playout")
        self._listener.connected()

    async def _play_to_nobody(self) -> None:
        """Let replies pass in real time although the client asked for no sound: its session goes on."""
        with contextlib.suppress(MediaStreamError):
            while True:
                await self._speaker.recv()

    def _start(self, work: Coroutine[None, None, None], what: str) -> None:
        task = self._loop.create_task(work, name=f"{self._name}/{what}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logs.event(_log, logging.ERROR, "peer_failed", exc_info=error, task=task.get_name())
            self._end("failed")

    # --- the data channel -------------------------------------------------------------------------

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label != CHANNEL_LABEL or (self._channel and self._channel.readyState == "open"):
            return
        self._channel = channel
        channel.on("message", self._on_message)
        # aiortc has opened it already: no "open" event will come.
        if self._closing is None:
            self._listener.channel_opened()

    def _on_message(self, message: str | bytes) -> None:
        if self._closing is None:
            self._listener.message_received(message)

    # --- presence ---------------------------------------------------------------------------------

    def _on_datagram(self) -> None:
        watchdog = self._watchdog
        assert watchdog is not None
        watchdog.heard = self._loop.time()
        if watchdog.is_away:
            self._loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        """Ask the watchdog, now and at its next deadline."""
        watchdog = self._watchdog
        if self._closing is not None or watchdog is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        match watchdog.check(self._loop.time()):
            case Sign.NEVER_CONNECTED:
                return self._end("never_connected")
            case Sign.LOST:
                return self._end("lost")
            case Sign.AWAY:
                self._listener.away()
            case Sign.BACK:
                self._listener.back()
        if (rtt := self.round_trip) is not None:
            self._playout.ear_delay = rtt / 2 + EAR_DELAY
        self._timer = self._loop.call_at(watchdog.deadline, self._look_again)

    # --- the end ----------------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        """End by itself: the listener is told at once, the rest takes a moment."""
        if self._closing is None:
            level = logging.DEBUG if reason == "closed" else logging.INFO
            logs.event(_log, level, "peer_ended", peer=self._name, reason=reason)
            self._closing = self._begin_close()
            self._listener.closed(reason)

    def _begin_close(self) -> asyncio.Task[None]:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._speaker.stop()
        return self._loop.create_task(self._close(), name=f"{self._name}/close")

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._pc.close()
        except TimeoutError:
            logs.event(_log, logging.ERROR, "close_timed_out", peer=self._name)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _configuration(options: RtcOptions) -> RTCConfiguration:
    # An empty list, not None: None would ask a public STUN server, and wait 5 s for it if it is unreachable.
    return RTCConfiguration(
        iceServers=[
            RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
            for server in options.ice_servers
        ]
    )

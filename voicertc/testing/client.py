"""A WebRTC client without a browser: speaks recordings, keeps all it hears, costs next to nothing.

    async with HeadlessClient("http://127.0.0.1:8080") as client:
        spoken = await client.say(Utterance.from_wav(path))        # 20 ms packets in real time
        done = await client.next_event("response.done")
        for frame in client.reply_audio(): ...                     # decoded, with times of arrival

It talks to any server of OpenAI's Realtime calls (``POST {base}/v1/realtime/calls``, raw SDP), or to a
function that answers offers. What it hears is stamped as it arrives, without a jitter buffer, and decoded
only when asked for: latencies are measured where the network ends. All times are the loop's (monotonic).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCSessionDescription,
)

from ..audio.pcm import HEARING_RATE_HZ, Samples
from ..errors import ClientError
from ..rtc import aiortc_patch
from ..rtc.channel import CHANNEL_LABEL
from ..rtc.options import IceServer
from ..rtc.own_path import SilentTrack
from ..rtc.rtp import RtpPacket
from .mouth import Mouth, Spoken
from .received import HeardFrame, ReceivedPacket, decode
from .utterance import Utterance

Answer: TypeAlias = Callable[[str], Awaitable[str]]
"""Takes an SDP offer, returns the answer."""

CALLS_PATH = "/v1/realtime/calls"


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One message of the data channel: ``at`` is the loop's time of its arrival."""

    at: float
    event: Mapping[str, Any]

    @property
    def type(self) -> str:
        """The event's ``type``."""
        return str(self.event.get("type", ""))


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a headless client behaves. Lengths of time are seconds."""

    opens_channel: bool = True
    """Whether it opens a data channel."""
    channel: str = CHANNEL_LABEL
    """What the data channel is called."""
    uses_dtx: bool = False
    """Whether it sends one packet per 400 ms while it says nothing, instead of 50 a second as browsers do."""
    connect_timeout: float = 15.0
    """From the offer until media flows."""
    api_key: str | None = field(default=None, repr=False)
    """Bearer token of the offer's request."""
    ice_servers: tuple[IceServer, ...] = ()
    """STUN and TURN servers to gather from: one of each kind is used."""
    relay_only: bool = False
    """Whether it is reached through TURN alone, as behind a firewall that lets nothing else through."""
    on_packet: Callable[[ReceivedPacket], None] | None = None
    """Takes each packet as it arrives; then the client keeps none, which a long call needs."""


class HeadlessClient:
    """One call from the client's side. Used as a context manager: it connects on entry, hangs up on exit."""

    def __init__(self, target: str | Answer, options: ClientOptions | None = None) -> None:
        """``target``: a server's base URL, or a function that answers an offer in this process."""
        self._target = target
        self._options = options or ClientOptions()
        self._loop = asyncio.get_running_loop()
        self._pc = RTCPeerConnection(_configuration(self._options))
        aiortc_patch.use_certificate(self._pc, aiortc_patch.shared_certificate())
        self._changed = asyncio.Event()
        self._mouth = Mouth(self._changed.set, uses_dtx=self._options.uses_dtx)
        self._channel: RTCDataChannel | None = None
        self._mend: Callable[[], None] | None = None
        self._n_returned = 0
        self.packets: list[ReceivedPacket] = []
        """All RTP packets so far, in order of arrival: 50 a second while the server speaks."""
        self.events: list[ReceivedEvent] = []
        """All events so far, in order of arrival."""
        self.location: str | None = None
        """The call's own path, from the answer's ``Location`` header."""
        self.setup_time = 0.0
        """Seconds from the offer's request until media could flow."""

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- the connection ---------------------------------------------------------------------------

    async def connect(self) -> None:
        """Offer, and return when media can flow.

        Raises ``ClientError`` if the server refuses, ``OSError`` if it cannot be reached, ``TimeoutError`` if
        no connection is made in time; then the client is closed.
        """
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                await self._connect()
        except BaseException:
            await self.close()
            raise

    async def _connect(self) -> None:
        pc = self._pc
        pc.on("connectionstatechange", self._changed.set)
        transceiver = pc.addTransceiver(SilentTrack(), direction="sendrecv")
        if self._options.opens_channel:
            self._listen(pc.createDataChannel(self._options.channel))
        offer = await pc.createOffer()
        if _is_here(self._target) and not self._options.relay_only:
            # One socket will do, instead of one for each of the machine's addresses.
            aiortc_patch.offer_loopback(pc, only=True)
        await pc.setLocalDescription(offer)
        heard = aiortc_patch.RtpInput(transceiver, self._hear)
        aiortc_patch.shrink_reads(pc)
        aiortc_patch.watch_inbound(pc, lambda now: None, heard.take)
        began = self._loop.time()
        await self._exchange()
        while pc.connectionState not in ("connected", "failed", "closed"):
            await self._change()
        if pc.connectionState != "connected":
            raise ConnectionError(f"The connection to the server is {pc.connectionState}.")
        self.setup_time = self._loop.time() - began
        self._mouth.open(aiortc_patch.RtpOutput(transceiver).send)

    async def offer_again(self) -> None:
        """Negotiate once more on the connection that is up; raises as ``connect`` does and closes nothing."""
        await self._pc.setLocalDescription(await self._pc.createOffer())
        await self._exchange()

    async def _exchange(self) -> None:
        answer = await self._fetch_answer(self._pc.localDescription.sdp)
        await self._pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def close(self) -> None:
        """Hang up; may be called twice."""
        self._mouth.close()
        await self._pc.close()
        self._changed.set()

    @property
    def is_connected(self) -> bool:
        """Whether the call is up, as far as the client knows."""
        return self._pc.connectionState == "connected"

    @property
    def skipped(self) -> int:
        """Packets of speech left out because this process was late: above zero it measures itself."""
        return self._mouth.skipped

    def cut_link(self) -> None:
        """Lose every datagram from now on, in both directions, as if the cable were pulled."""
        if self._mend is None:
            self._mend = aiortc_patch.cut_link(self._pc)

    def mend_link(self) -> None:
        """Undo ``cut_link``."""
        if self._mend is not None:
            self._mend()
            self._mend = None

    # --- speaking ---------------------------------------------------------------------------------

    async def say(self, what: Utterance | Samples) -> Spoken:
        """Send something said, in real time, and return when its last packet has left.

        Samples are ``(n,)`` int16 mono at 16 kHz, encoded here; what several clients say should be one
        ``Utterance``. Further ones queue up. Raises ``ConnectionError`` if the call ends before it is said.
        """
        spoken = self.begin_saying(what)
        while not spoken.is_over:
            if not self.is_connected:
                raise ConnectionError("The call ended while something was being said.")
            await self._change()
        return spoken

    def begin_saying(self, what: Utterance | Samples) -> Spoken:
        """As ``say``, without waiting: ``Spoken.sent`` fills as the packets leave."""
        utterance = what if isinstance(what, Utterance) else Utterance.from_samples(what)
        return self._mouth.say(utterance)

    # --- messages ---------------------------------------------------------------------------------

    def send(self, event: Mapping[str, Any]) -> None:
        """Send an event as JSON; raises ``ConnectionError`` if the data channel is not open."""
        if self._channel is None or self._channel.readyState != "open":
            raise ConnectionError("The data channel is not open.")
        self._channel.send(json.dumps(event))

    async def channel_opened(self, timeout: float = 10.0) -> None:
        """Wait until the data channel is open: events can be sent."""
        async with asyncio.timeout(timeout):
            while self._channel is None or self._channel.readyState != "open":
                await self._change()

    async def next_event(self, *types: str, timeout: float = 10.0) -> ReceivedEvent:
        """Return the next event of one of these types (any if none) behind the one returned last.

        Raises ``TimeoutError`` naming what came instead.
        """
        n_seen = self._n_returned
        try:
            async with asyncio.timeout(timeout):
                while True:
                    while n_seen < len(self.events):
                        event = self.events[n_seen]
                        n_seen += 1
                        if not types or event.type in types:
                            self._n_returned = n_seen
                            return event
                    await self._change()
        except TimeoutError:
            came = [event.type for event in self.events[self._n_returned :]]
            raise TimeoutError(f"no {' or '.join(types) or 'event'} in {timeout} s, only {came}") from None

    # --- hearing ----------------------------------------------------------------------------------

    def reply_audio(self, *, rate_hz: int = HEARING_RATE_HZ, since: float = 0.0) -> list[HeardFrame]:
        """Decode the packets that arrived at or after ``since``, in the order of their sequence numbers."""
        return decode((packet for packet in self.packets if packet.at >= since), rate_hz=rate_hz)

    # --- within -----------------------------------------------------------------------------------

    async def _fetch_answer(self, offer: str) -> str:
        if not isinstance(self._target, str):
            return await self._target(offer)
        headers = {"Content-Type": "application/sdp"}
        if self._options.api_key is not None:
            headers["Authorization"] = f"Bearer {self._options.api_key}"
        url = self._target.rstrip("/") + CALLS_PATH
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.post(url, data=offer, headers=headers) as response,
            ):
                body = await response.text()
        except aiohttp.ClientError as error:
            raise ConnectionError(f"{url} cannot be reached: {error}") from error
        if not response.ok:
            raise _refusal(response.status, body)
        self.location = response.headers.get("Location")
        return body

    def _listen(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("open", self._changed.set)
        channel.on("message", self._on_message)

    def _on_message(self, message: str | bytes) -> None:
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            event = {"type": "", "raw": message}
        self.events.append(ReceivedEvent(self._loop.time(), event))
        self._changed.set()

    def _hear(self, heard: RtpPacket, now: float) -> None:
        packet = ReceivedPacket(now, heard.sequence_number, heard.timestamp, heard.payload)
        if self._options.on_packet is not None:
            self._options.on_packet(packet)
        else:
            self.packets.append(packet)

    async def _change(self) -> None:
        """Wait until an event came or the connection changed."""
        self._changed.clear()
        await self._changed.wait()


def _configuration(options: ClientOptions) -> RTCConfiguration:
    return RTCConfiguration(
        iceServers=[
            RTCIceServer(list(server.urls), server.username, server.credential)
            for server in options.ice_servers
        ],
        iceTransportPolicy=RTCIceTransportPolicy.RELAY if options.relay_only else RTCIceTransportPolicy.ALL,
    )


def _is_here(target: str | Answer) -> bool:
    """Whether the server is on this machine, as far as its URL tells."""
    if not isinstance(target, str):
        return True
    host = urlsplit(target).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _refusal(status: int, body: str) -> ClientError:
    """Return the server's error as the one it raised there."""
    try:
        error = json.loads(body)["error"]
        return ClientError(
            str(error["message"]), code=str(error["code"]), status=status, param=error.get("param")
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return ClientError(f"The server answered {status}: {body[:200]}", code="refused", status=status)

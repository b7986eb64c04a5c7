"""One aiortc peer connection and what is agreed on it: offers in, answers out.

    offer ─> Offer.read ─> aiortc ─> Offer.answer ─> announce ─> answer

The first offer begins the connection. Further ones may change it; addresses that a client finds later are
added (trickle, RFC 8838), though none is needed: its checks reach ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiortc import (
    InvalidStateError,
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from aiortc.sdp import candidate_from_sdp

from ..errors import ClientError
from . import aiortc_patch
from .ice import MAX_CANDIDATES, TrickledCandidate, announce, is_usable
from .media_path import MediaPath
from .media_plane import MediaPlane
from .negotiation import Offer
from .options import RtcOptions

MAX_ROUND_TRIP = 2.0
"""Seconds; more is a clock that was set, not a network."""


class Connection:
    """Owned by a peer, which listens to ``pc`` and closes it. Offers are taken one after the other."""

    def __init__(self, options: RtcOptions, plane: MediaPlane) -> None:
        self._options = options
        self._plane = plane
        self._offer: Offer | None = None
        self._n_trickled = 0
        self._path: MediaPath | None = None
        self._transceiver: RTCRtpTransceiver | None = None
        self.pc = RTCPeerConnection(_configuration(options))
        if not plane.is_public:
            aiortc_patch.use_certificate(self.pc, aiortc_patch.shared_certificate())

    async def answer(self, offer_sdp: str, path: MediaPath, *, is_loopback_client: bool) -> str:
        """Begin with an offer and return the answer; ``path`` carries the sound.

        Raises ``ClientError``: 400 ``invalid_sdp``, 422 ``no_audio``, 503 ``call_ended``; and
        ``SettingsError`` if the port of all calls cannot be opened.
        """
        assert self._offer is None, "a connection begins once"
        self._offer = offer = Offer.read(offer_sdp)
        self._transceiver = transceiver = _add_transceiver(self.pc, path.track)
        await self._take(offer)
        self._choose_addresses(is_loopback_client=is_loopback_client)
        answer = await self._describe(offer)
        self._path = path
        path.describe(self.pc, transceiver)
        return answer

    async def answer_again(self, offer_sdp: str) -> str:
        """Take a further offer of the same connection and return the answer.

        Raises ``ClientError`` as ``answer`` does, and 503 ``restart_required`` if it is about another
        connection, or restarts ICE, which aiortc cannot: the client has to begin a new one.
        """
        offer = Offer.read(offer_sdp)
        if self._offer is None or not offer.continues(self._offer):
            raise ClientError(
                "This offer does not go on with the connection; make a new one and offer it with restart_pc.",
                code="restart_required",
                status=503,
            )
        await self._take(offer)
        answer = await self._describe(offer)
        self._offer = offer
        if self._path:
            self._path.renegotiated()
        return answer

    async def add_candidates(
        self, candidates: Iterable[TrickledCandidate], *, ufrag: str | None = None
    ) -> None:
        """Take addresses that the client found after its offer; those that are of no use are skipped.

        That there are no more is never passed on: aioice would give up before the client's checks arrive.
        Raises ``ClientError`` 422 ``ice_restart_unsupported`` if ``ufrag`` is given and not the offer's.
        """
        assert self._offer is not None, "candidates come behind an offer"
        if ufrag is not None and not self._offer.has_ufrag(ufrag):
            message = "ICE cannot be restarted here; begin a new call."
            raise ClientError(message, code="ice_restart_unsupported", status=422)
        for candidate in candidates:
            mid = self._offer.mid_of(candidate)
            if mid is None or self._n_trickled >= MAX_CANDIDATES or not is_usable(candidate.fields):
                continue
            self._n_trickled += 1
            # What follows may be anything (RFC 8839 §5.1: extensions), and nothing of it is needed.
            found = candidate_from_sdp(" ".join(candidate.fields.split()[:8]))
            found.sdpMid = mid  # not the index: aiortc was not shown all sections
            await self.pc.addIceCandidate(found)

    @property
    def max_message_bytes(self) -> int:
        """Longest data channel message that both sides take."""
        own = self._options.max_message_bytes
        return own if self._offer is None else min(own, self._offer.max_message_bytes)

    @property
    def is_sending(self) -> bool:
        """Whether the client wants to hear us."""
        direction = self._transceiver.currentDirection if self._transceiver else None
        return direction in ("sendrecv", "sendonly")

    @property
    def round_trip(self) -> float | None:
        """Seconds to the client and back, from its receiver reports; ``None`` until one came."""
        if self._plane.is_public or self._transceiver is None:
            return None
        rtt = aiortc_patch.round_trip(self._transceiver.sender)
        return rtt if rtt is not None and 0 <= rtt <= MAX_ROUND_TRIP else None

    def _choose_addresses(self, *, is_loopback_client: bool) -> None:
        """Say where the client may reach us; on the public path aiortc decides alone."""
        if self._plane.is_public:
            return
        if self._plane.port is not None:
            aiortc_patch.share_port(self.pc, self._plane.port)
        if is_loopback_client or aiortc_patch.has_only_loopback():
            aiortc_patch.offer_loopback(self.pc)

    async def _take(self, offer: Offer) -> None:
        try:
            await self.pc.setRemoteDescription(RTCSessionDescription(sdp=offer.text, type="offer"))
        except InvalidStateError as error:
            raise _ended() from error
        except (ValueError, OperationError, AssertionError) as error:
            raise ClientError(f"The offer cannot be answered: {error}", code="invalid_sdp") from error

    async def _describe(self, offer: Offer) -> str:
        try:
            await self.pc.setLocalDescription()
        except InvalidStateError as error:
            raise _ended() from error
        # aiortc's jitter buffer holds back the last of what is said before a client falls silent.
        answer = offer.answer(self.pc.localDescription.sdp, uses_dtx=not self._plane.is_public)
        address = self._options.announced_address
        return answer if address is None else announce(answer, address)


def _ended() -> ClientError:
    return ClientError("The call ended while it was answered.", code="call_ended", status=503)


def _add_transceiver(pc: RTCPeerConnection, voice: MediaStreamTrack) -> RTCRtpTransceiver:
    transceiver = pc.addTransceiver(voice, direction="sendrecv")
    capabilities = RTCRtpReceiver.getCapabilities("audio")
    assert capabilities is not None
    # Our packets are Opus, whatever the client would like best.
    transceiver.setCodecPreferences([c for c in capabilities.codecs if c.mimeType == "audio/opus"])
    return transceiver


def _configuration(options: RtcOptions) -> RTCConfiguration:
    # An empty list, not None: None would ask a public STUN server, and wait 5 s for it if it is unreachable.
    return RTCConfiguration(
        iceServers=[
            RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
            for server in options.ice_servers
        ]
    )

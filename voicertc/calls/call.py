"""One connection of one client: a peer, a session and the wire between them.

peer ──frames──> session ──facts──> wire ──messages──> peer
peer ──messages──> wire ──events──> session
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from .. import __version__, logs
from ..audio.formats import AudioDecoder
from ..core import events, facts
from ..core.facts import Fact, State
from ..core.options import SessionOptions
from ..errors import ClientError
from ..rtc.ice import TrickledCandidate
from ..rtc.negotiation import Offer
from ..rtc.peer import CallAudio, MediaPlane, Peer, RtcOptions
from ..session.session import Session
from ..wire import RealtimeWire, RtviWire
from ..wire.received import AudioAppended, Received, SpeechSubmitted, Told
from .link_watch import LinkWatch

_log = logging.getLogger(__name__)

_CHANNEL_WAIT = 2.0
"""Seconds the first word waits for a data channel that was offered: clients want to see it begin."""
_GOODBYE = 0.2
"""Seconds between the last event and the end of the connection, so that the event arrives."""
_WIRE = "peer"
_RECONNECT_WAIT = 30.0
"""Seconds without any packet for which a call is kept whose client may come back with another connection:
Pipecat's notices after some ten that it is cut off, and tries three times."""

_REASONS = {"closed": "hangup", "never_connected": "lost", "slow_client": "failed"}
"""What the end of a peer connection means for the conversation, where the words differ."""


class Door(StrEnum):
    """The protocol that a client speaks, by the name of its data channel."""

    REALTIME = "oai-events"
    RTVI = "chat"


class Wire(Protocol):
    """A client's protocol: its messages in, facts out. It never waits, nor raises for what a client sends."""

    @property
    def wants_link(self) -> bool:
        """Whether the client wants to know how its packets fare."""

    def opened(self, options: SessionOptions, state: State | None = None) -> list[str]:
        """Return the first messages of a connection."""

    def receive(self, text: str | bytes, options: SessionOptions, now: float) -> Iterable[Received]:
        """Return what one message means; each thing is done before the next is asked for.

        ``options`` are the session's in force; ``now`` is any monotonic clock's, in seconds.
        """

    def render(self, fact: Fact) -> list[str]:
        """Return what the client is told of ``fact``, in order."""


class Call:
    """Owned by the endpoint, which runs it in a task of its own; it is the ``PeerListener``.

    A client that lost its connection may come back with another one: the conversation goes on.
    """

    def __init__(
        self,
        call_id: str,
        session: Session,
        plane: MediaPlane,
        options: RtcOptions,
        *,
        bit_rate: int,
        door: Door = Door.REALTIME,
    ) -> None:
        self.id = call_id
        self.session = session
        if door is Door.RTVI:
            options = replace(options, close_after=max(options.close_after, _RECONNECT_WAIT))
        audio = CallAudio(session.playout, session.hear, session.sounds, session.is_idle, bit_rate)
        self._peer = Peer(audio, self, plane, options, name=call_id, channel=door)
        self.link = LinkWatch(self._peer, session.tell)
        """Sidebands of the call may follow it, too."""
        self._wire = _wire(door, session.id)
        self._negotiating = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._reason = "hangup"
        self._state = facts.State.CONNECTING
        self._is_channel_open = False
        self._awaits_channel = False
        self._channel_timer: asyncio.TimerHandle | None = None
        self._is_media_up = False
        self._has_begun = False
        self._is_told = False
        self._unsubscribe: list[Callable[[], None]] = [session.subscribe(self._note_state)]

    async def answer(self, offer_sdp: str, *, is_loopback_client: bool) -> str:
        """Return the answer to the client's offer. Raises ``ClientError``."""
        self._awaits_channel = "\nm=application" in offer_sdp
        return await self._peer.answer(offer_sdp, is_loopback_client=is_loopback_client)

    async def answer_again(self, offer_sdp: str, *, restart: bool, is_loopback_client: bool) -> str:
        """Return the answer to a further offer: of the same connection, or with ``restart`` of another.

        Raises ``ClientError`` as ``answer`` does, 404 ``call_not_found`` if the call is over, and 503
        ``restart_required`` for an offer of another connection that does not say so.
        """
        async with self._negotiating:
            if self.session.ended.is_set():
                raise ClientError("The call is over.", code="call_not_found", status=404)
            if restart:
                return await self._reconnect(offer_sdp, is_loopback_client=is_loopback_client)
            logs.event(_log, logging.INFO, "call_renegotiated")
            return await self._peer.answer_again(offer_sdp)

    async def add_candidates(self, candidates: Iterable[TrickledCandidate], *, ufrag: str | None) -> None:
        """Take addresses that the client found after its offer. Raises ``ClientError`` as ``Peer`` does."""
        await self._peer.add_candidates(candidates, ufrag=ufrag)

    async def run(self) -> None:
        """Live until the conversation or the connection ends, then free everything."""
        logs.event(_log, logging.INFO, "call_started")
        try:
            await self.session.ended.wait()
        finally:
            await self._close()

    def end(self, reason: str) -> None:
        """Let the conversation end; ``run`` does the rest. May be called twice."""
        self._reason = reason
        self.session.post(events.CallEnded(reason))
        self.session.ended.set()

    async def _reconnect(self, offer_sdp: str, *, is_loopback_client: bool) -> str:
        """Let another connection take the place of this one, which goes on meanwhile if it still can."""
        Offer.read(offer_sdp)  # what is no offer costs nobody a connection
        logs.event(_log, logging.INFO, "call_reconnected")
        is_heard = self._peer.is_heard
        self._peer = self._peer.successor()
        self.link.moved(self._peer)
        self._is_channel_open = False
        if self._is_media_up and not is_heard:
            self._is_media_up = False
            self.session.post(events.ClientAway())
        try:
            return await self._peer.answer(offer_sdp, is_loopback_client=is_loopback_client)
        except BaseException:
            self.end("failed")
            raise

    async def _close(self) -> None:
        if self._channel_timer:
            self._channel_timer.cancel()
        await self.session.close(self._reason)
        if self._is_channel_open:
            await asyncio.sleep(_GOODBYE)
        self.link.close()
        await self._peer.close()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        seconds = self._loop.time() - self._began
        link = self.link.summary()
        logs.event(_log, logging.INFO, "call_ended", reason=self._reason, seconds=round(seconds, 1), **link)

    # --- what the peer tells (PeerListener) -----------------------------------------------------

    def connected(self) -> None:
        """Media can flow."""
        self._is_media_up = True
        if self._has_begun:
            self.session.post(events.ClientBack())
        elif self._awaits_channel and not self._is_channel_open:
            self._channel_timer = self._loop.call_later(_CHANNEL_WAIT, self._begin)
        else:
            self._begin()

    def channel_opened(self) -> None:
        """The client can be told of facts from now on."""
        if self._is_channel_open:
            return
        self._is_channel_open = True
        for message in self._wire.opened(self.session.options, self._state):
            self._peer.send(message)
        if not self._is_told:
            self._is_told = True
            self._unsubscribe.append(self.session.subscribe(self._tell))
        if self._is_media_up and not self._has_begun:
            self._begin()

    def message_received(self, message: str | bytes) -> None:
        """The client asks for something."""
        for received in self._wire.receive(message, self.session.options, self._loop.time()):
            match received:
                case Told(answer):
                    self._peer.send(answer)
                case SpeechSubmitted(event, audio, coding):
                    self.session.submit_speech(event, AudioDecoder(coding).decode(audio))
                case AudioAppended():
                    raise AssertionError("sound comes as RTP, and wires refuse it in messages")
                case _:
                    self.session.post(received)
        self.link.follow(_WIRE, wanted=self._wire.wants_link)

    def away(self) -> None:
        """Nothing has come for a while."""
        logs.event(_log, logging.INFO, "client_away")
        self.session.post(events.ClientAway())

    def back(self) -> None:
        """It is there again."""
        logs.event(_log, logging.INFO, "client_back")
        self.session.post(events.ClientBack())

    def closed(self, reason: str) -> None:
        """The connection is over."""
        self.end(_REASONS.get(reason, reason))

    # --- facts ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._channel_timer:
            self._channel_timer.cancel()
        self._has_begun = True
        self.session.post(events.CallConnected())

    def _note_state(self, fact: Fact) -> None:
        match fact:
            case facts.StateChanged(state):
                self._state = state
            case facts.CallEnding(reason):
                self._reason = reason

    def _tell(self, fact: Fact) -> None:
        for message in self._wire.render(fact):
            self._peer.send(message)


def _wire(door: Door, session_id: str) -> Wire:
    match door:
        case Door.REALTIME:
            return RealtimeWire(name=_WIRE, session_id=session_id, transport="webrtc")
        case Door.RTVI:
            about = {"library": "voicertc", "library_version": __version__}
            return RtviWire(name=_WIRE, session_id=session_id, about=about, clock=time.time)

"""One connection of one client: a peer, a session and the wire between them.

peer ──frames──> session ──facts──> wire ──messages──> peer
peer ──messages──> wire ──events──> session
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from . import logs
from .core import events, facts
from .core.facts import Fact
from .rtc.peer import Peer, RtcOptions
from .session.session import Session
from .wire.realtime import RealtimeWire

_log = logging.getLogger(__name__)

_CHANNEL_WAIT = 2.0
"""Seconds the first word waits for a data channel that was offered: clients want to see it begin."""
_GOODBYE = 0.2
"""Seconds between the last event and the end of the connection, so that the event arrives."""
_WIRE = "peer"

_REASONS = {"closed": "hangup", "never_connected": "lost", "slow_client": "failed"}
"""What the end of a peer connection means for the conversation, where the words differ."""


class Call:
    """Owned by the endpoint, which runs it in a task of its own; it is the ``PeerListener``."""

    def __init__(self, call_id: str, session: Session, options: RtcOptions, *, bit_rate: int) -> None:
        self.id = call_id
        self.session = session
        self._peer = Peer(session.playout, session.hear, self, options, name=call_id, bit_rate=bit_rate)
        self._wire = RealtimeWire(name=_WIRE, session_id=session.id, transport="webrtc")
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._reason = "hangup"
        self._state = facts.State.CONNECTING
        self._is_channel_open = False
        self._awaits_channel = False
        self._channel_timer: asyncio.TimerHandle | None = None
        self._is_media_up = False
        self._unsubscribe: list[Callable[[], None]] = [session.subscribe(self._note_state)]

    async def answer(self, offer_sdp: str, *, is_loopback_client: bool) -> str:
        """Return the answer to the client's offer. Raises ``ClientError``."""
        self._awaits_channel = "\nm=application" in offer_sdp
        return await self._peer.answer(offer_sdp, is_loopback_client=is_loopback_client)

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

    async def _close(self) -> None:
        if self._channel_timer:
            self._channel_timer.cancel()
        await self.session.close(self._reason)
        if self._is_channel_open:
            await asyncio.sleep(_GOODBYE)
        await self._peer.close()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        seconds = self._loop.time() - self._began
        logs.event(_log, logging.INFO, "call_ended", reason=self._reason, seconds=round(seconds, 1))

    # --- what the peer tells (PeerListener) -----------------------------------------------------

    def connected(self) -> None:
        """Media can flow."""
        self._is_media_up = True
        if self._awaits_channel and not self._is_channel_open:
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
        self._unsubscribe.append(self.session.subscribe(self._tell))
        if self._is_media_up:
            self._begin()

    def message_received(self, message: str | bytes) -> None:
        """The client asks for something."""
        for event in self._wire.receive(message, self.session.options, self._loop.time()):
            self.session.post(event)

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

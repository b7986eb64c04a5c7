"""One client's peer connection: sound both ways, a data channel, and the truth about whether it is there.

    client ── RTP ──▶ Microphone ── PcmFrame ──▶ hear()
           ◀─ RTP ─── Speaker ◀──── read() ───── PlayoutBuffer
           ◀─ data channel ─▶ send() / PeerListener.message_received()

A peer's life: ``answer`` once, then it tells its listener what happens, until ``close`` is called or it ends
by itself and says ``closed``. Everything runs on one event loop; the listener is called synchronously.
What is agreed with the client is ``connection``'s business. A client that lost its connection and comes with
another is served by this peer's ``successor``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable

from aiortc import RTCDataChannel, RTCPeerConnection

from .. import logs
from ..audio.playout import EAR_DELAY
from .channel import CHANNEL_LABEL, Channel
from .connection import Connection
from .ice import TrickledCandidate
from .link import LinkQuality, watch_link
from .listener import PeerListener
from .media_path import CallAudio, MediaPath
from .media_plane import MediaPlane
from .options import IceServer, RtcOptions
from .own_path import OwnPath
from .public_path import PublicPath
from .watchdog import Sign, Watchdog

__all__ = ["CallAudio", "IceServer", "MediaPlane", "Peer", "PeerListener", "RtcOptions"]

_log = logging.getLogger(__name__)

_HEARD_WITHIN = 0.6
"""Seconds: a client that uses DTX sends a packet every 0.4 while it is silent."""
CLOSE_TIMEOUT = 5.0
"""Seconds that aiortc is given to close: it says goodbye in a few packets."""


class Peer:
    """One peer connection, answered. Owned by its call; to be closed by it, also after ``closed``.

    Tasks: ``{name}/link`` while somebody watches it, ``{name}/close`` while it ends; on the public path
    ``{name}/microphone``, and ``{name}/playout`` if the client does not want to hear us.
    """

    def __init__(
        self,
        audio: CallAudio,
        listener: PeerListener,
        plane: MediaPlane,
        options: RtcOptions | None = None,
        *,
        name: str = "call",
        channel: str = CHANNEL_LABEL,
    ) -> None:
        """``channel``: the label of the data channel that the client is expected to open."""
        self._audio = audio
        self._listener = listener
        self._plane = plane
        self._options = options or RtcOptions()
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection = Connection(self._options, plane)
        self._channel = Channel(channel, max_buffered_bytes=self._options.max_buffered_bytes)
        self._began: float | None = None
        self._watchdog: Watchdog | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._former: Peer | None = None
        self._is_superseded = False
        pc = self._connection.pc
        self._path = self._make_path(pc)
        pc.on("datachannel", self._on_channel)
        pc.on("connectionstatechange", self._on_state)

    def _make_path(self, pc: RTCPeerConnection) -> MediaPath:
        if not self._plane.is_public:
            return OwnPath(self._audio, self._plane.clock, self._on_datagram, self._on_crash)
        path = PublicPath(self._audio, self._start, self._on_datagram)
        pc.on("track", path.take_track)
        return path

    # --- for the owner ----------------------------------------------------------------------------

    async def answer(self, offer_sdp: str, *, is_loopback_client: bool = False) -> str:
        """Return the answer to an offer; to be called once.

        ``is_loopback_client``: the offer came from this machine, which may have no other way to itself.
        Raises ``ClientError`` (400 ``invalid_sdp``, 422 ``no_audio``) and closes the peer if there is none.
        """
        assert self._watchdog is None, "a peer begins once"
        # On the public path nobody tells of datagrams, only of sound: then aiortc alone notices who is lost.
        is_blind = self._plane.is_public
        self._watchdog = Watchdog(
            self._loop.time(),
            connect_timeout=self._options.connect_timeout,
            pause_after=math.inf if is_blind else self._options.pause_after,
            close_after=math.inf if is_blind else self._options.close_after,
        )
        try:
            answer = await self._connection.answer(
                offer_sdp, self._path, is_loopback_client=is_loopback_client
            )
        except BaseException:
            await self.close()
            raise
        self._look_again()
        return answer

    async def answer_again(self, offer_sdp: str) -> str:
        """Return the answer to a further offer of the same connection, which may change what flows.

        Raises ``ClientError`` as ``answer`` does, and 503 ``restart_required``; the peer goes on as it was.
        """
        answer = await self._connection.answer_again(offer_sdp)
        if self._watchdog and self._watchdog.is_connected and self._closing is None:
            self._path.follow_direction(is_sending=self._connection.is_sending)
        return answer

    async def add_candidates(
        self, candidates: Iterable[TrickledCandidate], *, ufrag: str | None = None
    ) -> None:
        """Take addresses that the client found after its offer.

        Raises ``ClientError`` 422 ``ice_restart_unsupported`` if ``ufrag`` is given and not the offer's.
        """
        if self._closing is None:
            await self._connection.add_candidates(candidates, ufrag=ufrag)

    def successor(self) -> Peer:
        """Return a peer for another connection of the same client, which takes the place of this one.

        It is given the same sound, listener and clock: what is heard goes on where the time has come to. This
        one carries on until the other is connected, and then frees itself; its listener is told nothing more.
        """
        peer = Peer(
            self._audio,
            self._listener,
            self._plane,
            self._options,
            name=self._name,
            channel=self._channel.label,
        )
        peer._began = self._began
        peer._former = self
        self._is_superseded = True
        return peer

    @property
    def is_heard(self) -> bool:
        """Whether something has arrived just now: a client that is there sends all the time."""
        watchdog = self._watchdog
        is_up = watchdog is not None and watchdog.is_connected and self._closing is None
        return is_up and watchdog is not None and self._loop.time() - watchdog.heard < _HEARD_WITHIN

    def send(self, text: str) -> None:
        """Send a message on the data channel; it is dropped if there is none, or none any more. Never raises.

        A client that does not take its messages is closed as ``slow_client``.
        """
        if self._former is not None and not self._channel.is_open:
            self._former.send(text)
        elif self._closing is None and not self._channel.send(text, limit=self._connection.max_message_bytes):
            self._end("slow_client")

    async def close(self) -> None:
        """Say goodbye and leave nothing behind; may be called any number of times."""
        if self._closing is None:
            self._closing = self._begin_close()
        await asyncio.shield(self._closing)

    @property
    def round_trip(self) -> float | None:
        """Seconds to the client and back, from its receiver reports; ``None`` until one came."""
        return self._connection.round_trip

    def watch_link(self, tell: Callable[[LinkQuality], None]) -> Callable[[], object]:
        """Have the link's quality told once a second while it is up; returns what ends that."""
        watch = watch_link(self._connection.pc, lambda: self.round_trip, tell, self._path)
        return self._start(watch, "link").cancel

    @property
    def skipped(self) -> int:
        """Packets left out because the event loop was late."""
        return self._path.skipped

    # --- the connection ---------------------------------------------------------------------------

    def _on_state(self) -> None:
        state = self._connection.pc.connectionState
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
        if self._began is None:
            self._began = now
        position = 0
        if self._former is not None:
            position = self._former._hand_over(self._forget_former)
        self._path.begin(self._began, position)
        self._path.follow_direction(is_sending=self._connection.is_sending)
        self._listener.connected()

    def _start(self, work: Coroutine[None, None, None], what: str) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name=f"{self._name}/{what}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error, task.get_name())

    def _on_crash(self, error: BaseException, where: str = "media") -> None:
        """End this call only: somebody raised within our work."""
        if self._closing is None:
            logs.event(_log, logging.ERROR, "peer_failed", exc_info=error, peer=self._name, where=where)
            self._end("failed")

    # --- the data channel -------------------------------------------------------------------------

    def _on_channel(self, channel: RTCDataChannel) -> None:
        # aiortc has opened it already: no "open" event will come.
        if self._channel.take(channel, self._on_message) and self._closing is None:
            self._listener.channel_opened()

    def _on_message(self, message: str | bytes) -> None:
        if self._closing is None:
            self._listener.message_received(message)

    # --- presence ---------------------------------------------------------------------------------

    def _on_datagram(self, now: float) -> None:
        watchdog = self._watchdog
        assert watchdog is not None, "nothing arrives before there is an answer"
        watchdog.heard = now
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
            case Sign.AWAY if not self._is_superseded:
                self._listener.away()
            case Sign.BACK if not self._is_superseded:
                self._listener.back()
        if (rtt := self.round_trip) is not None:
            self._audio.playout.ear_delay = rtt / 2 + EAR_DELAY
        self._timer = self._loop.call_at(watchdog.deadline, self._look_again)

    # --- the end ----------------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        """End by itself: the listener is told at once, the rest takes a moment."""
        if self._closing is None:
            level = logging.DEBUG if reason == "closed" else logging.INFO
            logs.event(_log, level, "peer_ended", peer=self._name, reason=reason)
            self._closing = self._begin_close()
            if not self._is_superseded:
                self._listener.closed(reason)

    def _begin_close(self) -> asyncio.Task[None]:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._path.release()
        return self._loop.create_task(self._close(), name=f"{self._name}/close")

    def _hand_over(self, on_closed: Callable[[], None]) -> int:
        """Let go of the call's sound and be gone; return where hearing has come to, in samples."""
        if self._closing is None:
            self._closing = self._begin_close()
        self._closing.add_done_callback(lambda _: on_closed())
        return self._path.position

    def _forget_former(self) -> None:
        self._former = None

    async def _close(self) -> None:
        if self._former is not None:
            await self._former.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._connection.pc.close()
        except TimeoutError:
            logs.event(_log, logging.ERROR, "close_timed_out", peer=self._name)
        await self._path.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

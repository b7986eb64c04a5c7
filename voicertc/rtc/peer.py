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
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol

from aiortc import MediaStreamError, MediaStreamTrack, RTCDataChannel

from .. import logs
from ..audio.pcm import PcmFrame
from ..audio.playout import EAR_DELAY, PlayoutBuffer
from .channel import CHANNEL_LABEL, Channel
from .connection import Connection
from .ice import TrickledCandidate
from .link import LinkQuality, watch_link
from .microphone import Microphone
from .options import IceServer, RtcOptions
from .speaker import Speaker
from .watchdog import Sign, Watchdog

__all__ = ["IceServer", "Peer", "PeerListener", "RtcOptions"]

_log = logging.getLogger(__name__)

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
    to hear us, ``{name}/link`` while somebody watches it, ``{name}/close`` while it ends.
    """

    def __init__(
        self,
        playout: PlayoutBuffer,
        hear: Callable[[PcmFrame], None],
        listener: PeerListener,
        options: RtcOptions | None = None,
        *,
        name: str = "call",
        channel: str = CHANNEL_LABEL,
        bit_rate: int = 32_000,
    ) -> None:
        """``channel``: the label of the data channel that the client is expected to open."""
        self._playout = playout
        self._hear = hear
        self._listener = listener
        self._options = options or RtcOptions()
        self._name = name
        self._bit_rate = bit_rate
        self._loop = asyncio.get_running_loop()
        self._speaker = Speaker(playout, bit_rate=bit_rate)
        self._connection = Connection(self._speaker, self._options)
        self._channel = Channel(channel, max_buffered_bytes=self._options.max_buffered_bytes)
        self._began: float | None = None
        self._watchdog: Watchdog | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_nobody: asyncio.Task[None] | None = None
        self._has_sent = False
        self._closing: asyncio.Task[None] | None = None
        self._track: MediaStreamTrack | None = None
        pc = self._connection.pc
        pc.on("track", self._on_track)
        pc.on("datachannel", self._on_channel)
        pc.on("connectionstatechange", self._on_state)

    # --- for the owner ----------------------------------------------------------------------------

    async def answer(self, offer_sdp: str, *, is_loopback_client: bool = False) -> str:
        """Return the answer to an offer; to be called once.

        ``is_loopback_client``: the offer came from this machine, which may have no other way to itself.
        Raises ``ClientError`` (400 ``invalid_sdp``, 422 ``no_audio``) and closes the peer if there is none.
        """
        assert self._watchdog is None, "a peer begins once"
        self._watchdog = Watchdog(
            self._loop.time(),
            connect_timeout=self._options.connect_timeout,
            pause_after=self._options.pause_after,
            close_after=self._options.close_after,
        )
        try:
            answer = await self._connection.answer(
                offer_sdp, is_loopback_client=is_loopback_client, on_datagram=self._on_datagram
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
            self._follow_direction()
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
        """Return a peer for another connection of the same client; this one is to be closed.

        It is given the same sound, listener and clock: what is heard goes on where the time has come to.
        """
        peer = Peer(
            self._playout,
            self._hear,
            self._listener,
            self._options,
            name=self._name,
            channel=self._channel.label,
            bit_rate=self._bit_rate,
        )
        peer._began = self._began
        return peer

    def send(self, text: str) -> None:
        """Send a message on the data channel; it is dropped if there is none, or none any more. Never raises.

        A client that does not take its messages is closed as ``slow_client``.
        """
        if self._closing is None and not self._channel.send(text, limit=self._connection.max_message_bytes):
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
        watch = watch_link(self._connection.pc, lambda: self.round_trip, tell)
        return self._start(watch, "link").cancel

    @property
    def skipped(self) -> int:
        """Packets left out because the event loop was late."""
        return self._speaker.skipped

    # --- the connection ---------------------------------------------------------------------------

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._track = track
        if self._watchdog and self._watchdog.is_connected and self._closing is None:
            self._listen(track)

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
        if self._track is not None:
            self._listen(self._track)
        self._follow_direction()
        self._listener.connected()

    def _listen(self, track: MediaStreamTrack) -> None:
        assert self._began is not None, "who is connected has begun"
        self._start(Microphone(self._hear, began=self._began).run(track), "microphone")

    def _follow_direction(self) -> None:
        """Let aiortc's sender have our voice if the client wants it; once it has begun it goes on."""
        if self._connection.is_sending:
            self._has_sent = True
            if self._to_nobody is not None:
                self._to_nobody.cancel()
        elif not self._has_sent and self._to_nobody is None:
            self._to_nobody = self._start(self._play_to_nobody(), "playout")

    async def _play_to_nobody(self) -> None:
        """Let replies pass in real time although the client asked for no sound: its session goes on."""
        with contextlib.suppress(MediaStreamError):
            while True:
                await self._speaker.recv()

    def _start(self, work: Coroutine[None, None, None], what: str) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name=f"{self._name}/{what}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logs.event(_log, logging.ERROR, "peer_failed", exc_info=error, task=task.get_name())
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
                await self._connection.pc.close()
        except TimeoutError:
            logs.event(_log, logging.ERROR, "close_timed_out", peer=self._name)
        await asyncio.gather(*self._tasks, return_exceptions=True)

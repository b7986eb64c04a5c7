"""Calls on one port: one whose sound must stay whole, and others that mean harm."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Self

import numpy as np

from voicertc.audio.pcm import HEARING_FRAME, HEARING_RATE_HZ, PLAYOUT_RATE_HZ
from voicertc.rtc.lanes import LocalSocket
from voicertc.rtc.options import RtcOptions
from voicertc.rtc.peer import CallAudio, MediaPlane, Peer
from voicertc.testing.client import HeadlessClient
from voicertc.testing.mouth import Spoken

from .calls import Owner, tone

_LOUD = 2000.0
"""RMS: the tone has 5,657, made-up sound and its edges less."""
AT_ONCE = 8
"""Datagrams sent between two steps of the loop: as fast as it gets without being a mere flood."""


class Scene:
    """A media plane with a witness's call on it; leaves nothing behind."""

    def __init__(self, options: RtcOptions | None = None) -> None:
        self.options = options or RtcOptions()
        self.plane = MediaPlane(self.options)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.witness = Witness(*await self._stack.enter_async_context(self.join("witness")))
        if self.plane.port is not None:
            sockets = self.plane.port._sockets.values()
            self.local = next(each for each in sockets if each.n_routes)  # the one that ICE has chosen
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()
        self.plane.close()
        await asyncio.sleep(0)

    async def owner(self, name: str) -> Owner:
        """Return the owner of a peer on the plane that all share."""
        owner = Owner(self.options)
        await owner.close()  # its own plane and peer
        owner.plane = self.plane
        owner.peer = Peer(CallAudio(owner.playout, owner.hear), owner, self.plane, self.options, name=name)
        return owner

    @asynccontextmanager
    async def join(self, name: str) -> AsyncGenerator[tuple[Owner, HeadlessClient]]:
        """A call on the plane that all share."""
        owner = await self.owner(name)
        try:
            async with HeadlessClient(owner.answer) as client:
                await owner.until("connected")
                await client.channel_opened()
                yield owner, client
        finally:
            await owner.peer.close()


class Witness:
    """A call whose sound flows both ways for as long as it is asked to, and is then looked at."""

    def __init__(self, owner: Owner, client: HeadlessClient) -> None:
        self.owner = owner
        self.client = client
        self._spoken: Spoken | None = None

    @property
    def ufrag(self) -> str:
        """The server's half of the name of this call's ICE session."""
        return ufrag_of(self.client)

    def begin(self, seconds: float) -> None:
        """Let both sides say a tone of this length."""
        self.forget()
        self._spoken = self.client.begin_saying(tone(seconds, HEARING_RATE_HZ))
        self.owner.speak(tone(seconds, PLAYOUT_RATE_HZ))

    def forget(self) -> None:
        """Keep nothing of what was heard."""
        self.owner.frames.clear()
        self.client.packets.clear()

    async def end(self) -> None:
        """Wait until all is said, and demand that all was heard, in time and in one piece, on both sides."""
        spoken = self._spoken
        assert spoken is not None
        await self.owner.when(lambda: spoken.is_over and ("playout_drained", "reply") in self.owner.log)
        await asyncio.sleep(0.2)
        n_packets = len(spoken.utterance.packets)
        self._check_heard_by_server(n_packets)
        self._check_heard_by_client(n_packets)

    def _check_heard_by_server(self, n_packets: int) -> None:
        frames = self.owner.frames
        levels = [np.sqrt(np.mean(frame.samples.astype(np.float64) ** 2)) for frame in frames]
        loud = [n for n, level in enumerate(levels) if level > _LOUD]
        n_skipped = self.client.skipped  # what this machine had no time for
        assert len(loud) >= n_packets - n_skipped - 2
        assert loud[-1] - loud[0] - len(loud) < n_skipped + 1, "no hole in it"
        steps = [b.position - a.position for a, b in pairwise(frames[loud[0] : loud[-1] + 1])]
        assert min(steps) == HEARING_FRAME, "positions never fall"
        assert sum(step != HEARING_FRAME for step in steps) <= n_skipped
        incoming = self.owner.peer._path.incoming
        assert incoming is not None
        assert (incoming.n_lost, incoming.n_invalid, incoming.n_duplicate) == (0, 0, 0)

    def _check_heard_by_client(self, n_packets: int) -> None:
        packets = self.client.packets
        numbers = [packet.sequence_number for packet in packets]
        assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(numbers)), "none is missing"
        steps = [(b.timestamp - a.timestamp) & 0xFFFF_FFFF for a, b in pairwise(packets)]
        assert all(960 <= step < 2**31 and not step % 96 for step in steps), "the clock never stands"
        heard = self.client.reply_audio()
        levels = [np.sqrt(np.mean(frame.samples.astype(np.float64) ** 2)) for frame in heard]
        loud = [n for n, level in enumerate(levels) if level > _LOUD]
        assert len(loud) >= n_packets - self.owner.peer.skipped - 2
        assert loud[-1] - loud[0] == len(loud) - 1, "no hole in it"


def ufrag_of(client: HeadlessClient) -> str:
    answer: str = client._pc.remoteDescription.sdp
    return answer.partition("a=ice-ufrag:")[2].split()[0]


async def pour(datagrams: Iterable[bytes], send: Callable[[bytes], None]) -> int:
    """Give datagrams to ``send``, a few at a time, so that the loop has its turns; return how many."""
    n_sent = 0
    for datagram in datagrams:
        send(datagram)
        n_sent += 1
        if n_sent % AT_ONCE == 0:
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.05)
    return n_sent


class Strangers:
    """Sockets of nobody's, all of which send to one port."""

    def __init__(self, local: LocalSocket, n: int) -> None:
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
        self._to = (local.host, local.port)
        self._n_sent = 0
        for each in self._sockets:
            each.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for each in self._sockets:
            each.close()

    def send(self, datagram: bytes) -> None:
        """Send from the next of the sockets."""
        self._n_sent += 1
        self._sockets[self._n_sent % len(self._sockets)].sendto(datagram, self._to)

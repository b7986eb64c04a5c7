"""A peer with an owner that notes all it is told, and what clients of it need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import numpy as np

from voicertc.audio.pcm import PcmFrame, Samples
from voicertc.audio.playout import PlayoutBuffer
from voicertc.rtc.peer import CallAudio, MediaPlane, Peer, RtcOptions
from voicertc.testing.client import ClientOptions, HeadlessClient

DEADLINE = 10.0


def tone(seconds: float, rate_hz: int, hz: float = 440.0) -> Samples:
    n = round(seconds * rate_hz)
    return (8000 * np.sin(2 * np.pi * hz * np.arange(n) / rate_hz)).astype(np.int16)


def pitch(samples: Samples, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64)))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


class Owner:
    """Listens to a peer, to its client's sound and to its playout."""

    def __init__(self, options: RtcOptions | None = None, *, only_public: bool = False) -> None:
        self.log: list[tuple[str, ...]] = []
        self.messages: list[str | bytes] = []
        self.frames: list[PcmFrame] = []
        self.playout = PlayoutBuffer(self)
        options = options or RtcOptions()
        self.plane = MediaPlane(options, only_public=only_public)
        self.peer = Peer(CallAudio(self.playout, self.hear), self, self.plane, options, name="call-1")

    async def close(self) -> None:
        await self.peer.close()
        self.plane.close()

    async def until(self, *what: str) -> None:
        """Wait until this was noted."""
        await self.when(lambda: what in self.log)

    async def when(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 (much of it is aiortc's state, which tells nobody)
                await asyncio.sleep(0.02)

    async def answer(self, offer: str) -> str:
        return await self.peer.answer(offer, is_loopback_client=True)

    def speak(self, samples: Samples) -> None:
        self.playout.begin("reply")
        self.playout.append("reply", samples)
        self.playout.finish("reply")

    def hear(self, frame: PcmFrame) -> None:
        self.frames.append(frame)

    def heard(self) -> Samples:
        return np.concatenate([frame.samples for frame in self.frames])

    def connected(self) -> None:
        self.log.append(("connected",))

    def away(self) -> None:
        self.log.append(("away",))

    def back(self) -> None:
        self.log.append(("back",))

    def closed(self, reason: str) -> None:
        self.log.append(("closed", reason))

    def channel_opened(self) -> None:
        self.log.append(("channel_opened",))

    def message_received(self, message: str | bytes) -> None:
        self.messages.append(message)

    def playout_started(self, reply_id: str) -> None:
        self.log.append(("playout_started", reply_id))

    def clause_began(self, reply_id: str, index: int) -> None:
        pass

    def playout_drained(self, reply_id: str) -> None:
        self.log.append(("playout_drained", reply_id))

    def room_made(self, reply_id: str) -> None:
        pass

    def playout_starved(self, reply_id: str) -> None:
        pass

    def playout_fed(self, reply_id: str) -> None:
        pass


@asynccontextmanager
async def call(
    options: RtcOptions | None = None, client_options: ClientOptions | None = None
) -> AsyncGenerator[tuple[Owner, HeadlessClient]]:
    """A call that is up; both ends are closed at the end."""
    owner = Owner(options)
    try:
        async with HeadlessClient(owner.answer, client_options) as client:
            await owner.until("connected")
            yield owner, client
    finally:
        await owner.close()

"""The same server with aiortc as its documentation shows it: tracks that give and take decoded frames.

Nothing of it is tuned, but for what would only hurt it: no STUN server is asked, candidates are loopback's
alone, and samples are taken out of a frame only where the benchmark looks at them.
"""

from __future__ import annotations

import asyncio
import fractions
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack

from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.rtc import aiortc_patch

from . import sound
from .material import Material
from .serving import Ear, Fields, Says, serve

RATE_HZ = 48_000
_FRAME = RATE_HZ // 50


class Voice(AudioStreamTrack):
    """Sends 20 ms after 20 ms of what is to be said, zeros if nothing is, as ``AudioStreamTrack`` does."""

    rate_hz = RATE_HZ

    def __init__(self) -> None:
        super().__init__()
        self.on_drained: Callable[[], None] = lambda: None
        self._rest = np.empty(0, np.int16)
        self._zeros = np.zeros(_FRAME, np.int16)
        self._n_sent = 0
        self._began: float | None = None

    def say(self, samples: Samples) -> None:
        self._rest = samples

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        if self._began is None:
            self._began = time.monotonic()
        wait = self._began + self._n_sent / RATE_HZ - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        block, self._rest = self._rest[:_FRAME], self._rest[_FRAME:]
        if len(block) and not len(self._rest):
            self.on_drained()
        if len(block) < _FRAME:
            block = np.concatenate((block, self._zeros[len(block) :]))
        frame = av.AudioFrame(format="s16", layout="mono", samples=_FRAME)
        frame.planes[0].update(block.tobytes())
        frame.sample_rate = RATE_HZ
        frame.pts = self._n_sent
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self._n_sent += _FRAME
        return frame


class StockCall:
    """One peer connection."""

    def __init__(self, plan: Fields, talk: Samples) -> None:
        self.ear = Ear(RATE_HZ)
        self.out = Voice()
        self.says = Says(self.out, talk, plan)
        self._keeps = bool(plan.get("keeps"))
        self._position = 0
        self._listening: asyncio.Task[None] | None = None
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTrack(self.out)
        self.pc.on("track", self._on_track)
        self.pc.on("connectionstatechange", self._on_state)

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._listen(track))

    def _on_state(self) -> None:
        if self.pc.connectionState == "connected":
            self.says.start()

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.ear.n_frames += 1
            if self._keeps and isinstance(frame, av.AudioFrame):
                samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0]
                self.ear.keep(samples.astype(np.int16, copy=False), self._position)
                self._position += len(samples)


class StockHost:
    """All calls of this process."""

    def __init__(self, material: Material) -> None:
        self._talk = sound.resampled(material.talk, PLAYOUT_RATE_HZ, RATE_HZ)
        self._calls: dict[str, StockCall] = {}

    async def offer(self, name: str, sdp: str, plan: Fields) -> str:
        self._calls[name] = call = StockCall(plan, self._talk)
        await call.pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        aiortc_patch.offer_loopback(call.pc, only=True)
        await call.pc.setLocalDescription(await call.pc.createAnswer())
        return str(call.pc.localDescription.sdp)

    def call(self, name: str) -> StockCall:
        return self._calls[name]

    def stats(self) -> Fields:
        return {"n_frames": sum(call.ear.n_frames for call in self._calls.values())}


async def main() -> None:
    """Serve until the input ends."""
    await serve(StockHost(Material.load(Path(sys.argv[1]))))


if __name__ == "__main__":
    asyncio.run(main())

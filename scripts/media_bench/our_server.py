"""voicertc's media plane alone, as the product runs it: peers, playout and what is heard."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path

from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, PcmFrame, Samples
from voicertc.audio.playout import PlayoutBuffer
from voicertc.rtc.options import RtcOptions
from voicertc.rtc.peer import CallAudio, MediaPlane, Peer

from .material import Material
from .serving import Ear, Fields, Says, serve


class OurCall:
    """One peer and its playout; listens to both."""

    def __init__(
        self, name: str, plan: Fields, talk: Samples, plane: MediaPlane, options: RtcOptions
    ) -> None:
        self.rate_hz = PLAYOUT_RATE_HZ
        self.on_drained: Callable[[], None] = lambda: None
        self.playout = PlayoutBuffer(self)
        self.ear = Ear(HEARING_RATE_HZ)
        self.says = Says(self, talk, plan)
        self.out = self
        self._n_replies = 0
        hear = self._keep if plan.get("keeps") else self._count
        self.peer = Peer(CallAudio(self.playout, hear), self, plane, options, name=name)

    def say(self, samples: Samples) -> None:
        self._n_replies += 1
        reply = f"reply-{self._n_replies}"
        self.playout.begin(reply)
        self.playout.append(reply, samples)
        self.playout.finish(reply)

    def _count(self, frame: PcmFrame) -> None:
        self.ear.n_frames += 1

    def _keep(self, frame: PcmFrame) -> None:
        self.ear.n_frames += 1
        self.ear.keep(frame.samples, frame.position)

    # --- what the peer and the playout tell -------------------------------------------------------

    def connected(self) -> None:
        self.says.start()

    def away(self) -> None: ...
    def back(self) -> None: ...
    def closed(self, reason: str) -> None: ...
    def channel_opened(self) -> None: ...
    def message_received(self, message: str | bytes) -> None: ...
    def playout_started(self, reply_id: str) -> None: ...
    def clause_began(self, reply_id: str, index: int) -> None: ...
    def room_made(self, reply_id: str) -> None: ...

    def playout_drained(self, reply_id: str) -> None:
        self.on_drained()


class OurHost:
    """All calls of this process."""

    def __init__(self, material: Material) -> None:
        self._talk = material.talk
        self._options = RtcOptions()
        self._plane = MediaPlane(self._options)
        self._calls: dict[str, OurCall] = {}

    async def offer(self, name: str, sdp: str, plan: Fields) -> str:
        self._calls[name] = call = OurCall(name, plan, self._talk, self._plane, self._options)
        return await call.peer.answer(sdp, is_loopback_client=True)

    def call(self, name: str) -> OurCall:
        return self._calls[name]

    def stats(self) -> Fields:
        calls = self._calls.values()
        return {
            "n_frames": sum(call.ear.n_frames for call in calls),
            "skipped": sum(call.peer.skipped for call in calls),
        }


async def main() -> None:
    """Serve until the input ends."""
    material = Material.load(Path(sys.argv[1]))
    gc.collect()  # as ``voicertc.serve`` does
    gc.freeze()
    await serve(OurHost(material))


if __name__ == "__main__":
    asyncio.run(main())

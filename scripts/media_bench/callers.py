"""The client side of a measurement: calls that say ready packets and keep what comes as it comes."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from voicertc.audio.opus import OpusDecoder
from voicertc.testing.client import ClientOptions, HeadlessClient
from voicertc.testing.lossy_link import LossyLink
from voicertc.testing.mouth import Spoken
from voicertc.testing.received import ReceivedPacket, in_order
from voicertc.testing.utterance import Utterance, levels_db

from .machine import percentiles
from .servers import Server
from .sound import N_MARKS

TICK = 960
"""RTP time of a packet of 20 ms."""
_AT_ONCE = 4
"""Calls that are set up side by side: enough to keep both cores busy."""
_HORIZON = N_MARKS * 0.02
"""Seconds in which each mark is heard once at most."""


@dataclass
class Caller:
    """One call. ``plan`` is what the server does in it (see ``serving.Says``)."""

    server: Server
    name: str
    plan: dict[str, object]
    link: LossyLink | None = None
    uses_dtx: bool = False
    spoken: list[Spoken] = field(default_factory=list)
    """What was said since ``forget``."""

    def __post_init__(self) -> None:
        answer = self._answer if self.link is None else self.link.through(self._answer)
        options = ClientOptions(opens_channel=False, uses_dtx=self.uses_dtx, connect_timeout=60.0)
        self.client = HeadlessClient(answer, options)
        self._talking: asyncio.Task[None] | None = None

    async def _answer(self, offer: str) -> str:
        return str(await self.server.ask("offer", name=self.name, sdp=offer, plan=self.plan))

    @property
    def packets(self) -> list[ReceivedPacket]:
        """What came since ``forget``."""
        return self.client.packets

    def forget(self) -> None:
        """Begin a window: only what is said and comes from now on counts."""
        self.client.packets.clear()
        self.spoken = self.spoken[-1:]

    def talk(self, utterance: Utterance) -> None:
        """Say something over and over until the end."""
        self._talking = asyncio.create_task(self._talk(utterance))

    async def _talk(self, utterance: Utterance) -> None:
        while True:
            self.spoken.append(self.client.begin_saying(utterance))
            while len(self.spoken[-1].sent) < len(utterance.packets) - 25:
                await asyncio.sleep(0.25)

    def take_turns(self, utterance: Utterance, begins: float, period: float) -> None:
        """Say something once in every period, which is counted from ``begins`` (monotonic seconds)."""
        self._talking = asyncio.create_task(self._take_turns(utterance, begins, period))

    async def _take_turns(self, utterance: Utterance, begins: float, period: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(period - (loop.time() - begins) % period)
            self.client.begin_saying(utterance)

    def hush(self) -> None:
        """Say nothing any more, once what is being said is over."""
        if self._talking is not None:
            self._talking.cancel()

    async def close(self) -> None:
        """Hang up."""
        self.hush()
        await self.client.close()


async def connect(callers: Sequence[Caller]) -> None:
    """Set up calls, a few at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def connect_one(caller: Caller) -> None:
        async with gate:
            await caller.client.connect()

    await asyncio.gather(*(connect_one(caller) for caller in callers))


# --- how the packets came -----------------------------------------------------------------------------


def quality(callers: Sequence[Caller]) -> dict[str, object]:
    """Return how evenly and completely packets came in spells of speech: spacing, holes, jumps of time."""
    spacings: list[np.ndarray] = []
    n_missing = n_jumps = n_packets = 0
    for caller in callers:
        packets = list(caller.packets)
        n_packets += len(packets)
        if len(packets) < 2:
            continue
        at = np.array([packet.at for packet in packets])
        number = np.unwrap([packet.sequence_number for packet in packets], period=1 << 16)
        time = np.unwrap([packet.timestamp for packet in packets], period=1 << 32)
        n_missing += round(number.max() - number.min() + 1 - len(np.unique(number)))
        follows = np.diff(number) == 1
        steps = np.diff(time)
        spacings.append(np.diff(at)[follows & (steps == TICK)])
        n_jumps += int(np.sum(follows & (steps != TICK)))
    each = [percentiles(spacing, 1000)["p99"] for spacing in spacings if len(spacing)]
    return {
        "spacing_ms": percentiles(np.concatenate(spacings), 1000) if spacings else {"n": 0},
        "worst_call_p99_ms": max(each, default=0.0),
        "packets": n_packets,
        "missed": n_missing,
        "jumps": n_jumps,
        "coding": coding(callers),
    }


def coding(callers: Sequence[Caller]) -> dict[str, float]:
    """Return which part of the packets of sound was coded in which mode (RFC 6716 §3.1)."""
    counts = {"silk": 0, "hybrid": 0, "celt": 0}
    for caller in callers:
        for packet in caller.packets:
            if len(packet.payload) > 3:
                config = packet.payload[0] >> 3
                counts["silk" if config < 12 else "hybrid" if config < 16 else "celt"] += 1
    total = max(1, sum(counts.values()))
    return {mode: round(count / total, 2) for mode, count in counts.items()}


# --- how late sound is --------------------------------------------------------------------------------


async def heard_at(caller: Caller) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return when each marked packet was sent, its RTP time, and when it was heard (NaN: it was not)."""
    told = await caller.server.ask("marks", name=caller.name)
    heard: dict[int, list[float]] = {}
    for at, mark in zip(told["times"], told["marks"], strict=True):
        heard.setdefault(mark, []).append(at)
    sent, rtp, found = [], [], []
    for spoken in caller.spoken:
        for index, (at, rtp_time) in enumerate(zip(spoken.sent, spoken.rtp_times, strict=True)):
            times = heard.get(index % N_MARKS, [])
            place = bisect_left(times, at)
            is_heard = place < len(times) and times[place] < at + _HORIZON
            sent.append(at)
            rtp.append(rtp_time)
            found.append(times[place] if is_heard else np.nan)
    return np.array(sent), np.array(rtp), np.array(found)


async def mic_to_pcm(callers: Sequence[Caller], since: float, until: float) -> dict[str, float]:
    """Return how long packets that were sent in a window took to be heard, in ms."""
    delays: list[float] = []
    n_unheard = 0
    for caller in callers:
        sent, _, heard = await heard_at(caller)
        chosen = (sent >= since) & (sent < until)
        delays += [one for one in (heard - sent)[chosen] if not np.isnan(one)]
        n_unheard += int(np.isnan(heard[chosen]).sum())
    return {**percentiles(delays, 1000), "unheard": n_unheard}


async def pcm_to_wire(callers: Sequence[Caller], since: float, until: float) -> dict[str, float]:
    """Return how long bursts took from being handed over to arriving, in ms."""
    delays: list[float] = []
    n_missed = 0
    for caller in callers:
        appended = await caller.server.ask("appended", name=caller.name)
        loud = np.array(loud_arrivals(caller.packets))
        for at in appended:
            if since <= at < until - 0.2:
                after = loud[loud >= at]
                if len(after) and after[0] < at + 0.25:
                    delays.append(after[0] - at)
                else:
                    n_missed += 1
    return {**percentiles(delays, 1000), "missed": n_missed}


def loud_arrivals(packets: Sequence[ReceivedPacket]) -> list[float]:
    """Return when packets with sound arrived."""
    decoder = OpusDecoder(rate_hz=24_000)
    return [
        packet.at
        for packet in in_order(packets)
        if float(levels_db(decoder.decode(packet.payload)[None])[0]) > -40
    ]

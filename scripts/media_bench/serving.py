"""What both servers have in common: lines of JSON in and out, what they say, what they hear.

    {"id": 1, "ask": "offer", "name": "call-1", "sdp": "…", "plan": {…}}   →   {"id": 1, "answer": …}

The process ends when its standard input does, however its parent ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples

from . import sound
from .machine import SERVER_CORE, pin

Fields = dict[str, Any]


class Host(Protocol):
    """A server's calls."""

    async def offer(self, name: str, sdp: str, plan: Fields) -> str:
        """Begin a call that goes as planned; return the answer."""

    def call(self, name: str) -> Call:
        """Return a call."""

    def stats(self) -> Fields:
        """Return what all calls have counted."""


class Out(Protocol):
    """Where a call's sound goes."""

    rate_hz: int
    on_drained: Callable[[], None]

    def say(self, samples: Samples) -> None:
        """Let ``(n,)`` int16 mono be heard; ``on_drained`` follows when the last of it has left."""


class Says:
    """What a call says, as planned: ``speech`` without end, ``turns``, ``bursts`` of a tone, or nothing."""

    def __init__(self, out: Out, talk: Samples, plan: Fields) -> None:
        self._out = out
        self._talk = talk
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._random = random.Random(str(plan.get("offset", 0)))
        self._is_saying = False
        self.appended: list[float] = []
        """When each burst was handed over, monotonic seconds."""

    def start(self) -> None:
        """Begin; the call is up."""
        match self._plan.get("says"):
            case "speech":
                self._out.on_drained = self._say_all
                self._say_all()
            case "turns":
                self._wait_for_turn()
            case "bursts":
                n = self._out.rate_hz // 10
                tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(n) / self._out.rate_hz)
                self._out.on_drained = self._end_burst
                self._loop.call_later(0.6, self._burst, tone.astype(np.int16))

    def _say_all(self) -> None:
        # Views of one array: what is said costs no memory per call.
        start = self._plan["offset"] * 480 * (self._out.rate_hz // 24_000) % (len(self._talk) // 2)
        self._out.say(self._talk[start : start + len(self._talk) // 2])

    def _wait_for_turn(self) -> None:
        """Speak at the planned phase of every period; clients go by the same clock."""
        period, begins = self._plan["period"], self._plan["begins"]
        now = time.monotonic()
        at = begins + (np.floor((now - begins) / period) + 1) * period
        self._loop.call_later(at - now, self._turn)

    def _turn(self) -> None:
        self._out.say(self._talk[: int(self._plan["lasts"] * self._out.rate_hz)])
        self._wait_for_turn()

    def _burst(self, tone: Samples) -> None:
        if not self._is_saying:  # else the server is so late that the last one has not left
            self._is_saying = True
            self.appended.append(time.monotonic())
            self._out.say(tone)
        self._loop.call_later(self._random.uniform(0.3, 0.45), self._burst, tone)

    def _end_burst(self) -> None:
        self._is_saying = False


class Ear:
    """What a call hears: counted, or kept with the time at which it was handed over."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self.n_frames = 0
        self.log: list[tuple[float, Samples, int]] = []

    def keep(self, samples: Samples, position: int) -> None:
        """Keep a frame; ``position`` is that of its first sample."""
        self.log.append((time.monotonic(), samples, position))

    def marks(self) -> Fields:
        """Return which mark was heard when, and forget."""
        n = self._rate_hz // 50
        frames = [(at, samples) for at, samples, _ in self.log if len(samples) == n]
        self.log = []
        found = sound.identify(np.stack([samples for _, samples in frames]), self._rate_hz) if frames else []
        return {"times": [at for at, _ in frames], "marks": found}

    def save(self, path: Path) -> None:
        """Write all that was kept as one sound at 16 kHz, silence where there was a gap, and forget."""
        log, self.log = self.log, []
        begin = log[0][2] if log else 0
        whole = np.zeros(log[-1][2] - begin + len(log[-1][1]) if log else 0, np.int16)
        for _, samples, position in log:
            whole[position - begin : position - begin + len(samples)] = samples
        if self._rate_hz != HEARING_RATE_HZ:
            whole = sound.resampled(whole, self._rate_hz, HEARING_RATE_HZ)
        np.save(path, whole)


class Call(Protocol):
    """One call of either server."""

    @property
    def ear(self) -> Ear:
        """What it hears."""

    @property
    def says(self) -> Says:
        """What it says by plan."""

    @property
    def out(self) -> Out:
        """Where its sound goes."""


async def serve(host: Host) -> None:
    """Answer what is asked until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its input
    pin(SERVER_CORE)
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    tasks: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(_answer(host, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    os._exit(0)  # threads of decoders would be waited for


async def _answer(host: Host, asked: Fields) -> None:
    match asked["ask"]:
        case "offer":
            answer: Any = await host.offer(asked["name"], asked["sdp"], asked["plan"])
        case "marks":
            answer = host.call(asked["name"]).ear.marks()
        case "appended":
            says = host.call(asked["name"]).says
            answer, says.appended = says.appended, []
        case "play":
            out = host.call(asked["name"]).out
            samples = np.load(asked["path"])
            out.say(
                samples
                if out.rate_hz == PLAYOUT_RATE_HZ
                else sound.resampled(samples, PLAYOUT_RATE_HZ, out.rate_hz)
            )
            answer = None
        case "forget":
            host.call(asked["name"]).ear.log.clear()
            answer = None
        case "save":
            host.call(asked["name"]).ear.save(Path(asked["path"]))
            answer = None
        case "stats":
            answer = host.stats()
        case unknown:
            raise ValueError(unknown)
    print(json.dumps({"id": asked["id"], "answer": answer}), flush=True)

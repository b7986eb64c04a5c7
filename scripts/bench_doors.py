#!/usr/bin/env python3
"""What a call costs the server over a WebSocket, against the same call over WebRTC.

    scripts/bench_doors.py [--quick] [--json] [--speech ../shared/speech]

How it is measured: one server process, pinned to one core, with the real speech detector and everything that
carries a call; hearing, thinking and speaking are fakes that answer at once, the same for both doors. The
clients are in another process, pinned to another core. Every client says a recording in real time (20 ms
after 20 ms, with silence in between as a microphone sends it), and is answered with 3 s of speech, again and
again: the same turns at the same times for both doors. The server's CPU time (all its threads) in the window,
divided by the number of calls and the window's length, is what a call costs in a second.

Both doors are measured at each number of calls in turns (socket, webrtc, webrtc, socket), so that what else
the machine does hits both. The ratio is that of the sums. ``client`` is the client process's own CPU share:
near 1 it would measure itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path

import aiohttp
import numpy as np
from aiohttp import web

from voicertc.agents.base import AgentRequest, as_agent
from voicertc.audio.pcm import HEARING_RATE_HZ, Samples
from voicertc.audio.vad import SpeechModel, VadOptions, VoiceActivity
from voicertc.endpoint import Endpoint
from voicertc.server.app import assemble
from voicertc.session.setup import Services
from voicertc.settings import AgentSection, LimitsSection, Settings
from voicertc.testing.client import HeadlessClient
from voicertc.testing.fakes import FakeRecognizer, FakeVoice
from voicertc.testing.socket_client import SocketClient
from voicertc.testing.utterance import Utterance, read_wav

CLIP = "mycroft-core_weather_mycroft.wav"
DOORS = ("websocket", "webrtc")
ANSWER = "That is all I know about it, and it is nothing new."
"""3 s at 60 ms a character."""
PAUSE = 4.5
"""Seconds from one recording to the next: the end of the turn, and the answer."""
WARM_UP = 3.0
"""Seconds of talk before the window."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """``cpu_ms``: milliseconds of the server's CPU that a call takes in a second."""

    door: str
    calls: int
    seconds: float
    turns: int
    cpu_ms: float
    client: float


# --- the server's process ---------------------------------------------------------------------------


class Detector:
    """The detector that sessions have, its model shared."""

    def __init__(self) -> None:
        self._model = SpeechModel()

    def attend(self) -> VoiceActivity:
        """Begin to listen to a call."""
        return VoiceActivity(self._model, VadOptions())


async def answer(request: AgentRequest) -> AsyncGenerator[str, None]:
    """Say the same each time."""
    yield ANSWER


async def serve() -> None:
    """Serve until the standard input is closed; the port is the first line of the output."""
    pin(0)
    settings = Settings(agent=AgentSection(greeting=None), limits=LimitsSection(max_calls=200))
    recognizer = FakeRecognizer(repeat("what is the weather"), delay=0.0)
    services = Services(recognizer, as_agent(answer), FakeVoice(first_audio=0.0), Detector())
    app = assemble(Endpoint(settings, services=services), settings.server)

    async def cpu(_: web.Request) -> web.Response:
        return web.json_response(time.process_time())

    app.router.add_get("/cpu", cpu)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def pin(core: int) -> None:
    """Run on one core only, where that can be chosen."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


# --- the clients' process ---------------------------------------------------------------------------


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """Run the server and yield its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--serve",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        await process.wait()


class Calls:
    """Any number of calls over one door, all talking; begun apart, so that their turns are spread."""

    def __init__(self, url: str, door: str, clip: Samples) -> None:
        self._url = url
        self._door = door
        self._utterance = Utterance.from_samples(clip)
        self._clip = clip
        self._period = len(clip) / HEARING_RATE_HZ + PAUSE
        self.n_turns = 0

    async def talk(self, index: int, n_calls: int) -> None:
        """Talk until cancelled."""
        await asyncio.sleep(self._period * index / n_calls)
        talk = self._over_socket if self._door == "websocket" else self._over_webrtc
        await talk()

    async def _over_socket(self) -> None:
        async with SocketClient(self._url) as client:
            while True:
                await client.say(self._clip, tail=PAUSE)
                self._count([event.type for event in client.events])
                client.forget()

    async def _over_webrtc(self) -> None:
        loop = asyncio.get_running_loop()
        async with HeadlessClient(self._url) as client:
            await client.channel_opened()
            while True:
                began = loop.time()
                await client.say(self._utterance)
                await asyncio.sleep(max(0.0, began + self._period - loop.time()))
                self._count([str(entry.event.get("type")) for entry in client.events])
                client.events.clear()
                client.packets.clear()

    def _count(self, types: list[str]) -> None:
        self.n_turns += types.count("response.done")


async def measure(url: str, door: str, n_calls: int, seconds: float, clip: Samples) -> Measurement:
    """Let so many calls talk for so long."""
    calls = Calls(url, door, clip)
    tasks = [asyncio.create_task(calls.talk(index, n_calls)) for index in range(n_calls)]
    async with aiohttp.ClientSession() as http, AsyncExitStack() as stack:
        stack.callback(lambda: [task.cancel() for task in tasks])
        await asyncio.sleep(len(clip) / HEARING_RATE_HZ + PAUSE + WARM_UP)
        broken = [task for task in tasks if task.done()]
        for task in broken:
            task.result()
        n_turns, own, began = calls.n_turns, time.process_time(), time.monotonic()
        before = await server_cpu(http, url)
        await asyncio.sleep(seconds)
        after, lasted = await server_cpu(http, url), time.monotonic() - began
        n_turns, own = calls.n_turns - n_turns, time.process_time() - own
    await asyncio.gather(*tasks, return_exceptions=True)
    cpu_ms = 1000 * (after - before) / (n_calls * lasted)
    return Measurement(door, n_calls, round(lasted, 1), n_turns, round(cpu_ms, 2), round(own / lasted, 2))


async def server_cpu(http: aiohttp.ClientSession, url: str) -> float:
    """Return the seconds of CPU that the server has taken so far."""
    async with http.get(f"{url}/cpu") as response:
        return float(await response.json())


async def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    pin(1)
    path = options.speech / CLIP
    if not path.is_file():
        sys.exit(f"there is no {path}: name the directory of recordings with --speech")
    clip = read_wav(path)
    clip = np.pad(clip, (0, -len(clip) % 320))
    numbers, rounds, seconds = ((1, 4), 1, 10.0) if options.quick else ((1, 20), 2, 30.0)
    found: list[Measurement] = []
    async with server() as url:
        for n_calls in numbers:
            for index in range(rounds):
                for door in DOORS if index % 2 == 0 else DOORS[::-1]:
                    found.append(await measure(url, door, n_calls, seconds, clip))
                    if not options.json:
                        print(line(found[-1]), flush=True)
    ratios = {str(n_calls): ratio(found, n_calls) for n_calls in numbers}
    if options.json:
        print(json.dumps({"measurements": [asdict(one) for one in found], "websocket_to_webrtc": ratios}))
    else:
        for calls, value in ratios.items():
            print(f"websocket : webrtc at {calls} calls: {value}")


def line(one: Measurement) -> str:
    """Return one measurement for people."""
    return (
        f"{one.door:<9} {one.calls:>2} calls {one.seconds:5.1f} s {one.turns:>3} turns  "
        f"{one.cpu_ms:6.2f} ms of CPU a call-second  (client {one.client:.2f})"
    )


def ratio(found: list[Measurement], n_calls: int) -> float:
    """Return the CPU of the WebSocket's door over that of WebRTC's."""
    sums = {
        door: sum(one.cpu_ms for one in found if (one.door, one.calls) == (door, n_calls)) for door in DOORS
    }
    return round(sums["websocket"] / sums["webrtc"], 2)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description="CPU of a call over a WebSocket against one over WebRTC.")
    parser.add_argument("--quick", action="store_true", help="1 and 4 calls, for 10 s each")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    default = Path(os.environ.get("VOICERTC_TEST_SPEECH", "../shared/speech"))
    parser.add_argument("--speech", type=Path, default=default, help="directory of recordings")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    asyncio.run(serve() if options.serve else run(options))


if __name__ == "__main__":
    main()

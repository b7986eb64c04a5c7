#!/usr/bin/env python3
"""How long from the start of the process until the first offer is answered, against a bare aiortc server.

    scripts/bench_start.py [--runs 5]

Both are started in turn, each run in a new process; an offer is made beforehand and posted every 10 ms until
it is answered. The bare server imports aiortc and aiohttp, answers an offer and echoes: the floor for
anything built on them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

BARE = """
import sys
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

calls = set()

async def answer(request):
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    calls.add(pc)
    pc.on("track", pc.addTrack)
    await pc.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
    await pc.setLocalDescription(await pc.createAnswer())
    return web.Response(text=pc.localDescription.sdp, status=201)

app = web.Application()
app.router.add_post("/v1/realtime/calls", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
DEADLINE = 60.0
"""Seconds a start may take."""


async def make_offer() -> str:
    """Return the offer of a client with a microphone and a data channel."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver("audio", direction="sendrecv")
    pc.createDataChannel("oai-events")
    await pc.setLocalDescription(await pc.createOffer())
    offer = pc.localDescription.sdp
    await pc.close()
    return str(offer)


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    """Run a server for the length of the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


async def time_start(command: list[str], port: int, offer: str) -> float:
    """Return the seconds from starting ``command`` until it has answered ``offer``."""
    url = f"http://127.0.0.1:{port}/v1/realtime/calls"
    headers = {"Content-Type": "application/sdp"}
    began = time.monotonic()
    with running(command):
        async with aiohttp.ClientSession() as http, asyncio.timeout(DEADLINE):
            while True:
                try:
                    async with http.post(url, data=offer, headers=headers) as response:
                        await response.text()
                        if response.status == 201:
                            return time.monotonic() - began
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.01)


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def main() -> None:
    """Start both in turn and print the medians."""
    parser = argparse.ArgumentParser(description="Process start to first offer answered.")
    parser.add_argument("--runs", type=int, default=5, help="starts of each (5)")
    runs = parser.parse_args().runs
    offer = await make_offer()
    times: dict[str, list[float]] = {"bare aiortc": [], "voicertc": []}
    for _ in range(runs):
        port = free_port()
        times["bare aiortc"].append(await time_start([sys.executable, "-c", BARE, str(port)], port, offer))
        port = free_port()
        command = [sys.executable, "-m", "voicertc", "serve", "--port", str(port)]
        times["voicertc"].append(await time_start(command, port, offer))
    for name, values in times.items():
        low, high = min(values), max(values)
        print(f"{name:<12} {statistics.median(values):.2f} s median of {runs} ({low:.2f}–{high:.2f})")
    pairs = zip(times["voicertc"], times["bare aiortc"], strict=True)
    print(f"ratio        {statistics.median(ours / bare for ours, bare in pairs):.1f} median, pair by pair")


if __name__ == "__main__":
    asyncio.run(main())

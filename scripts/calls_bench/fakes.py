"""The fake OpenAI in a process of its own, so that what it costs is known and is nobody else's.

    python -m calls_bench.fakes '{"recognition": 0.15, …, "is_speech_to_speech": false, "characters": 44}'

prints its URL and key as one line of JSON, and ends with its input. No answer is like another: what a server
has spoken before it may keep, and it is synthesis that is to be measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_bench.machine import CLIENT_CORE, cpu_time, pin

from voicertc.testing.fake_openai import FakeOpenAI, Scenario
from voicertc.testing.openai_realtime_scenario import RealtimeScenario

from .engines import Delays

SCRIPTS = Path(__file__).resolve().parent.parent
_TRANSCRIPT = "Please tell me what you know about it."
_FILLING = " of everything that anybody has ever wanted to hear about it from one who answers the telephone"
_START_TIMEOUT = 30.0
"""Seconds until it must have told its URL."""


@dataclass(frozen=True, slots=True)
class Fake:
    """A running one."""

    pid: int
    base_url: str
    api_key: str

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        return cpu_time(self.pid)


@asynccontextmanager
async def fake_openai(
    delays: Delays, *, is_speech_to_speech: bool, characters: int
) -> AsyncGenerator[Fake, None]:
    """Run one that takes ``delays`` and answers with so many characters, each of which is 60 ms of sound."""
    told = {**delays.as_fields(), "is_speech_to_speech": is_speech_to_speech, "characters": characters}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "calls_bench.fakes", json.dumps(told)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=SCRIPTS,
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(_START_TIMEOUT):
            access = json.loads(await process.stdout.readline())
        yield Fake(process.pid, access["base_url"], access["api_key"])
    finally:
        process.stdin.close()
        await process.wait()


def scenario(told: dict[str, Any]) -> Scenario:
    """Return what the fake is to do."""
    numbers = itertools.count(1000)
    is_speech = told["is_speech_to_speech"]
    return Scenario(
        transcripts=(_TRANSCRIPT,),
        replies=lambda messages: answer(next(numbers), told["characters"]),
        transcription_delay=told["recognition"],
        first_token_delay=told["first_token"],
        # A speech-to-speech service has one delay: from being asked to answer to the first sound.
        first_audio_delay=told["first_audio"] + (told["first_token"] if is_speech else 0.0),
        realtime=RealtimeScenario(completion_delays=(told["recognition"],)),
    )


def answer(number: int, characters: int) -> str:
    """Return one sentence of this length, another for each number."""
    return f"Here is number {number}{_FILLING}"[: characters - 1].rstrip() + "."


async def main() -> None:
    """Serve until the input ends."""
    pin(CLIENT_CORE)
    async with FakeOpenAI(scenario(json.loads(sys.argv[1]))) as fake:
        print(json.dumps({"base_url": fake.base_url, "api_key": fake.api_key}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())

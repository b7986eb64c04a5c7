#!/usr/bin/env python3
"""What calls leave behind: tasks, threads, child processes, descriptors, memory.

    scripts/bench_leaks.py [--calls 50] [--at-once 5] [--wav FILE]

One endpoint with the built-in engines and its callers share this process. After some calls to warm up it
counts; then after ``--calls`` calls one after another, and after ``--at-once`` at the same time. Every call
speaks a recording and waits for the answer; every third caller drops the line without a goodbye.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import sys
import threading
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from voicertc import Endpoint, Settings
from voicertc.settings.sections import AgentSection
from voicertc.testing.client import HeadlessClient
from voicertc.testing.utterance import Utterance

WARM_UP = 20
"""Calls before the first count: pools fill and code is imported."""
SETTLE = 3.0
"""Seconds between the last call and a count: aiortc's goodbyes and RTCP intervals end."""


@dataclass(frozen=True, slots=True)
class Count:
    """What there is of each; ``memory_mb`` is resident."""

    tasks: int
    threads: int
    children: int
    descriptors: int
    memory_mb: float

    @classmethod
    def now(cls) -> Count:
        """Count."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        children = Path(f"/proc/self/task/{threading.main_thread().native_id}/children")
        return cls(
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
            children=len(children.read_text(encoding="ascii").split()),
            descriptors=len(os.listdir("/proc/self/fd")),
            memory_mb=round(pages * resource.getpagesize() / 1e6, 1),
        )


async def settled() -> Count:
    """Count when everything has come to rest."""
    await asyncio.sleep(SETTLE)
    return Count.now()


async def one_call(endpoint: Endpoint, utterance: Utterance, *, drops: bool) -> None:
    """Speak, be answered, and go, with or without a goodbye."""

    async def answer(offer: str) -> str:
        return await endpoint.answer(offer, is_loopback_client=True)

    async with HeadlessClient(answer) as client:
        await client.channel_opened()
        await client.say(utterance)
        await client.next_event("response.output_audio_transcript.delta", timeout=20)
        if drops:
            client.cut_link()


async def measure(options: argparse.Namespace) -> int:
    """Hold the calls and print the counts; return 1 if anything was left behind."""
    utterance = Utterance.from_wav(options.wav)
    settings = Settings(agent=AgentSection(greeting=None))
    endpoint = Endpoint(settings)
    await endpoint.start()
    for _ in range(WARM_UP):
        await one_call(endpoint, utterance, drops=False)
    counts = {"before": await settled()}
    for half in (1, 2):
        for number in range(options.calls // 2):
            await one_call(endpoint, utterance, drops=number % 3 == 2)
        await no_calls(endpoint)
        counts[f"after {half * (options.calls // 2)} in turn"] = await settled()
    await asyncio.gather(*(one_call(endpoint, utterance, drops=False) for _ in range(options.at_once)))
    await no_calls(endpoint)
    counts[f"after {options.at_once} at once"] = await settled()
    await endpoint.close()
    counts["endpoint closed"] = await settled()
    print(f"{'':<20}" + "".join(f"{field.name:>13}" for field in fields(Count)))
    for name, count in counts.items():
        print(f"{name:<20}" + "".join(f"{value:>13}" for value in astuple(count)))
    before, *_, after, _ = counts.values()
    is_clean = astuple(before)[:4] == astuple(after)[:4] and after.memory_mb - before.memory_mb < 5
    print("nothing was left behind" if is_clean else "something was left behind")
    return 0 if is_clean else 1


async def no_calls(endpoint: Endpoint) -> None:
    """Wait until the endpoint has noticed that its callers are gone."""
    async with asyncio.timeout(60):
        while endpoint.calls:
            await asyncio.sleep(0.2)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description="What calls leave behind.")
    parser.add_argument("--calls", type=int, default=50, help="calls one after another (50)")
    parser.add_argument("--at-once", type=int, default=5, help="calls at the same time (5)")
    speech = Path(os.environ.get("VOICERTC_TEST_SPEECH", "../shared/speech"))
    parser.add_argument(
        "--wav", type=Path, default=speech / "pocketsphinx_goforward.wav", help="what is said"
    )
    sys.exit(asyncio.run(measure(parser.parse_args())))


if __name__ == "__main__":
    main()

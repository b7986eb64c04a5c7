#!/usr/bin/env python3
"""How many whole calls one core carries: hearing, thinking and speaking, with everything but the services.

    scripts/bench_calls.py [--quick] [--engines chat|streaming|speech] [--steps 1 10 20 …] [--seconds 40]
                           [--all] [--parts] [--digital-silence] [--speech ../shared/speech] [--json FILE]

``voicertc serve`` runs on core 0 as a user starts it, with the default settings but for the greeting and the
limits on calls. Its services are a local fake of OpenAI's with fixed delays (150 ms to the text of a turn,
200 ms to the first token, 120 ms to the first sound), in a process of its own on core 1; the callers are on
core 1, too. A call is real WebRTC with a data channel. Every 8 s a caller says a recording of a person
speaking (1.4 to 2.8 s), the agent answers with 2.7 s of sound, so each speaks about a third of the time or
less; in between the microphone sends a quiet room (``--digital-silence``: zeros). Turns of different calls
are spread evenly. Callers send packets made beforehand, keep what comes with its time of arrival, and decode
it after the calls.

For each number of calls a new server. Its figures:

    added    voice to voice, from the packet with the end of speech (by the recording's label) to the first
             audible packet at the client, minus the end-of-turn silence and the services' delays
    holes    sound of replies that was missing or late by more than 60 ms, as a part of all their sound
    failed   turns without a reply within 5 s, and calls that could not be set up or broke
    server   CPU of the server with its children and threads, as a part of its core; others: of everybody
             else on that core, which makes figures worse; clients and fake: of the other core. If those two
             come to 90 % together, or the clients wake up late, the figures are theirs
    ms/s     CPU of the server for each second of a call; idle: while all calls are up and silent
    MB       memory that each call added (PSS of the server and its children, while the calls are up)

It goes on until the whole wait's p95 has doubled against one call, more than 1 % of the sound has holes, or
turns fail.
``--parts`` samples the server with py-spy (``pip install py-spy``) at the last number of calls that was well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from calls_bench import engines, material, parts, report
from calls_bench.callers import Habits
from calls_bench.fakes import fake_openai
from calls_bench.report import Step
from calls_bench.serving import NotServed, served
from calls_bench.talking import Loaded, load
from media_bench.machine import CLIENT_CORE, pin

STEPS = (1, 10, 20, 40, 60, 80, 100, 120, 140)
QUICK_STEPS = (1, 8)
PERIOD = 8.0
"""Seconds from one turn of a caller's to the next."""
CHARACTERS = 45
"""Of a reply: 2.7 s of the fake's sound."""
ROOM_DB = -65.0
"""A quiet room behind a browser's noise suppression, below full scale."""
N_AT_FIRST = 20
"""Turns at least with one call, all others are compared with."""


async def measure(options: argparse.Namespace) -> None:
    """Take step after step, and print each."""
    steps: list[Step] = []
    print(report.machine(), "\n", report.HEAD, sep="", flush=True)
    for n_calls in options.steps:
        seconds = max(options.seconds, 0 if options.quick else N_AT_FIRST * PERIOD / n_calls)
        loaded, complaints = await at(n_calls, seconds, options)
        step = Step.of(loaded, engines.FIXED.critical_path(engines.named(options.engines)))
        steps.append(step)
        print(step.line(), flush=True)
        for complaint, n in complaints.items():
            print(f"      the server's log: {complaint} ({n})")
        if reasons := step.faults(steps[0]):
            print(f"      over: {'; '.join(reasons)}")
            if n_calls > 1 and not options.all:
                break
    print("", report.verdict(steps), sep="\n", flush=True)
    shares = await take_apart(steps, options) if options.parts else {}
    if options.json is not None:
        figures: dict[str, Any] = {"steps": [step.as_json() for step in steps], "parts": shares}
        options.json.write_text(json.dumps({"machine": report.machine(), **figures}), encoding="utf-8")


async def at(
    n_calls: int, seconds: float, options: argparse.Namespace, **more: Any
) -> tuple[Loaded, dict[str, int]]:
    """Hold ``n_calls`` against a server and a fake of their own; return what came of it, and its log's words.

    ``more``: what is to be done meanwhile, given the server (``load``'s ``meanwhile``).
    """
    names = engines.named(options.engines)
    background = None if options.digital_silence else material.quiet_room(ROOM_DB)
    habits = Habits(PERIOD, background=background)
    is_speech = len(names) == 1
    async with fake_openai(engines.FIXED, is_speech_to_speech=is_speech, characters=CHARACTERS) as fake:
        limits = {
            "VOICERTC_LIMITS__MAX_CALLS": str(n_calls + 8),
            # Recognizers that stream are at work for as long as a caller speaks.
            "VOICERTC_LIMITS__MAX_REQUESTS": str(max(64, 2 * n_calls)),
        }
        settings = engines.environment(names, fake.base_url, fake.api_key) | limits
        async with served(settings) as server:
            meanwhile = (lambda: more["meanwhile"](server)) if more else None
            loaded = await load(
                server,
                fake,
                options.utterances,
                habits,
                n_calls=n_calls,
                seconds=seconds,
                meanwhile=meanwhile,
            )
            return loaded, server.complaints()


async def take_apart(steps: list[Step], options: argparse.Namespace) -> dict[str, float]:
    """Sample the server at the last number of calls that was well, and print what each part takes."""
    program = parts.sampler()
    if program is None:
        print("py-spy is not installed: which part takes what is unknown (pip install py-spy)")
        return {}
    well = [step for step in steps if not step.faults(steps[0])] or steps[:1]
    step = well[-1]
    found: Counter[str] = Counter()

    async def sample(server: Any) -> None:
        found.update(await parts.sample(program, server.pid, options.seconds))

    await at(step.n_calls, options.seconds, options, meanwhile=sample)
    shares = {part: n / sum(found.values()) * step.cpu_ms for part, n in found.items()}
    print(report.parts_table(shares, step))
    return shares


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="two steps of 10 s: a minute, to see that it works"
    )
    parser.add_argument(
        "--engines", default="chat", help="chat, streaming, speech, or recognizer+model+voice"
    )
    parser.add_argument("--steps", type=int, nargs="+", help="numbers of calls; the first is compared with")
    parser.add_argument("--seconds", type=float, help="seconds of talking at each step (40)")
    parser.add_argument("--all", action="store_true", help="take all steps, also behind the limit")
    parser.add_argument("--parts", action="store_true", help="CPU of each part, by py-spy")
    parser.add_argument("--digital-silence", action="store_true", help="zeros between turns, no quiet room")
    default = Path(os.environ.get("VOICERTC_TEST_SPEECH", "../shared/speech"))
    parser.add_argument("--speech", type=Path, default=default, help="directory of recordings")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    options.steps = options.steps or (QUICK_STEPS if options.quick else STEPS)
    options.seconds = options.seconds or (10.0 if options.quick else 40.0)
    options.utterances = material.recordings(options.speech)
    if not options.utterances:
        sys.exit(f"no recordings in {options.speech}: name their directory with --speech")
    try:
        engines.named(options.engines)
    except ValueError as error:
        parser.error(str(error))
    pin(CLIENT_CORE)
    try:
        asyncio.run(measure(options))
    except NotServed as error:
        sys.exit(f"not measured: the server does not run with {options.engines}: {error}")


if __name__ == "__main__":
    main()

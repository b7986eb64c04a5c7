#!/usr/bin/env python3
"""What the server adds to the time its callers wait: voice to voice, and how soon a barge-in is silent.

    scripts/bench_latency.py [--turns 20] [--calls 1] [--engines chat streaming speech …] [--realistic]
                             [--speech ../shared/speech] [--json FILE]

``voicertc serve`` runs on core 0, with the default settings but for the greeting; callers, and a local fake
of OpenAI's services in a process of its own, are on core 1. Sets of engines (``calls_bench/engines.py``):
``chat`` is files, Chat Completions and ``/v1/audio/speech``; ``streaming`` the live transcription socket,
Responses and the Realtime reader; ``speech`` is speech to speech; ``local`` the built-in ones, without a
fake. Others are spelled out: ``openai-live+openai-chat+openai-speech``.

    fixed       the services take 150 ms to the text, 200 to the first token, 120 to the first sound; what is
                left is the server's: voice to voice minus these minus the silence that ends a turn
    realistic   200, 250 and 100 ms: what a caller waits, from the end of speech until it is heard
    waterfall   the server's own account of the same turns (``voicertc.metrics``), and by how much its total
                differs from what the caller measured; the estimate of the way to the ear is left out
    barge-in    onset of speech over a long reply to the last audible packet (with ``chat`` only)

Voice to voice is from the packet with the end of speech, by the label of the recording, to the RTP arrival of
the first audible packet at the client. "Heard" means that arrival and nothing behind it: no jitter buffer, no
player, no ear. A speech-to-speech service has one delay instead of three, first token and first sound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from calls_bench import engines, material, waits
from calls_bench.callers import Habits
from calls_bench.engines import Delays
from calls_bench.fakes import fake_openai
from calls_bench.report import machine
from calls_bench.serving import NotServed, served
from calls_bench.talking import Held, converse
from media_bench.machine import CLIENT_CORE, pin

from voicertc.testing.load import LoadOptions, run_load
from voicertc.testing.load_report import to_table

CHARACTERS = 30
"""Of a reply: 1.8 s of the fake's sound."""
LONG = 400
"""Of a reply that is spoken into."""
TURN = 5.0
"""Seconds of a turn with its reply, about: the calls' turns are spread over them."""


async def measure(options: argparse.Namespace) -> None:
    """Measure each set of engines, and print what came of it."""
    print(machine())
    found: list[dict[str, Any]] = []
    cases = [("fixed", engines.FIXED)] + ([("realistic", engines.REALISTIC)] if options.realistic else [])
    for name in options.engines:
        for title, delays in cases:
            heading = f"{title}, {name}, {options.calls} call{'s' * (options.calls > 1)}"
            try:
                held, lines = await voice_to_voice(engines.named(name), delays, options)
            except NotServed as error:
                print(f"\n{heading}: skipped, the server does not run with it: {error}", flush=True)
                continue
            told = waits.told(held, delays.critical_path(engines.named(name)))
            print(f"\n{heading}", *lines, *waits.table(told, is_realistic=title == "realistic"), sep="\n  ")
            found.append({"case": title, "engines": name, "calls": options.calls, **asdict(told)})
    if "chat" in options.engines:
        await barge_in(options)
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "cases": found}), encoding="utf-8")


async def voice_to_voice(
    names: tuple[str, ...], delays: Delays, options: argparse.Namespace
) -> tuple[Held, Sequence[str]]:
    """Hold the calls; return what came of them, and what the server says of its engines."""
    is_speech = len(names) == 1
    async with fake_openai(delays, is_speech_to_speech=is_speech, characters=CHARACTERS) as fake:
        settings = engines.environment(names, fake.base_url, fake.api_key)
        settings["VOICERTC_LIMITS__MAX_CALLS"] = str(max(32, options.calls + 8))
        async with served(settings) as server:
            habits = Habits(wants_metrics=True)
            # What is made once, when the first call comes, is not what a caller waits for.
            warm_up = Habits()
            await converse(server, options.utterances, warm_up, n_calls=1, n_turns=2, spread=0.0)
            held = await converse(
                server,
                options.utterances,
                habits,
                n_calls=options.calls,
                n_turns=options.turns,
                spread=TURN,
            )
            about = [line for line in server.lines if any(word in line for word in names)]
            return held, [line.strip() for line in about] + [str(each) for each in server.complaints()]


async def barge_in(options: argparse.Namespace) -> None:
    """Speak into long replies, and print how soon they stop."""
    load = LoadOptions(calls=options.calls, turns=options.turns, greeting_timeout=0.8, barges_in=True)
    async with fake_openai(engines.FIXED, is_speech_to_speech=False, characters=LONG) as fake:
        settings = engines.environment(engines.named("chat"), fake.base_url, fake.api_key)
        settings["VOICERTC_LIMITS__MAX_CALLS"] = str(max(32, options.calls))
        async with served(settings) as server:
            report = await run_load(server.url, options.utterances, load)
    print(f"\nbarge-in\n{to_table(report)}")


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=20, help="turns per call (20)")
    parser.add_argument("--calls", type=int, default=1, help="calls at a time (1)")
    parser.add_argument("--engines", nargs="+", default=["chat"], help="sets of engines (chat)")
    parser.add_argument("--realistic", action="store_true", help="services as slow as real ones, besides")
    parser.add_argument("--local", action="store_true", help="the built-in engines: --engines local")
    default = Path(os.environ.get("VOICERTC_TEST_SPEECH", "../shared/speech"))
    parser.add_argument("--speech", type=Path, default=default, help="directory of recordings")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    if options.local:
        options.engines = ["local"]
    options.utterances = material.recordings(options.speech)
    if not options.utterances:
        sys.exit(f"no recordings in {options.speech}: name their directory with --speech")
    try:
        for name in options.engines:
            engines.named(name)
    except ValueError as error:
        parser.error(str(error))
    pin(CLIENT_CORE)
    asyncio.run(measure(options))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The media plane: what a call costs, how late sound is, what a bad link does to it; beside stock aiortc.

    scripts/bench_media.py [--quick] [--json] [--case NAME …] [--calls N] [--seconds S] [--speech DIRECTORY]

How it is measured: a server in a process of its own on core 0, its clients in another on core 1, over
loopback; a fresh pair of them for each case. There is media only: peers, what they are to say, and what they
hear; no session, no detector, no speech services. Clients send packets that were made beforehand, keep what
comes with its time of arrival, and decode it afterwards. CPU is the server process's, with all its threads,
in a window in which nothing begins or ends; memory is what it wrote to.

    setup    offer to connected, one call after the other
    talk     latency at rest and under load, cost of talking calls on a clean link (CELT)
    voip     cost of talking calls whose clients report 5 % of loss (VOIP + FEC)
    mix      cost where each side speaks 35 % of the time, with DTX
    idle     cost of calls that are up and silent
    churn    whether talking calls stutter while others begin and end (not with --quick)
    memory   whether talking calls grow (not with --quick; --seconds 3600 for an hour)
    loss     latency, holes and recovery over seeded bad links; the voice at the client
    words    what the offline recognizer gets wrong over them, on either side (not with --quick)

Mic → PCM is from the client's sendto to ``hear()`` of the frame that holds this packet's sound, known by
marked tones; PCM → wire is from ``PlayoutBuffer.append`` to the arrival of the first packet with sound; all
clocks are the machine's monotonic one. Stock aiortc is an echo server's usual code on its public API (tracks,
decoded frames, 48 kHz PCM), measured in the same run at as many calls as it bears. Figures that are
extrapolated (calls at a share of a core) come from the cost at the number of calls that stands beside them.

What other processes do on the machine is measured, too, and told beside the figures: it makes packets late.
As root, ``chrt -f 5 scripts/bench_media.py`` keeps them away.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

from media_bench import loads, loss, report, words
from media_bench.case import Case, Result
from media_bench.machine import CLIENT_CORE, pin
from media_bench.material import Material

CASES: dict[str, tuple[Callable[[Case], Coroutine[Any, Any, Result]], tuple[str, ...]]] = {
    "setup": (loads.set_up, ("our", "stock")),
    "talk": (loads.talk, ("our", "stock")),
    "voip": (loads.voip, ("our",)),
    "mix": (loads.mix, ("our",)),
    "idle": (loads.idle, ("our",)),
    "churn": (loads.churn, ("our",)),
    "memory": (loads.memory, ("our",)),
    "loss": (loss.loss, ("our", "stock")),
    "words": (words.words, ("our",)),
}
"""What measures each case, and whose servers."""
NOT_QUICK = ("churn", "memory", "words")


def main() -> None:
    """Parse the arguments; measure one case, or have each measured by a process of its own."""
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.run:
        measure(options)
    names = options.case or [name for name in CASES if not (options.quick and name in NOT_QUICK)]
    began = time.monotonic()
    found: report.Found = {}
    pin(CLIENT_CORE)
    with tempfile.TemporaryDirectory(prefix="bench-media-") as directory:
        Material.make(Path(directory), options.speech)
        for name in names:
            for kind in CASES[name][1]:
                started = time.monotonic()
                found.setdefault(name, {})[kind] = in_a_process(options, name, kind, directory)
                say(options, f"{name} ({kind}): {time.monotonic() - started:.1f} s")
    made = report.rows(found)
    if options.json:
        print(
            json.dumps(
                {"machine": machine(), "quick": options.quick, "cases": found, "rows": report.as_json(made)}
            )
        )
    else:
        print(f"\n{report.table(made)}\n\n{machine()}\n{time.monotonic() - began:.0f} s")
    failed = [
        f"{name} ({kind})" for name, kinds in found.items() for kind in kinds if "failed" in kinds[kind]
    ]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short windows and few calls: under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--case", nargs="+", choices=CASES, help="only these")
    parser.add_argument("--calls", type=int, help="calls to our server, instead of a case's own number")
    parser.add_argument("--seconds", type=float, help="how long memory is watched")
    default = Path(os.environ.get("VOICERTC_TEST_SPEECH", "../shared/speech"))
    parser.add_argument("--speech", type=Path, default=default, help="directory of recordings")
    for hidden in ("--run", "--kind", "--directory"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.speech.is_dir():
        options.speech = None
    return options


def in_a_process(options: argparse.Namespace, name: str, kind: str, directory: str) -> Result:
    """Measure a case in a process that has done nothing else; it and its server end with this one."""
    command = [sys.executable, __file__, "--run", name, "--kind", kind, "--directory", directory]
    command += [f"--{flag}" for flag in ("quick",) if getattr(options, flag)]
    for value in ("calls", "seconds", "speech") if kind == "our" else ("speech",):
        if (given := getattr(options, value)) is not None:
            command += [f"--{value}", str(given)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        output = process.stdout.read()
    finally:
        assert process.stdin
        process.stdin.close()  # where it has not ended, it does
        process.wait()
    if process.returncode:
        return {"failed": process.returncode}
    result: Result = json.loads(output)
    return result


def measure(options: argparse.Namespace) -> None:
    """Measure a case here and end the process; it ends, too, when nobody waits for it any more."""
    threading.Thread(target=end_with_input, daemon=True).start()
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # there is nothing to be tidied up
    pin(CLIENT_CORE)
    case = Case(
        options.kind, options.quick, Path(options.directory), options.speech, options.calls, options.seconds
    )
    # Collecting garbage in the midst of hundreds of calls would be measured as the server's lateness.
    gc.disable()
    status = 0
    try:
        print(json.dumps(asyncio.run(CASES[options.run][0](case))), flush=True)
    except Exception:
        traceback.print_exc()
        status = 1
    # The server is gone; hundreds of clients saying goodbye to nobody would only take time.
    os._exit(status)


def end_with_input() -> None:
    """End the process when its parent has, or wants it to; its server does the same."""
    os.read(0, 1)  # not by sys.stdin, whose lock would be held for ever
    os._exit(1)


def machine() -> str:
    """Return where this was measured."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, load {load:.1f}; Python {platform.python_version()}, "
        f"aiortc {version('aiortc')}, av {version('av')}"
    )


def say(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

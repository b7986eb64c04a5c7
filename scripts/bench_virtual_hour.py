#!/usr/bin/env python3
"""An hour of conversation on the virtual clock: what deciding, hearing and speaking cost without media.

    scripts/bench_virtual_hour.py [--hours 1]

Prints CPU seconds of the core alone (``World``) and of a whole session with fake services (``Line``: 50
frames a second both ways), and what the session's memory grew by between its first tenth and its end.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from itertools import cycle
from pathlib import Path

from voicertc.core.options import ConversationOptions, Phrases
from voicertc.session.session import Session
from voicertc.session.setup import Services, SessionSetup
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector, ScriptedAgent
from voicertc.testing.line import Line
from voicertc.testing.world import World

SPACING = 10.0
"""Seconds from one turn of the user's to the next; every third interrupts."""
STORY = "Once upon a time there was a server that answered the phone. It did so all day long, and liked it."


def turns(seconds: float) -> list[tuple[float, float]]:
    """Return ``(begins, lasts)`` of each of the user's turns."""
    return [(1.0 + SPACING * n - (4.0 if n % 3 == 2 else 0.0), 1.2) for n in range(int(seconds / SPACING))]


def core_alone(seconds: float) -> None:
    """Run the core in its simulated world."""
    world = World(ConversationOptions(phrases=Phrases(greeting=None)), agent=lambda _: STORY)
    for begins, lasts in turns(seconds):
        world.user_says(begins, "tell me a story", lasts=lasts)
    began = time.process_time()
    world.run(until=seconds)
    report("core alone", seconds, time.process_time() - began)


def whole_session(seconds: float) -> None:
    """Run a session with fake services and a simulated caller."""

    async def run() -> None:
        services = Services(
            FakeRecognizer(cycle(["tell me a story"])),
            ScriptedAgent(lambda _: STORY),
            FakeVoice(),
            LoudnessDetector(),
        )
        session = Session(services, SessionSetup(), session_id="sess_bench", id_prefix="")
        line = Line(session, keeps_record=False)
        for begins, lasts in turns(seconds):
            line.says(begins, lasts=lasts)
        await line.run(until=seconds / 10)
        early = resident_mb()
        began = time.process_time()
        await line.run(until=seconds)
        report("whole session", seconds * 0.9, time.process_time() - began)
        print(f"  resident memory grew by {resident_mb() - early:.1f} MB from its first tenth to its end")
        await session.close()

    virtual_time.run(run())


def report(name: str, seconds: float, cpu: float) -> None:
    """Print what it cost."""
    per_second = cpu / seconds * 1000
    print(f"{name}: {seconds / 3600:.2f} h in {cpu:.1f} s CPU, {per_second:.3f} ms per call-second")


def resident_mb() -> float:
    """Return this process's resident memory in MB (Linux)."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Parse the arguments and run both."""
    parser = argparse.ArgumentParser(description="An hour of conversation on the virtual clock.")
    parser.add_argument("--hours", type=float, default=1.0, help="virtual hours (1)")
    seconds = parser.parse_args().hours * 3600
    core_alone(seconds)
    whole_session(seconds)


if __name__ == "__main__":
    main()

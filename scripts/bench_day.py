#!/usr/bin/env python3
"""A day of calls over services that fail again and again, on the virtual clock: is anybody left in silence?

    scripts/bench_day.py [--hours 24] [--lines 3] [--seed 1]

Recognizer, agent and voice are chains of two (``providers/plan_b``, ``agents/fallback``) around port fakes.
Each of the six has fair and foul spells from one seed: it is refused, refuses the key, is busy, hangs before
or in the middle of its work, trickles, crashes with an exception of its own, or gives nothing; then it is
well again. Callers call one after another on several lines at once, say two to eight things (one in ten a
cough, every third into the reply or before it), and hang up when all is quiet or, one in four, at any moment.
The clock jumps from event to event; sound goes both ways in frames of 20 ms all the same.

Asked, all along or at the end: after each turn something is heard within 3 s · every call comes back to
listening · no task, timer, request or place at a gate is left · a provider that is well again is asked
again · memory does not grow between the second tenth and the last. Exit code 1 if any of it is not so.
"""

from __future__ import annotations

import argparse
import sys
import time

from day_bench.day import Day, run
from media_bench.machine import percentiles

MAX_GROWTH_MB = 12.0
"""What the allocator may keep more at the end than in the second tenth."""


def report(day: Day, seconds: float) -> str:
    """Return the figures as text."""
    outcome, (early, late) = day.outcome, day.memory_mb
    waits = percentiles(outcome.waits)
    calls = outcome.seconds / 3600
    return "\n".join(
        (
            f"{day.hours:g} h, {outcome.n_calls} calls of {calls:.1f} h in all, at most {day.most_at_once} "
            f"at once; {seconds:.0f} s of real time",
            f"{outcome.n_turns} turns, {outcome.n_apologies} apologies, {outcome.n_fillers} fillers, "
            f"{outcome.n_interrupted} replies interrupted",
            f"{day.n_spells} foul spells; {sum(day.faults.values())} of {day.n_requests} requests failed: "
            + ", ".join(f"{name} {n}" for name, n in sorted(day.faults.items())),
            f"end of a turn to the next sound at the ear: p50 {waits['p50']:.2f} s, p95 {waits['p95']:.2f}, "
            f"p99 {waits['p99']:.2f}, max {waits['max']:.2f} of {waits['n']:.0f}",
            f"longest time for which a provider that was well was left alone: {day.longest_ban:.0f} s",
            f"memory: {early:.1f} MB in the second tenth, {late:.1f} in the last; "
            f"objects: {day.n_objects[0]}, {day.n_objects[1]}",
        )
    )


def main() -> None:
    """Parse the arguments, run the day, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24.0, help="virtual hours (24)")
    parser.add_argument("--lines", type=int, default=3, help="calls at the same time, at most (3)")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another day (1)")
    options = parser.parse_args()
    began = time.monotonic()
    day = run(options.hours, seed=options.seed, n_lines=options.lines)
    print(report(day, time.monotonic() - began))
    broken = list(day.broken)
    if (growth := day.memory_mb[1] - day.memory_mb[0]) > MAX_GROWTH_MB:
        broken.append(f"memory grew by {growth:.1f} MB")
    print(f"{len(broken)} promises broken" if broken else "every promise kept")
    for each in broken[:40]:
        print(f"  {each}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The matrix stage × fault: what a caller hears when a service fails, and after how long.

    scripts/bench_plan_b.py [--engine NAME …] [--at-once 24] [--verbose]

Each cell is a session of 22 s in real time with the real adapter of one engine, talking to a strict local
fake of the service that is broken in one way; recognizer, agent and voice beside it work. The caller asks
once while it is broken, the service is mended, the caller asks again. Every fault is tried alone, and with
another provider of the stage behind it. Times count from the end of the turn (0.5 s after the last sound of
it) to the first sound that is handed out for the caller. Cells run side by side: a loaded machine makes them
later.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import sys

from plan_b_bench.cells import KEY, Heard, Row, cells_of, run_all
from plan_b_bench.faults import TROUBLES

PROMISE = 3.0
"""Seconds to the first sound."""


def main() -> None:
    """Parse the arguments, run the matrix, print it; fail if a promise was broken."""
    parser = argparse.ArgumentParser(description="What a caller hears when a service fails.")
    parser.add_argument("--engine", action="append", choices=sorted(TROUBLES), help="these only (all)")
    parser.add_argument("--at-once", type=int, default=24, help="cells side by side (24)")
    parser.add_argument("--verbose", action="store_true", help="show the log")
    options = parser.parse_args()
    log = io.StringIO()
    handlers: list[logging.Handler] = [logging.StreamHandler(log)]
    if options.verbose:
        handlers.append(logging.StreamHandler())
    logging.basicConfig(level=logging.DEBUG, handlers=handlers)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    engines = options.engine or sorted(TROUBLES)
    cells = cells_of(engines)
    rows = asyncio.run(run_all(cells, options.at_once, lambda _: print(".", end="", flush=True)))
    print()
    for row in rows:
        print(_text(row))
    sys.exit(_judge(rows, log.getvalue()))


def _text(row: Row) -> str:
    plan = "plan B" if row.cell.has_fallback else "alone "
    name = f"{row.cell.engine:16} {row.cell.trouble.name:26} {plan}"
    return f"{name}  {_heard(row.first)}   then {_heard(row.second)}"


def _heard(heard: Heard) -> str:
    after = "  –  " if heard.after is None else f"{heard.after:4.2f}s"
    return f"{after} {heard.kind:8} {' '.join(heard.words)[:60]!r:62}"


def _judge(rows: list[Row], log: str) -> int:
    """Print the sums; return how many promises were broken."""
    waits = sorted(row.first.after for row in rows if row.first.after is not None)
    silent = [row for row in rows if row.first.kind == "nothing" or row.second.kind == "nothing"]
    late = [row for row in rows if row.first.after is None or row.first.after > PROMISE]
    shown = KEY in log or any(KEY in row.told for row in rows)
    answered = sum(row.first.kind == "answer" for row in rows)
    seen = "SEEN" if shown else "never seen"
    backed = [row for row in rows if row.cell.has_fallback]
    print(
        f"\n{len(rows)} cells: {answered} answered, {len(rows) - answered - len(silent)} apologized, "
        f"{len(silent)} with a turn that got nothing, {len(late)} later than {PROMISE:g} s; first sound p50 "
        f"{waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s; the key was {seen}"
    )
    print(f"with plan B: {sum(row.first.kind == 'answer' for row in backed)} of {len(backed)} answered")
    for row in {*silent, *late}:
        print(f"  broken promise: {_text(row)}")
    return len(silent) + len(late) + shown


if __name__ == "__main__":
    main()

"""What callers waited, and what the server says of it: the figures of ``scripts/bench_latency.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from media_bench.machine import percentiles

from voicertc.core.options import TurnDetection

from .judging import STAGES, Turn
from .report import added
from .talking import Held

ADDED_MS = (40, 60)
"""p50 and p95 that are asked of what the server adds."""
HEARD_MS = 800
"""p50 that is asked with realistic services."""
AGREEMENT_MS = 20
"""By how much the server's total and the caller's may differ."""

Spread = dict[str, float]
"""p50, p95, p99, max and n."""


@dataclass(frozen=True, slots=True)
class Told:
    """Figures in ms. ``critical_path``: the services'. ``stages``: medians of the server's waterfall.

    ``difference``: the server's total minus the caller's wait, of each turn; ``difference_of_end``: the part
    of it that is about when speech ended and the turn was over, ``difference_of_rest``: from there on.
    """

    n_turns: int
    n_failed: int
    n_cut_in: int
    n_skipped: int
    failures: list[str]
    critical_path: float
    wait: Spread
    added: Spread
    stages: Spread
    difference: Spread
    difference_of_end: Spread
    difference_of_rest: Spread


def told(held: Held, critical_path: float) -> Told:
    """Return what came of some calls whose services take ``critical_path`` seconds."""
    turns = held.turns
    both = [turn for turn in turns if turn.wait is not None and turn.stages is not None]
    ends = [turn for turn in both if turn.decided is not None]
    failures = [turn.failure for turn in turns if turn.failure is not None] + held.failures
    return Told(
        len(turns),
        len(failures),
        sum(turn.cut_in for turn in turns),
        held.skipped,
        failures,
        1000 * critical_path,
        percentiles((turn.wait for turn in turns if turn.wait is not None), 1000),
        percentiles(added(turns, critical_path), 1000),
        _medians(both),
        percentiles((_total(turn) - (turn.wait or 0.0) for turn in both), 1000),
        percentiles((_silence(turn) - (turn.decided or 0.0) for turn in ends), 1000),
        percentiles((_rest(turn) for turn in ends), 1000),
    )


def table(told: Told, *, is_realistic: bool) -> list[str]:
    """Return it as lines for people."""
    lines = [f"{told.n_turns} turns, {told.n_failed} failed, {told.n_cut_in} cut in"]
    lines += [f"FAILED: {failure}" for failure in told.failures[:5]]
    if told.n_skipped:
        lines.append(
            f"WARNING: {told.n_skipped} packets were sent too late: these are this machine's figures"
        )
    if not told.wait.get("n"):
        return [*lines, "nothing was heard"]
    heard = f"end of speech to heard: {_spread(told.wait)}"
    silence = 1000 * TurnDetection().silence
    beyond = (
        f"beyond services ({told.critical_path:.0f} ms) and silence ({silence:.0f} ms): {_spread(told.added)}"
    )
    if is_realistic:
        lines += [f"{heard} (p50 < {HEARD_MS} asked: {_met(told.wait['p50'] < HEARD_MS)})", beyond]
    else:
        p50, p95 = ADDED_MS
        is_met = told.added["p50"] <= p50 and told.added["p95"] <= p95
        lines += [heard, f"{beyond} (p50 <= {p50}, p95 <= {p95} asked: {_met(is_met)})"]
    return [*lines, *_waterfall(told)]


def _waterfall(told: Told) -> list[str]:
    n = int(told.difference.get("n", 0))
    if not n:
        return ["the server told no waterfall"]
    stages = " · ".join(f"{name.removesuffix('_ms')} {told.stages[name]:.0f}" for name in STAGES)
    median = told.difference["p50"]
    end, rest = told.difference_of_end.get("p50", 0.0), told.difference_of_rest.get("p50", 0.0)
    return [
        f"the server's own account of {n} turns, medians: {stages}; {told.stages['total']:.0f} in all",
        f"its total minus the caller's wait: median {median:+.0f} ms (at most {AGREEMENT_MS} asked: "
        f"{_met(abs(median) <= AGREEMENT_MS)}), 95 % below {told.difference['p95']:+.0f}",
        f"  of it about when speech ended, found or labelled: {end:+.0f}; behind the turn's end: {rest:+.0f}",
    ]


def _medians(turns: Sequence[Turn]) -> Spread:
    if not turns:
        return {}
    found = {
        name: 1000 * float(np.median([turn.stages[name] for turn in turns if turn.stages])) for name in STAGES
    }
    return found | {"total": 1000 * float(np.median([_total(turn) for turn in turns]))}


def _total(turn: Turn) -> float:
    return sum((turn.stages or {}).values())


def _silence(turn: Turn) -> float:
    return (turn.stages or {})["silence_ms"]


def _rest(turn: Turn) -> float:
    """Return by how much the two differ about what lies behind the decision that the turn is over."""
    return (_total(turn) - _silence(turn)) - ((turn.wait or 0.0) - (turn.decided or 0.0))


def _spread(spread: Spread) -> str:
    p50, p95, most, n = (spread[name] for name in ("p50", "p95", "max", "n"))
    return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, max {most:.0f} of {n:.0f}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "MISSED"

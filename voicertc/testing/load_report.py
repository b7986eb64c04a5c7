"""The figures of a load test as a table for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .load import Call, LoadReport


@dataclass(frozen=True, slots=True)
class Spread:
    """How a figure is spread: median, 95th percentile, greatest."""

    n: int
    p50: float
    p95: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Return the spread of some values, ``None`` if there are none."""
        if not values:
            return None
        p50, p95 = np.percentile(values, (50, 95))
        return cls(len(values), float(p50), float(p95), max(values))


def figures(calls: Sequence[Call]) -> dict[str, Spread | None]:
    """Return what was measured over some calls, by name; milliseconds but for those named otherwise."""
    turns = [turn for call in calls for turn in call.turns]
    return {
        "setup_ms": _in_ms([call.setup for call in calls]),
        "voice_to_voice_ms": _in_ms([turn.voice_to_voice for turn in turns]),
        "barge_in_stop_ms": _in_ms([turn.stop for turn in turns]),
        "gap_ms": _in_ms([gap for turn in turns for gap in turn.gaps]),
        "packets_lost": Spread.of([float(call.n_lost) for call in calls]),
    }


def to_json(report: LoadReport) -> dict[str, Any]:
    """Return the report as JSON values: figures in total, and for each call."""
    turns = [turn for call in report.calls for turn in call.turns]
    in_calls = sum(turn.reply for turn in turns)
    return {
        "calls": len(report.calls),
        "failed": len(report.failed),
        "turns": len(turns),
        "cut_in": sum(turn.cut_in for turn in turns),
        "gaps": sum(len(turn.gaps) for turn in turns),
        "reply_seconds": round(in_calls, 3),
        "packets_received": sum(call.n_received for call in report.calls),
        "packets_lost": sum(call.n_lost for call in report.calls),
        "elapsed_s": round(report.elapsed, 3),
        "client_cpu_s": round(report.cpu, 3),
        "client_skipped_packets": sum(call.skipped for call in report.calls),
        "total": {name: _spread_json(spread) for name, spread in figures(report.calls).items()},
        "per_call": [_call_json(call) for call in report.calls],
    }


def to_table(report: LoadReport, *, per_call: bool = True) -> str:
    """Return the report as text of at most 100 columns."""
    lines = []
    if per_call:
        lines += [_HEAD, *(_call_line(call) for call in report.calls), ""]
    lines.append(f"{'':<20}{'n':>6}{'p50':>9}{'p95':>9}{'max':>9}")
    for name, spread in figures(report.calls).items():
        if spread is not None:
            lines.append(f"{name:<20}{spread.n:>6}{spread.p50:>9.0f}{spread.p95:>9.0f}{spread.max:>9.0f}")
    total = to_json(report)
    n_packets = total["packets_lost"] + total["packets_received"]
    lines += [
        "",
        f"{total['calls']} calls, {total['failed']} failed; {total['turns']} turns, {total['cut_in']} cut in",
        f"{total['gaps']} gaps in {total['reply_seconds']:.1f} s of replies; "
        f"{total['packets_lost']} of {n_packets} packets lost",
        f"this program: {report.elapsed:.1f} s, CPU {report.cpu:.1f} s",
    ]
    if skipped := total["client_skipped_packets"]:
        lines.append(
            f"WARNING: {skipped} packets were sent too late: the figures show this machine's own load"
        )
    lines += [f"FAILED {call.name}: {call.error}" for call in report.failed]
    return "\n".join(lines)


_HEAD = f"{'call':<10}{'setup':>8}{'turns':>7}{'v2v p50':>9}{'max':>7}{'stop p50':>10}{'gaps':>6}{'lost':>6}"


def _call_line(call: Call) -> str:
    latency = _in_ms([turn.voice_to_voice for turn in call.turns])
    stop = _in_ms([turn.stop for turn in call.turns])
    cells = (
        f"{call.name:<10}",
        f"{_cell(call.setup and call.setup * 1000):>8}",
        f"{len(call.turns):>7}",
        f"{_cell(latency.p50 if latency else None):>9}",
        f"{_cell(latency.max if latency else None):>7}",
        f"{_cell(stop.p50 if stop else None):>10}",
        f"{sum(len(turn.gaps) for turn in call.turns):>6}",
        f"{call.n_lost:>6}",
        "  FAILED" if call.error else "",
    )
    return "".join(cells)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _call_json(call: Call) -> dict[str, Any]:
    return {
        "name": call.name,
        "error": call.error,
        "setup_ms": _ms(call.setup),
        "packets_received": call.n_received,
        "packets_lost": call.n_lost,
        "turns": [
            {
                "voice_to_voice_ms": _ms(turn.voice_to_voice),
                "cut_in": turn.cut_in,
                "barge_in_stop_ms": _ms(turn.stop),
                "reply_s": round(turn.reply, 3),
                "gaps_ms": [_ms(gap) for gap in turn.gaps],
            }
            for turn in call.turns
        ],
    }


def _spread_json(spread: Spread | None) -> dict[str, float] | None:
    if spread is None:
        return None
    return {
        "n": spread.n,
        "p50": round(spread.p50, 1),
        "p95": round(spread.p95, 1),
        "max": round(spread.max, 1),
    }


def _in_ms(seconds: Sequence[float | None]) -> Spread | None:
    return Spread.of([value * 1000 for value in seconds if value is not None])


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)

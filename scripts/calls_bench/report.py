"""Figures of whole calls for people, and when a number of calls was too many."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from media_bench.machine import percentiles

from voicertc.core.options import TurnDetection

from .judging import Turn
from .talking import Loaded

MAX_HOLES = 0.01
"""Part of the replies' sound that may have holes."""
MIN_CALLS = 60
MAX_MEMORY_MB = 2.0
HEAD = (
    f"{'calls':>5}{'turns':>7}{'added p50':>11}{'p95':>7}{'wait p95':>10}{'holes':>8}{'failed':>8}"
    f"{'cut in':>8}{'server':>8}{'others':>8}{'clients':>9}{'fake':>6}{'late':>7}{'ms/s':>7}"
    f"{'idle':>6}{'MB':>6}{'talk':>11}"
)


@dataclass(frozen=True, slots=True)
class Step:
    """A number of calls and how they fared. Times are ms; CPU is a part of one core.

    ``wait_p95`` is the caller's whole wait; added times are less than nothing where an answer was prepared
    before the silence was over.
    """

    n_calls: int
    n_turns: int
    added_p50: float
    added_p95: float
    wait_p95: float
    holes: float
    n_failed: int
    n_cut_in: int
    server: float
    main_thread: float
    others: float
    clients: float
    fake: float
    late: float
    skipped: int
    cpu_ms: float
    idle_cpu_ms: float
    memory_mb: float
    user_share: float
    agent_share: float

    @classmethod
    def of(cls, loaded: Loaded, critical_path: float) -> Step:
        """Return what came of some calls whose services take ``critical_path`` seconds."""
        turns, talking = loaded.held.turns, loaded.talking
        spread = percentiles(added(turns, critical_path), 1000)
        reply = sum(turn.reply for turn in turns)
        n_calls, seconds = loaded.held.n_calls, talking.seconds * loaded.held.n_calls
        return cls(
            n_calls,
            len(turns),
            spread.get("p50", float("nan")),
            spread.get("p95", float("nan")),
            spread.get("p95", float("nan")) + 1000 * (critical_path + TurnDetection().silence),
            sum(sum(turn.holes) for turn in turns) / max(reply, 0.001),
            sum(turn.failure is not None for turn in turns) + len(loaded.held.failures),
            sum(turn.cut_in for turn in turns),
            talking.server,
            talking.main_thread,
            talking.others,
            talking.clients,
            talking.fake,
            talking.late_ms,
            loaded.held.skipped,
            1000 * talking.server / n_calls,
            1000 * loaded.idle.server / n_calls,
            loaded.memory_mb,
            sum(turn.speech for turn in turns) / seconds,
            reply / seconds,
        )

    def line(self) -> str:
        """Return it as a line below ``HEAD``."""
        talk = f"{self.user_share:.0%}+{self.agent_share:.0%}"
        return (
            f"{self.n_calls:>5}{self.n_turns:>7}{self.added_p50:>11.0f}{self.added_p95:>7.0f}{self.wait_p95:>10.0f}{self.holes:>8.2%}"
            f"{self.n_failed:>8}{self.n_cut_in:>8}{self.server:>8.0%}{self.others:>8.0%}{self.clients:>9.0%}"
            f"{self.fake:>6.0%}{self.late:>7.1f}{self.cpu_ms:>7.2f}{self.idle_cpu_ms:>6.2f}{self.memory_mb:>6.2f}"
            f"{talk:>11}"
        )

    def faults(self, first: Step) -> list[str]:
        """Return why these were too many calls, against what one fared like."""
        found = []
        if self.wait_p95 > 2 * first.wait_p95 and self.n_calls > first.n_calls:
            found.append(
                f"p95 {self.wait_p95:.0f} ms, twice that of {first.n_calls} is {2 * first.wait_p95:.0f}"
            )
        if self.holes > MAX_HOLES:
            found.append(f"{self.holes:.1%} of the sound has holes")
        if self.n_failed:
            found.append(f"{self.n_failed} failed")
        if found and (self.clients + self.fake > 0.9 or self.skipped):
            found.append("which may be the clients' own load")
        return found

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def added(turns: Sequence[Turn], critical_path: float) -> list[float]:
    """Return what the server added to each turn, in seconds: beyond services and the silence that ends it."""
    silence = TurnDetection().silence
    return [turn.wait - silence - critical_path for turn in turns if turn.wait is not None]


def verdict(steps: Sequence[Step]) -> str:
    """Return how many calls are well, beside what is asked."""
    well = [step for step in steps if not step.faults(steps[0])]
    if not well:
        return "not even one call is well"
    best = max(well, key=lambda step: step.n_calls)
    is_end = best is steps[-1]
    calls = f"calls per core: {'at least ' if is_end else ''}{best.n_calls} ({MIN_CALLS} asked"
    is_met = "not tried" if is_end and best.n_calls < MIN_CALLS else _met(best.n_calls >= MIN_CALLS)
    memory = f"memory per call: {best.memory_mb:.2f} MB ({MAX_MEMORY_MB:g} asked"
    return (
        f"{calls}, {is_met})\n"
        f"{memory}, {_met(best.memory_mb <= MAX_MEMORY_MB)}); measured on {best.n_calls} calls\n"
        f"CPU per call-second: {best.cpu_ms:.2f} ms, {best.idle_cpu_ms:.2f} for a call that is silent; "
        f"{1000 * best.main_thread / best.n_calls:.2f} of it in the event loop's thread"
    )


def parts_table(shares: Mapping[str, float], step: Step) -> str:
    """Return what each part takes, in ms of CPU for each second of a call."""
    lines = [f"\nCPU per call-second by part at {step.n_calls} calls, {step.cpu_ms:.2f} ms in all (sampled)"]
    for part, ms in sorted(shares.items(), key=lambda item: -item[1]):
        lines.append(f"  {part:<40}{ms:>7.3f} ms{ms / step.cpu_ms:>7.1%}")
    return "\n".join(lines)


def machine() -> str:
    """Return where this was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{(models or [platform.machine()])[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, aiortc {version('aiortc')}"
    )


def _met(is_met: bool) -> str:
    return "met" if is_met else "MISSED"

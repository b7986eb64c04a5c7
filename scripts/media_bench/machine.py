"""What is asked of the machine: cores, CPU time and memory of another process, percentiles."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

SERVER_CORE, CLIENT_CORE = 0, 1


def pin(core: int) -> None:
    """Run on one core only, where that can be chosen; what is started from here inherits it."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


def relax() -> None:
    """Run on any core, at the usual priority, for work that has time."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def cpu_time(pid: int) -> float:
    """Return the seconds of CPU that all threads of a process have taken, also those that ended.

    That is what ``/proc/{pid}/stat`` has, in nanoseconds instead of hundredths of a second: Linux has a clock
    for each process (``clock_getcpuclockid``), whose number the C library makes of the pid like this.
    """
    return time.clock_gettime((~pid << 3) | 2)


def busy_time(core: int) -> float:
    """Return the seconds for which a core was not idle since the machine started, whoever kept it busy."""
    ticks_hz = os.sysconf("SC_CLK_TCK")
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *counts = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _waiting, *more = map(int, counts[:8])
            return (user + nice + system + sum(more)) / ticks_hz
    raise ValueError(f"there is no core {core}")


def memory_mb(pid: int) -> float:
    """Return the MB of a process that are its own: what it wrote to, without the libraries it shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(r"^Anonymous:\s+(\d+) kB", text, re.MULTILINE)
    assert found, "Linux has a line Anonymous"
    return int(found[1]) / 1024


def percentiles(values: Iterable[float], scale: float = 1.0, digits: int = 2) -> dict[str, float]:
    """Return p50, p95, p99, max and number of the values times ``scale``; nothing of none."""
    array = np.sort(np.fromiter(values, float)) * scale
    if not len(array):
        return {"n": 0}
    points = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(array, point)), digits) for name, point in points.items()} | {
        "n": len(array)
    }

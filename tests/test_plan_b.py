"""Every fault of every engine: what a caller hears is an answer or an apology, and the next turn is answered.

The matrix itself, with its times, is printed by ``scripts/bench_plan_b.py``; when speech is due is tested on
the virtual clock (``tests/core/test_promise.py``). Here nothing is timed.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from plan_b_bench.cells import KEY, Cell, Row, cells_of, run_all
from plan_b_bench.faults import TROUBLES

AT_ONCE, AGAIN = 60, 8
"""Calls side by side: more would make the machine late, and a late service is another fault.

So it is if others keep the machine busy; what went wrong is tried again with less company.
"""
UNREACHABLE = ("unknown host", "TLS failure")
"""What cannot be mended while the server runs."""
STARTED = ("mid-stream", "no words", "answers instead", "slow trickle", "odd-length PCM", "rewords")
"""Faults that show when something was heard already, or that nobody can tell from a real answer."""

CELLS = cells_of(TROUBLES)


@pytest.fixture(scope="module")
def matrix() -> tuple[dict[str, Row], str]:
    """All rows by name, and all that was logged, at every level."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.getMessage()} {record.__dict__} {record.exc_info}")

    root, keep = logging.getLogger(), Keep()
    level = root.level
    root.addHandler(keep)
    root.setLevel(logging.DEBUG)
    try:
        rows = {row.cell.name: row for row in asyncio.run(run_all(CELLS, AT_ONCE, lambda _: None))}
        wrong = [row.cell for row in rows.values() if not is_as_promised(row)]
        rows |= {row.cell.name: row for row in asyncio.run(run_all(wrong, AGAIN, lambda _: None))}
    finally:
        root.removeHandler(keep)
        root.setLevel(level)
    return rows, "\n".join(lines)


def first_kinds(cell: Cell) -> tuple[str, ...]:
    """Return what a caller may hear while the service is broken."""
    is_noticed_at_once = not any(name in cell.trouble.name for name in STARTED)
    return ("answer",) if cell.has_fallback and is_noticed_at_once else ("answer", "apology")


def second_kind(cell: Cell) -> str:
    """Return what a caller must hear once the service is mended."""
    return "apology" if cell.trouble.name in UNREACHABLE and not cell.has_fallback else "answer"


def is_as_promised(row: Row) -> bool:
    """Return whether a row needs no second look."""
    is_heard = row.first.after is not None and row.first.kind in first_kinds(row.cell)
    return is_heard and row.second.kind == second_kind(row.cell)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_caller_hears_an_answer_or_an_apology(matrix: tuple[dict[str, Row], str], cell: Cell) -> None:
    row = matrix[0][cell.name]
    assert row.first.after is not None
    assert row.first.kind in first_kinds(cell)
    assert row.second.kind == second_kind(cell)
    assert KEY not in row.told


def test_the_key_is_nowhere_in_the_log(matrix: tuple[dict[str, Row], str]) -> None:
    assert matrix[1]
    assert KEY not in matrix[1]

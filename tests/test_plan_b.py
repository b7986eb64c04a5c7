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

AT_ONCE = 60
"""Calls side by side: more would make the machine late, and a late service is another fault."""
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
        rows = asyncio.run(run_all(CELLS, AT_ONCE, lambda _: None))
    finally:
        root.removeHandler(keep)
        root.setLevel(level)
    return {row.cell.name: row for row in rows}, "\n".join(lines)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_caller_hears_an_answer_or_an_apology(matrix: tuple[dict[str, Row], str], cell: Cell) -> None:
    row = matrix[0][cell.name]
    assert row.first.after is not None
    assert row.first.kind in ("answer", "apology")
    assert row.second.kind == (
        "apology" if cell.trouble.name in UNREACHABLE and not cell.has_fallback else "answer"
    )
    assert KEY not in row.told
    # Speech to speech is replaced as a whole, by then without the turn's words.
    is_backed = cell.has_fallback and cell.stage != "speech"
    if is_backed and not any(name in cell.trouble.name for name in STARTED):
        assert row.first.kind == "answer"


def test_the_key_is_nowhere_in_the_log(matrix: tuple[dict[str, Row], str]) -> None:
    assert matrix[1]
    assert KEY not in matrix[1]

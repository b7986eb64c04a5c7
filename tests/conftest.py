"""What all tests share: where the speech clips are, and that nothing is skipped unnoticed."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

ALLOWED_SKIPS: tuple[str, ...] = ()
"""Beginnings of the reasons for which a test may be skipped in CI; each entry says why. None so far."""


@pytest.fixture(scope="session")
def speech_dir() -> Path:
    """The directory with clips of human speech and ``manifest.json``; they are not part of the repository."""
    path = Path(os.environ.get("VOICERTC_TEST_SPEECH", REPOSITORY.parent / "shared" / "speech"))
    if not (path / "manifest.json").is_file():
        pytest.skip(f"no speech clips in {path}: set VOICERTC_TEST_SPEECH to the directory that holds them")
    return path


@pytest.fixture(scope="session", autouse=True)
def own_temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files, also of child processes, go where pytest clears up: crashed sessions leave some."""
    path = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", path)
        patch.setattr(tempfile, "tempdir", path)
        yield


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Put back what ``logs.setup`` changes in this process."""
    names = (None, "voicertc", "voicertc.audio_events")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers[:]
    yield
    logging.captureWarnings(False)
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _without_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _without_skip((yield))


def _without_skip(report: Report) -> Report:
    """In CI a skipped test, or a file skipped as a whole, has failed: what it needs has to be installed."""
    is_skip = report.skipped and not hasattr(report, "wasxfail")
    if is_skip and os.environ.get("CI") == "true":
        assert isinstance(report.longrepr, tuple)  # (file, line, reason), as for every skip
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, where every test has to run: {reason}"
    return report

"""A running server for the browser's tests, and what they need of the machine."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from .media_call import EXECUTABLES
from .server import Server

HERE = Path(__file__).parent
TIME_LIMIT = 120
"""Seconds for any one test: the longest call lasts half a minute, on a machine that does nothing else."""


@pytest.fixture(scope="session", autouse=True)
def _needs() -> None:
    """Name what is missing."""
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    needed = ("node", "flite", "pulseaudio", chromium, EXECUTABLES["firefox"])
    missing = [command for command in needed if not shutil.which(command)]
    if missing:
        pytest.skip(f"the browser tests need {', '.join(missing)}: scripts/test installs them")
    if not (HERE / "node_modules" / "puppeteer-core").is_dir():
        pytest.skip(f"the browser tests need puppeteer-core: run `npm ci --prefix {HERE}`")


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    def give_up(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took longer than {TIME_LIMIT} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TIME_LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that most tests share; it greets briefly, so that they need not wait."""
    with Server(tmp_path_factory.mktemp("server") / "log", "agent.greeting=Hello.") as running:
        yield running

"""One server for all, what the clients need of the machine, and recordings of people."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from voicertc.audio.pcm import Samples

from . import page
from .server import Server
from .speech import said

HERE = Path(__file__).parent
TIME_LIMIT = 90
"""Seconds for any one test."""


@pytest.fixture(scope="session")
def node() -> None:
    """Name what is missing of Node."""
    if not shutil.which("node"):
        pytest.skip("the clients in Node need node: scripts/test installs it")
    if not (HERE / "node_modules" / "@openai").is_dir():
        pytest.skip(f"the clients are not installed: run `npm ci --prefix {HERE}`")


@pytest.fixture(scope="session")
def chromium(node: None) -> None:
    """Name what is missing of Chromium."""
    if not shutil.which(os.environ.get("CHROMIUM", "/usr/bin/chromium")):
        pytest.skip("the clients in a browser need chromium: scripts/test installs it")
    driver = HERE.parent / "browser"
    if not (driver / "node_modules" / "puppeteer-core").is_dir():
        pytest.skip(f"the clients in a browser need puppeteer-core: run `npm ci --prefix {driver}`")


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
    """The server that all tests share."""
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def pages(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the applications' pages."""
    with page.pages(tmp_path_factory.mktemp("pages")) as url:
        yield url


@pytest.fixture(scope="session")
def speech(speech_dir: Path) -> Callable[[str], Samples]:
    """Returns what people say, ``(n,)`` int16 mono at 24 kHz."""
    return lambda words: said(words, speech_dir)

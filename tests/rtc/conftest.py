"""What tests of hostile clients have in common: nothing may hold the loop, and nobody has to act."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

LONGEST = 0.5
"""Seconds of CPU for one step of the loop: of hostile packets none takes 0.02, and making a tone 0.1."""
EXPECTED = {"datagram_refused", "sctp_refused"}
"""Warnings that a client which means harm may cause, once for each of its calls."""
N_WARNINGS = 8
"""More calls than that no test has."""


@pytest.fixture
def no_endless_loop() -> Iterator[None]:
    """What holds the loop for good also holds any timeout of asyncio's."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError("the event loop was held")

    former = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


@pytest.fixture
def nobody_holds_the_loop(no_endless_loop: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """CPU time, not wall time: what this machine does besides does not count."""
    run = asyncio.Handle._run
    longest = 0.0

    def timed(handle: asyncio.Handle) -> None:
        nonlocal longest
        began = time.thread_time()
        run(handle)
        longest = max(longest, time.thread_time() - began)

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    yield
    assert longest < LONGEST


@pytest.fixture
def nobody_has_to_act(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is an ERROR, and of warnings each insider causes few."""
    yield
    gc.collect()  # of tasks that failed unheard
    told = Counter(
        (record.levelname, record.getMessage())
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING
    )
    assert set(told) <= {("WARNING", message) for message in EXPECTED}, told
    assert max(told.values(), default=0) <= N_WARNINGS


@pytest.fixture
def no_records() -> Iterator[None]:
    """pytest keeps all that is logged, and tracebacks hold whole calls."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)

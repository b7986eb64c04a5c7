"""A pool of child processes for engines that cannot run in the server: they hold the GIL, crash, or are GPL.

    provider ── lease() ──> Lease ──> Worker ── pipes ──> child: worker_main, engine
                              ^          │ one task per worker for the pool's whole life:
                              └─ inbox <─┘ it starts the child, reads it, and starts it again when it has died

A worker serves one request at a time. It is free again as soon as the last message of an answer has
*arrived*, however slowly the answer is consumed: a voice that is a thousand times faster than speech serves
many calls. A lease that ends before its answer cancels it; the worker is free when the child has confirmed,
and is killed when it does not confirm in time. So nothing of one request reaches the next, and a crash costs
one request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderUnavailable
from ..logs import event
from .worker_process import Lease, Worker

__all__ = ["Lease", "PoolOptions", "WorkerPool"]

_log = logging.getLogger(__name__)

_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """How many workers, and how long anything may take (seconds)."""

    workers: int = 2
    """Child processes, and so requests at the same time."""
    wait: float = 2.0
    """How long a caller may wait for a free worker: a later answer would come after the apology."""
    deadline: float = 5.0
    """Until the next message of an answer that is due; a worker that misses it is killed."""
    load_deadline: float = 20.0
    """From the start of a child until its engine is ready; a small, busy machine needs 5."""
    reset_deadline: float = 1.0
    """Until a worker has given up a cancelled request; one that has not is killed."""
    first_pause: float = 0.1
    """Before a dead worker is started again; doubled each time it dies young."""
    longest_pause: float = 30.0
    """Where the doubling ends: a repair by hand should be noticed soon."""


class WorkerPool:
    """The workers of one provider. ``engine``: its ``module:name``; ``load``: its options."""

    def __init__(self, provider: str, engine: str, options: PoolOptions, load: Mapping[str, object]) -> None:
        self.provider = provider
        self.options = options
        self.restarts = 0
        """How many times a worker was started again."""
        self._engine = engine
        self._load = load
        self._free: asyncio.Queue[Worker | None] = (
            asyncio.Queue()
        )  # as long as there are workers, and one None
        self._workers: dict[str, Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[Mapping[str, Any]] | None = None
        self._requests = 0

    @property
    def n_alive(self) -> int:
        """Workers whose engine is loaded."""
        return sum(worker.is_loaded and worker.is_alive for worker in self._workers.values())

    @property
    def n_free(self) -> int:
        """Workers that could take a request now."""
        return self._free.qsize()

    async def start(self) -> Mapping[str, Any]:
        """Start all workers; return the engine's facts as soon as the first is ready.

        Raises ``ProviderUnavailable``: the engine cannot be loaded.
        """
        assert not self._keepers, "a pool is started once"
        self._ready = asyncio.get_running_loop().create_future()
        for number in range(self.options.workers):
            name = f"{self.provider}-{number}"
            self._keepers.append(asyncio.create_task(self._keep(name), name=f"{name}/reader"))
        try:
            return await self._ready
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End all workers within a second; a request that is on its way fails. May be called twice."""
        keepers, self._keepers = self._keepers, []
        for keeper in keepers:
            keeper.cancel()
        self._free.put_nowait(None)
        await asyncio.gather(*keepers, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncGenerator[Lease, None]:
        """Lease a worker for one request.

        Raises ``ProviderBusy`` when none is free in time, ``ProviderCrashed`` when all are down.
        """
        worker = await self._free_worker()
        self._requests += 1
        lease = worker.begin(self._requests, self.options.deadline)
        try:
            yield lease
        finally:
            worker.give_back(lease, self.options.reset_deadline)

    async def _free_worker(self) -> Worker:
        try:
            async with asyncio.timeout(self.options.wait):
                while self._keepers:
                    worker = await self._free.get()
                    if worker is not None and worker.is_alive:
                        return worker
                    # Else it died while it was free, or the pool was closed.
        except TimeoutError as error:
            raise self._none_free() from error
        self._free.put_nowait(None)  # for the next who waits
        raise ProviderUnavailable("it is not running", provider=self.provider, fix="start it before use")

    def _none_free(self) -> ProviderError:
        if not self.n_alive:
            return ProviderCrashed("its workers are down and being started again", provider=self.provider)
        busy = f"no worker was free within {self.options.wait:g} s ({self.n_alive} are taken)"
        return ProviderBusy(busy, provider=self.provider)

    async def _keep(self, name: str) -> None:
        """Keep one worker alive; ends by cancellation only."""
        now = asyncio.get_running_loop().time
        pause = self.options.first_pause
        while True:
            began = now()
            try:
                await self._live(name)
            except (ProviderError, OSError, TimeoutError) as error:
                self._could_not_load(name, error)
            if now() - began > self.options.longest_pause:
                pause = self.options.first_pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, self.options.longest_pause)
            self.restarts += 1

    async def _live(self, name: str) -> None:
        """One child's life. Raises what kept it from loading."""
        worker = Worker(await _spawn(self._engine), name, self.provider, self._free.put_nowait)
        self._workers[name] = worker
        try:
            async with asyncio.timeout(self.options.load_deadline):
                facts = await worker.load(self._load)
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(facts)
            self._free.put_nowait(worker)
            await worker.run()
        finally:
            await _completed(asyncio.create_task(worker.end(), name=f"{name}/end"))
            del self._workers[name]
        event(_log, logging.WARNING, "worker_ended", worker=name, reason=worker.obituary)

    def _could_not_load(self, name: str, error: ProviderError | OSError | TimeoutError) -> None:
        """Fatal while the pool starts; later only logged, and tried again."""
        if isinstance(error, TimeoutError):
            error = OSError(f"its engine was not loaded within {self.options.load_deadline:g} s")
        if not isinstance(error, ProviderUnavailable):
            fix = "see the debug log for what it wrote before it ended"
            error = ProviderUnavailable(f"{name} cannot start: {error}", provider=self.provider, fix=fix)
        event(_log, logging.WARNING, "worker_unavailable", worker=name, reason=error.message)
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)


async def _completed(task: asyncio.Task[None]) -> None:
    """Wait for ``task``; a cancellation waits for it too: a pool may be closed while a worker is ending."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _spawn(engine: str) -> asyncio.subprocess.Process:
    """Start a child for ``engine``, ``module:name``. Raises ``OSError`` if the machine cannot."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # no file of the working directory takes the place of one of our modules
        "-m",
        "voicertc.providers.worker_main",
        engine,
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
        start_new_session=True,  # a Ctrl-C in the terminal is the server's to handle
    )


def _environment() -> dict[str, str]:
    """Ours, with the paths our modules came from and without secrets: an engine needs no keys."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not any(word in name.upper() for word in _SECRET_WORDS)
    }
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

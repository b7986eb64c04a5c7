"""A server in a process of its own, from its parent's side: started, asked, measured, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from .machine import cpu_time, memory_mb

SCRIPTS = Path(__file__).resolve().parent.parent
DEADLINE = 60.0
"""Seconds for one answer."""


class Server:
    """``kind`` is ``our`` or ``stock``. Questions may be asked side by side."""

    def __init__(self, kind: str, process: asyncio.subprocess.Process, directory: Path) -> None:
        self.kind = kind
        self.directory = directory
        self.pid = process.pid
        self._process = process
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._n_asked = 0
        self._reading = asyncio.create_task(self._read())

    async def ask(self, what: str, **fields: object) -> Any:
        """Ask for something and return the answer."""
        assert self._process.stdin
        self._n_asked += 1
        answer = self._waiting[self._n_asked] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": self._n_asked, "ask": what, **fields})
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(DEADLINE):
            return await answer

    async def _read(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            self._waiting.pop(told["id"]).set_result(told["answer"])
        for future in self._waiting.values():
            future.set_exception(ConnectionError(f"the {self.kind} server has ended"))

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        return cpu_time(self.pid)

    @property
    def memory_mb(self) -> float:
        """Memory at this moment."""
        return memory_mb(self.pid)

    async def end(self) -> None:
        """End it: it has nothing to save."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading


@asynccontextmanager
async def server(kind: str, directory: Path) -> AsyncGenerator[Server]:
    """Run a server that says what is in ``directory``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"media_bench.{kind}_server", str(directory)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PYTHONPATH", "")])},
    )
    running = Server(kind, process, directory)
    try:
        await running.ask("stats")
        yield running
    finally:
        await running.end()

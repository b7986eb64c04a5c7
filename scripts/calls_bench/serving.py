"""``voicertc serve`` as its user starts it, on a core of its own: ready, measured, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from media_bench.machine import SERVER_CORE, cpu_time

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_READY_TIMEOUT = 60.0
"""Seconds from the start until it must answer."""
_UNAVAILABLE = re.compile("not available", re.IGNORECASE)


class NotServed(Exception):
    """The server does not run as it was asked to; the message says why, in its own words."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server. ``lines``: what it printed, which says who hears, thinks and speaks."""

    url: str
    pid: int
    lines: tuple[str, ...]
    log: Path

    @property
    def pids(self) -> tuple[int, ...]:
        """The server's process and those that it has started."""
        return (self.pid, *_children(self.pid))

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far, of all its processes with all their threads."""
        return sum(cpu_time(pid) for pid in self.pids)

    @property
    def main_thread_cpu(self) -> float:
        """Seconds of CPU of the thread that the event loop runs in."""
        fields = Path(f"/proc/{self.pid}/task/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @property
    def pss_mb(self) -> float:
        """MB of memory: its processes' own, and their share of what they share with others."""
        return sum(_pss_kb(pid) for pid in self.pids) / 1024

    def complaints(self) -> dict[str, int]:
        """Return which warnings and errors are in its log so far, and how often."""
        found: dict[str, int] = {}
        for line in _text(self.log).splitlines():
            if match := re.search(r"\b(?:WARNING|ERROR|CRITICAL)\b.*?(\b[a-z]+(?:_[a-z]+)+\b|$)", line):
                name = match[1] or line[:60]
                found[name] = found.get(name, 0) + 1
        return found


@asynccontextmanager
async def served(environment: dict[str, str]) -> AsyncGenerator[Served, None]:
    """Run a server on its core and yield it when it answers; raises ``NotServed`` if it does not."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory(prefix="bench-calls-") as directory:
        log, output = Path(directory) / "log", Path(directory) / "output"
        with log.open("wb") as errors, output.open("wb") as lines:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "voicertc", "serve", "--port", str(port)),
                env={**os.environ, **environment},
                stdout=lines,
                stderr=errors,
                cwd=REPOSITORY,
            )
        _keep_to(SERVER_CORE, process.pid)  # at once, so that its threads and children inherit it
        try:
            url = f"http://127.0.0.1:{port}"
            await _ready(process, url, log)
            told = await _printed(output)
            for line in told:
                if _UNAVAILABLE.search(line):
                    raise NotServed(line)
            yield Served(url, process.pid, told, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(_READY_TIMEOUT):
        while process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{url}/healthz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)
    raise NotServed(_text(log).strip()[-800:] or f"exit code {process.returncode}")


async def _printed(output: Path) -> tuple[str, ...]:
    """Return the start-up lines; they come right behind the port's opening."""
    for _ in range(50):
        if lines := _text(output).splitlines():
            return tuple(lines)
        await asyncio.sleep(0.1)
    return ()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _keep_to(core: int, pid: int) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


def _children(pid: int) -> tuple[int, ...]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # threads come and go
            for child in (thread / "children").read_text(encoding="ascii").split():
                found += [int(child), *_children(int(child))]
    return tuple(found)


def _pss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found, "Linux has a line Pss"
    return int(found[1])

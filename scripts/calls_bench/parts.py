"""Which parts of the server its CPU goes to: stacks sampled by py-spy, each counted for one part.

A sample is of the part whose code is deepest in its stack: numpy within the detector is the detector's. What
is left where nobody's code runs but asyncio's is the event loop's: waking up, and asking the kernel. Sampling
takes time, too, so it is done in a stretch of time in which nothing else is measured.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

RATE_HZ = 200
"""Samples a second."""
_PARTS: tuple[tuple[str, str], ...] = (
    (r"voicertc/audio/(vad|speech_bounds|noise|level)", "speech detection"),
    (r"voicertc/audio/", "codecs and playout"),
    (r"voicertc/rtc/|(^|/)(aiortc|aioice|pylibsrtp|OpenSSL|pyee)/", "packets: ICE, DTLS, SRTP, RTP, SCTP"),
    (r"voicertc/core/", "deciding (core)"),
    (r"voicertc/session/hearing|voicertc/session/recognition", "hearing"),
    (r"voicertc/session/", "session"),
    (r"voicertc/wire/", "events to the client (wire)"),
    (r"voicertc/(providers|agents|services)/", "services (our side)"),
    (r"voicertc/(serve|cli|__main__|endpoint)\.py", "the event loop"),
    (r"voicertc/", "the rest of voicertc"),
    (r"(^|/)(aiohttp|openai|httpx|httpcore|httpx_aiohttp|yarl|multidict|pydantic)/", "HTTP and WebSockets"),
    (r"(^|/)(json|logging)/", "JSON and logging"),
)


def sampler() -> str | None:
    """Return where py-spy is, if it is installed (``pip install py-spy``)."""
    beside = Path(sys.executable).parent / "py-spy"
    return str(beside) if beside.is_file() else shutil.which("py-spy")


async def sample(program: str, pid: int, seconds: float) -> Counter[str]:
    """Sample a process for so long; return how many samples there are of each part."""
    with TemporaryDirectory() as directory:
        output = Path(directory) / "stacks"
        process = await asyncio.create_subprocess_exec(
            *(program, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds)))),
            *("--rate", str(RATE_HZ), "--format", "raw", "--nonblocking", "--output", str(output)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
        if not output.is_file():
            raise OSError(errors.decode(errors="replace")[-300:])
        return counted(output.read_text(encoding="utf-8"))


def counted(stacks: str) -> Counter[str]:
    """Return the samples of each part in py-spy's raw format: ``outer (file:line);inner (…) count``."""
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        if count.isdigit():
            found[part_of(stack.split(";"))] += int(count)
    return found


def part_of(frames: list[str]) -> str:
    """Return the part that a stack belongs to."""
    for frame in reversed(frames):
        match = re.search(r"\(([^()]*)\)$", frame)
        where = match[1] if match else frame
        for pattern, part in _PARTS:
            if re.search(pattern, where):
                return part
    return "other"

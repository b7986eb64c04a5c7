"""An application's page in a real Chromium: bundled from ``pages``, served on an origin of its own."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from voicertc.audio.pcm import Samples

from ..browser.chromium import Chromium
from ..browser.sound import MICROPHONE_HZ, Stretch, is_silent, stretches, write_microphone
from .speech import RATE_HZ, level_db, numbers_heard, resampled

HERE = Path(__file__).parent

BARGE_IN_BOUND = 0.8
"""Seconds of media time from the first sound of the user to the last of the reply, as in the page's tests."""

_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title><link rel="icon" href="data:,"></head>
<body><script type="module" src="{name}.js"></script></body></html>
"""


@contextmanager
def pages(directory: Path) -> Iterator[str]:
    """Bundle all applications into ``directory`` and serve them; yield the URL."""
    for source in (HERE / "pages").glob("*.js"):
        if source.stem == "recorder":
            continue
        bundle = directory / source.name
        command = [
            HERE / "node_modules/.bin/esbuild",
            source,
            "--bundle",
            "--format=esm",
            f"--outfile={bundle}",
        ]
        subprocess.run([*command, "--log-level=warning"], check=True)
        (directory / f"{source.stem}.html").write_text(_HTML.format(name=source.stem))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


@contextmanager
def application(url: str, directory: Path, microphone: Iterable[float | Samples]) -> Iterator[Chromium]:
    """Open an application whose microphone hears seconds of silence and sounds, at 24 kHz, in turn."""
    parts = [
        part if isinstance(part, float) else resampled(part, RATE_HZ, MICROPHONE_HZ) for part in microphone
    ]
    wav = write_microphone(directory / "microphone.wav", parts)
    with Chromium(url, wav=wav, setup=(HERE / "pages" / "recorder.js").read_text()) as chromium:
        chromium.until("window.app")
        yield chromium


@dataclass(frozen=True, slots=True)
class Recording:
    """What was heard of a side from ``start`` on, in seconds of the page's clock."""

    start: float
    rate_hz: int
    samples: Samples

    def between(self, start: float, end: float) -> Samples:
        """Return the samples between two times."""
        first, last = (max(0, round((at - self.start) * self.rate_hz)) for at in (start, end))
        return self.samples[first:last]


def recorded(chromium: Chromium, side: str) -> Recording:
    """Return what was heard of ``you`` or of the ``agent``."""
    told: dict[str, Any] = chromium.evaluate(f"recorded({side!r})")
    samples = np.frombuffer(base64.b64decode(told["pcm"]), dtype=np.int16)
    return Recording(told["start"], told["rate"], samples)


def speech_of_user(app: Chromium) -> list[Stretch]:
    """Return when the user spoke."""
    you = recorded(app, "you")
    length = you.rate_hz // 100
    blocks = you.samples[: len(you.samples) // length * length].reshape(-1, length)
    return stretches([(you.start + number / 100, level_db(block)) for number, block in enumerate(blocks)])


def last_number_before(app: Chromium, begin: float) -> int:
    """Return up to which number was counted until the user interrupted at ``begin``.

    Fails unless the voice fell silent in time, and stayed so until the next reply.
    """
    voice, levels = recorded(app, "agent"), app.heard()["levels"]["agent"]
    answered_at = next(sound.start for sound in stretches(levels) if sound.start > begin)
    assert is_silent(levels, begin + BARGE_IN_BOUND, answered_at - 0.02)  # its onset may begin within a level
    numbers = numbers_heard(voice.between(voice.start, begin + BARGE_IN_BOUND), voice.rate_hz)
    counted = [number for number in numbers if number]
    assert counted == list(range(1, len(counted) + 1)), "the counting was not whole"
    return len(counted)

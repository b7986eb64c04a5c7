"""The server as a user starts it: a process, a port, and a log."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

START_TIMEOUT = 30.0
"""Seconds until it answers: engines are loaded first."""


class Server:
    """``python -m voicertc serve`` on a free port; ``settings`` are ``KEY=VALUE``."""

    def __init__(self, log: Path, *settings: str, port: int | None = None) -> None:
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = log
        command = [sys.executable, "-m", "voicertc", "serve", "--port", str(self.port)]
        if settings:
            command += ["--set", *settings]
        # What the developer has set up for himself must not decide what is tested.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("VOICERTC_", "OPENAI_"))
        }
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server does not start:\n{self.log.read_text()}")
            time.sleep(0.1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end, as ``docker stop`` does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=1) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

"""The server of these tests: real but for its agent, whose answers are known, and its voice of tones.

``python -m tests.conformance.server DIRECTORY`` listens with and without TLS, and writes where, as a line of
JSON, to stdout. It ends when stdin does.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

import numpy as np
from aiohttp import web

from voicertc import Endpoint, Settings, logs
from voicertc.audio.pcm import Samples
from voicertc.server.app import assemble
from voicertc.services import ServiceSet
from voicertc.tls import self_signed

from .agent import CountingAgent, Ears, ToneVoice

ASKED_PATH = "/conformance/asked"
"""What the agent was asked in a session (``?session=``), as JSON."""

HEARD_PATH = "/conformance/heard"
"""What the recognizer heard last of a session with this prompt (``?prompt=``): 16 bit, 16 kHz, mono."""

SETTINGS = {
    "stt.engine": "pocketsphinx",
    "tts.engine": "espeak",
    "tts.workers": 1,
    "agent.greeting": "null",
    "logging.level": "info",
}


async def serve(directory: Path) -> None:
    """Serve until stdin ends."""
    settings = Settings.load(flags=SETTINGS, environ={})
    logs.setup(settings.logging)
    agent = CountingAgent()
    async with AsyncExitStack() as stack:
        service_set = ServiceSet(settings, agent)
        stack.push_async_callback(service_set.close)
        services = await service_set.start()
        ears = Ears(services.recognizer)
        services = replace(services, recognizer=ears, voice=ToneVoice())
        app = assemble(Endpoint(settings, services=services), settings.server)
        app.router.add_get(ASKED_PATH, partial(_asked, agent))
        app.router.add_get(HEARD_PATH, partial(_heard, ears))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self_signed(directory=directory)).start()
        plain, secure = (f"127.0.0.1:{address[1]}" for address in runner.addresses)
        print(json.dumps([plain, secure]), flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


async def _asked(agent: CountingAgent, request: web.Request) -> web.Response:
    return web.json_response(agent.asked.get(request.query["session"], []))


async def _heard(ears: Ears, request: web.Request) -> web.Response:
    return web.Response(body=ears.heard[request.query["prompt"]].tobytes())


@dataclass(slots=True)
class Server:
    """That server in a process of its own. ``log`` is what it writes on stderr."""

    directory: Path
    plain: str = ""
    """Host and port without TLS."""
    secure: str = ""
    """Host and port with TLS."""
    _process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def certificate(self) -> Path:
        """What clients must trust."""
        return self.directory / "self-signed.pem"

    def asked(self, session_id: str) -> list[dict[str, Any]]:
        """Return what the agent was asked in a session, oldest first."""
        with urlopen(f"http://{self.plain}{ASKED_PATH}?session={session_id}", timeout=5) as answer:
            asked: list[dict[str, Any]] = json.load(answer)
        return asked

    def heard(self, prompt: str) -> Samples:
        """Return what the recognizer heard, ``(n,)`` int16 mono at 16 kHz."""
        with urlopen(f"http://{self.plain}{HEARD_PATH}?prompt={prompt}", timeout=5) as answer:
            return np.frombuffer(answer.read(), dtype=np.int16)

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(self.directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout
        line = self._process.stdout.readline()  # ends with the process at the latest
        assert line, f"the server does not start:\n{self.log.read_text()}"
        self.plain, self.secure = json.loads(line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._process
        assert process
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

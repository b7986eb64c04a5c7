"""A call between our media plane and a real browser, with nothing else, kept sample by sample at both ends.

    say() ── playout ── OwnPath ═══ browser ── page.js ── heard          (sent: each packet that left)
    heard_here ◄─────── OwnPath ═══ browser ◄─ page.js ◄─ said.wav

The page is served from here, and led over the data channel. A lossy link may stand between.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from aiohttp import web

from voicertc.audio.opus import Coding
from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.audio.playout import PlayoutBuffer
from voicertc.rtc.own_path import OwnPath
from voicertc.rtc.peer import CallAudio, MediaPlane, Peer, RtcOptions
from voicertc.testing.lossy_link import LossyLink, without_candidates

from .kept import Kept, Sent
from .sound import MICROPHONE_HZ

HERE = Path(__file__).parent / "media"
EXECUTABLES = {
    "chromium": os.environ.get("CHROMIUM", "chromium"),
    "firefox": os.environ.get("FIREFOX", "firefox-esr"),
}
"""Commands, by the browser's name."""
_START_TIMEOUT = 25.0
"""Seconds until a browser that starts on a busy machine is connected."""
_END_TIMEOUT = 10.0
_MAX_BODY_BYTES = 16 << 20
"""A minute of sound has 5.8 MB."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Takes the place of a ``LinkAdaptation``."""

    coding: Coding

    def report(self, loss: float, round_trip: float | None, now: float) -> Coding:
        return self.coding


class MediaCall:
    """The server's end; made by ``media_call``."""

    def __init__(self, said: Path, link: LossyLink | None) -> None:
        self.kept = Kept()
        self.playout = PlayoutBuffer(self)
        self._said = said
        self._link = link
        self.plane = MediaPlane(RtcOptions())
        # As in a session in which nobody speaks: silence is not decoded, and no onset may suffer from it.
        audio = CallAudio(self.playout, self.kept.frames.append, is_idle=lambda: True)
        self.peer = Peer(audio, self, self.plane)
        self._is_up = asyncio.Event()
        self._drained = asyncio.Event()
        self._handed_over = asyncio.Event()
        self._n_replies = 0

    @property
    def path(self) -> OwnPath:
        """The way that is tested. A test reaches into it for what no client can ask for."""
        path = self.peer._path
        assert isinstance(path, OwnPath), "aiortc is not the version that is pinned"
        return path

    async def up(self) -> None:
        """Wait until media and messages can flow."""
        async with asyncio.timeout(_START_TIMEOUT):
            await self._is_up.wait()

    async def say(self, samples: Samples) -> None:
        """Say something, 24 kHz mono, and wait until all of it has left."""
        self._n_replies += 1
        reply = f"reply-{self._n_replies}"
        self._drained.clear()
        self.playout.begin(reply)
        self.playout.append(reply, samples)
        self.playout.finish(reply)
        async with asyncio.timeout(len(samples) / PLAYOUT_RATE_HZ + 5):
            await self._drained.wait()

    def choose(self, coding: Coding) -> None:
        """Code like this from now on, whatever the browser reports."""
        path = self.path
        path._adaptation = _Chosen(coding)  # type: ignore[assignment]
        path._voice.coding = coding

    def let_speak(self) -> None:
        """Have the page say what it has to say."""
        self.peer.send("speak")

    def mark(self, name: str) -> None:
        """Have statistics taken at both ends, by which this moment is found again."""
        self.kept.n_sent[name] = len(self.kept.sent)
        self.peer.send(f"mark {name}")

    async def end(self) -> None:
        """Have what the page kept handed over."""
        self.mark("end")
        await asyncio.sleep(0.3)
        self.kept.incoming = self.path.incoming
        self.peer.send("end")
        async with asyncio.timeout(_END_TIMEOUT):
            await self._handed_over.wait()

    # --- the door -----------------------------------------------------------------------------------

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/said.wav", self._serve_said),
            web.post("/offer", self._answer),
            web.post("/counted", self._take_counted),
            web.post("/heard", self._take_heard),
            web.static("/", HERE),
        ]

    async def _serve_said(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(self._said)

    async def _answer(self, request: web.Request) -> web.Response:
        offer = await request.text()
        if self._link is not None:
            offer = without_candidates(offer)
        answer = await self.peer.answer(offer, is_loopback_client=True)
        if self._link is not None:
            answer = self._link.rewrite_answer(answer)
        self.kept.answer = answer
        return web.Response(text=answer, content_type="application/sdp")

    async def _take_counted(self, request: web.Request) -> web.Response:
        self.kept.counted = await request.json()
        return web.Response()

    async def _take_heard(self, request: web.Request) -> web.Response:
        self.kept.heard = np.frombuffer(await request.read(), np.int16)
        self._handed_over.set()
        return web.Response()

    # --- what a peer tells its owner, and playout its listener ---------------------------------------

    def connected(self) -> None:
        output = self.path._output
        assert output is not None, "the page wants to hear us"
        send, clock = output.send, asyncio.get_running_loop().time

        def note(payload: bytes, rtp_time: int, is_first: bool = False) -> None:
            self.kept.sent.append(Sent(payload, rtp_time, is_first, clock()))
            send(payload, rtp_time, is_first)

        output.send = note  # type: ignore[method-assign]

    def channel_opened(self) -> None:
        self._is_up.set()

    def closed(self, reason: str) -> None: ...

    def away(self) -> None: ...

    def back(self) -> None: ...

    def message_received(self, message: str | bytes) -> None: ...

    def playout_started(self, reply_id: str) -> None: ...

    def clause_began(self, reply_id: str, index: int) -> None: ...

    def room_made(self, reply_id: str) -> None: ...

    def playout_starved(self, reply_id: str) -> None: ...

    def playout_fed(self, reply_id: str) -> None: ...

    def playout_drained(self, reply_id: str) -> None:
        self._drained.set()


@asynccontextmanager
async def media_call(browser: str, said: Path, *, link: LossyLink | None = None) -> AsyncGenerator[MediaCall]:
    """A call with a browser that says ``said``, a mono WAV file; it is up."""
    call = MediaCall(said, link)
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.add_routes(call.routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/page.html"
        async with _running(browser, url):
            await call.up()
            yield call
    finally:
        await call.peer.close()
        call.plane.close()
        await runner.cleanup()


@asynccontextmanager
async def _running(browser: str, url: str) -> AsyncGenerator[None]:
    """A browser that has opened a page."""
    executable = shutil.which(EXECUTABLES[browser])
    assert executable, f"there is no {EXECUTABLES[browser]}"
    async with _sound_card() as sound_card:
        process = await asyncio.create_subprocess_exec(
            *("node", str(HERE / "browser.mjs"), browser, executable, url),
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, "PULSE_SERVER": sound_card},
        )
        try:
            yield
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                async with asyncio.timeout(_END_TIMEOUT):
                    await process.wait()
            except TimeoutError:
                process.terminate()  # Puppeteer then kills the browser, which is in a group of its own
                await process.wait()


@asynccontextmanager
async def _sound_card() -> AsyncGenerator[str]:
    """PulseAudio with a card that takes sound in real time and drops it; yields its address.

    Firefox's Web Audio does not begin on a machine that has no card, as few that run tests have one.
    """
    with tempfile.TemporaryDirectory(prefix="voicertc-sound-") as directory:
        address = Path(directory) / "native"
        process = await asyncio.create_subprocess_exec(
            *(
                "pulseaudio",
                "-n",
                "--daemonize=no",
                "--use-pid-file=no",
                "--disable-shm",
                "--exit-idle-time=-1",
            ),
            f"--load=module-native-protocol-unix socket={address} auth-anonymous=1",
            f"--load=module-null-sink rate={MICROPHONE_HZ}",
            env={**os.environ, "HOME": directory, "PULSE_RUNTIME_PATH": directory},
            stderr=asyncio.subprocess.DEVNULL,  # it complains of root, of no D-Bus, of no cookie
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                while not address.exists():  # noqa: ASYNC110 (it tells nobody)
                    await asyncio.sleep(0.02)
            yield f"unix:{address}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

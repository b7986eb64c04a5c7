"""A server that answers sound with sound, over real media: what load tests and clients are tried on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestServer

from voicertc.audio.pcm import PcmFrame, Samples
from voicertc.rtc.peer import RtcOptions

from ..rtc.calls import Owner, tone

LOUD = 1000


class Answering(Owner):
    """Replies with a tone when the caller has been silent for ``wait`` seconds, and stops when it speaks."""

    def __init__(self, reply: Samples, wait: float = 0.2) -> None:
        super().__init__(RtcOptions(pause_after=2.0, close_after=4.0))
        self._reply = reply
        self._wait = wait
        self._spoke_at = 0.0
        self._n_replies = 0
        self._is_speaking = False

    def hear(self, frame: PcmFrame) -> None:
        super().hear(frame)
        if np.abs(frame.samples).max() > LOUD:
            self._spoke_at = frame.end
            self.playout.cancel(f"reply-{self._n_replies}", asyncio.get_running_loop().time())
            self._is_speaking = True
        elif self._is_speaking and frame.end - self._spoke_at >= self._wait:
            self._is_speaking = False
            self._n_replies += 1
            name = f"reply-{self._n_replies}"
            self.playout.begin(name)
            self.playout.append(name, self._reply)
            self.playout.finish(name)

    def message_received(self, message: str | bytes) -> None:
        super().message_received(message)
        if isinstance(message, str):
            self.peer.send(message)


@asynccontextmanager
async def answering(
    *, reply: Samples | None = None, wait: float = 0.2, refuses_after: int = 1000
) -> AsyncGenerator[tuple[str, list[Answering]]]:
    """A server's URL, and what answers there: one for each call."""
    calls: list[Answering] = []

    async def answer(request: web.Request) -> web.Response:
        if len(calls) >= refuses_after:
            error = {"type": "server_error", "code": "too_many_calls", "message": "Busy.", "param": None}
            return web.json_response({"error": error}, status=503)
        calls.append(Answering(tone(1.0, 24_000) if reply is None else reply, wait))
        sdp = await calls[-1].answer(await request.text())
        where = {"Location": f"/prefix/v1/realtime/calls/rtc_{len(calls)}"}
        return web.Response(status=201, text=sdp, content_type="application/sdp", headers=where)

    app = web.Application()
    app.router.add_post("/prefix/v1/realtime/calls", answer)
    async with TestServer(app) as server:
        try:
            yield str(server.make_url("/prefix")), calls
        finally:
            await asyncio.gather(*(call.close() for call in calls))

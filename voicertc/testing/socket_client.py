"""A caller over a WebSocket: OpenAI's Realtime protocol with sound in events, for tests and measurements.

async with SocketClient("http://127.0.0.1:8080") as client:
    await client.say(samples)                       16 kHz, in real time, as a microphone sends it
    done = await client.next_event("response.done")
    client.sound("resp_…")                          what came of a reply, 24 kHz
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import numpy as np

from ..audio.pcm import FRAME_MS, HEARING_FRAME, HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from ..audio.resample import Resampler

_TAIL = 0.8
"""Seconds of silence behind what is said: more than ends a turn."""


@dataclass(frozen=True, slots=True)
class SocketEvent:
    """A server event and when it came, on the loop's clock."""

    at: float
    event: dict[str, Any]

    @property
    def type(self) -> str:
        """Its type."""
        return str(self.event.get("type"))


class SocketClient:
    """One call (or, with ``query={"call_id": …}``, a sideband). ``events`` has all that came, in order.

    ``url``: the server's; ``key`` goes into the Authorization header.
    """

    def __init__(self, url: str, *, query: dict[str, str] | None = None, key: str | None = None) -> None:
        self._url = f"{url.rstrip('/')}/v1/realtime"
        self._query = query or {}
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http: aiohttp.ClientSession | None = None
        self._reading: asyncio.Task[None] | None = None
        self._came = asyncio.Event()
        self._n_seen = 0
        self.events: list[SocketEvent] = []
        self.close_code: int | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        try:
            self.socket = await self._http.ws_connect(
                self._url, params=self._query, headers=self._headers, max_msg_size=0
            )
        except BaseException:
            await self._http.close()
            raise
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._http
        assert self._reading
        await self.socket.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._http.close()

    async def send(self, event: dict[str, Any]) -> None:
        """Send a client event."""
        await self.socket.send_str(json.dumps(event))

    async def update(self, **session: Any) -> None:
        """Send ``session.update`` and wait until it is in force."""
        await self.send({"type": "session.update", "session": {"type": "realtime", **session}})
        await self.next_event("session.updated", "error")

    async def append(self, samples: Samples, *, piece: float | None = None) -> None:
        """Append ``(n,)`` int16 at 16 kHz as 24 kHz PCM: at once, or in pieces of so many seconds."""
        resampler = Resampler(HEARING_RATE_HZ, PLAYOUT_RATE_HZ)
        sound = np.concatenate((resampler.feed(samples), resampler.flush()))
        size = len(sound) if piece is None else round(piece * PLAYOUT_RATE_HZ)
        for begin in range(0, len(sound), size):
            await self.send(append_event(sound[begin : begin + size]))

    async def say(self, samples: Samples, *, tail: float = _TAIL) -> float:
        """Speak in real time, 20 ms after 20 ms, then be silent for ``tail`` seconds.

        Returns when the last word was sent, on the loop's clock.
        """
        loop = asyncio.get_running_loop()
        silence = np.zeros(round(tail * HEARING_RATE_HZ), np.int16)
        resampler = Resampler(HEARING_RATE_HZ, PLAYOUT_RATE_HZ)
        sound = np.concatenate((samples, silence))
        began, spoken_at = loop.time(), loop.time()
        for index, begin in enumerate(range(0, len(sound), HEARING_FRAME)):
            await asyncio.sleep(max(0.0, began + (index + 1) * FRAME_MS / 1000 - loop.time()))
            await self.send(append_event(resampler.feed(sound[begin : begin + HEARING_FRAME])))
            if begin < len(samples):
                spoken_at = loop.time()
        return spoken_at

    async def next_event(self, *types: str, timeout: float = 10.0) -> SocketEvent:
        """Wait for the next event of one of these types that was not looked at yet.

        Raises ``TimeoutError`` naming what came instead.
        """
        seen_before = self._n_seen
        try:
            async with asyncio.timeout(timeout):
                while True:
                    while self._n_seen < len(self.events):
                        self._n_seen += 1
                        if self.events[self._n_seen - 1].type in types:
                            return self.events[self._n_seen - 1]
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            came = [event.type for event in self.events[seen_before:]]
            raise TimeoutError(f"no {' or '.join(types)} in {timeout} s, only {came}") from None

    def drop(self) -> None:
        """Break the connection without a goodbye, as a client does that dies."""
        self.socket.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    async def closed(self, timeout: float = 10.0) -> int | None:
        """Wait until the server has closed the socket; return the close code."""
        assert self._reading
        await asyncio.wait_for(asyncio.shield(self._reading), timeout)
        return self.close_code

    def sound(self, response_id: str | None = None) -> Samples:
        """Return what came of a reply, or of all, if it is 16-bit PCM: ``(n,)`` int16 mono at 24 kHz."""
        return np.frombuffer(self.coded_sound(response_id), "<i2").astype(np.int16)

    def coded_sound(self, response_id: str | None = None) -> bytes:
        """Return the sound of a reply, or of all, as it came."""
        deltas = (entry.event for entry in self.events if entry.type == "response.output_audio.delta")
        return b"".join(
            base64.b64decode(event["delta"])
            for event in deltas
            if response_id in (None, event["response_id"])
        )

    def forget(self) -> None:
        """Forget the events so far, which a long call needs."""
        self.events.clear()
        self._n_seen = 0

    @property
    def types(self) -> list[str]:
        """The types of all that came, in order."""
        return [entry.type for entry in self.events]

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.events.append(SocketEvent(loop.time(), json.loads(message.data)))
                self._came.set()
        self.close_code = self.socket.close_code


def append_event(sound: Samples) -> dict[str, Any]:
    """Return ``input_audio_buffer.append`` of 24 kHz PCM."""
    return {
        "type": "input_audio_buffer.append",
        "audio": base64.b64encode(sound.astype("<i2").tobytes()).decode("ascii"),
    }

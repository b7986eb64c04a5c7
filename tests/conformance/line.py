"""One WebSocket of PyPI ``openai``: its types judge every event as it comes, and its microphone never rests.

    async with Line.open(server) as line:
        line.mouth.say(samples)
        done = await line.next("response.done")

Real clients send sound all the time, silence included: the turn's end is heard in it.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from voicertc.audio.pcm import Samples

from ..wire.openai_types import check
from .formats import PCM, Format
from .server import Server
from .speech import RATE_HZ, resampled, silence

KEY = "sk-anything"
"""Taken on loopback while the operator has configured no keys."""

MODEL = "gpt-realtime"


def client(server: Server, key: str = KEY) -> AsyncOpenAI:
    """Return the SDK as an application makes it, but for the URL."""
    return AsyncOpenAI(base_url=f"http://{server.plain}/v1", api_key=key, max_retries=0)


def client_secret(server: Server, session: Mapping[str, Any], *, seconds: int = 600) -> str:
    """Return a key that a browser may have, bound to a session."""
    with OpenAI(base_url=f"http://{server.plain}/v1", api_key=KEY, max_retries=0) as sdk:
        secret = sdk.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": seconds},
            session=session,  # type: ignore[arg-type]
        )
    return secret.value


@dataclass(frozen=True, slots=True)
class Told:
    """An event and when it came, in the loop's time."""

    at: float
    event: Mapping[str, Any]


class Line:
    """A connection. Its events stay in ``told``; ``next`` goes through them in order."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.format: Format = PCM
        self.mouth = Mouth(self)
        self.told: list[Told] = []
        self._n_returned = 0
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._is_dropped = False
        self._loop = asyncio.get_running_loop()

    @staticmethod
    @asynccontextmanager
    async def open(
        server: Server, *, key: str = KEY, speaks: bool = True, **query: str
    ) -> AsyncIterator[Line]:
        """Connect; ``query`` are the SDK's own arguments ``call_id`` and ``model``, or ``intent``."""
        extra_query = {"intent": query.pop("intent")} if "intent" in query else {}
        if not extra_query and "call_id" not in query:
            query.setdefault("model", MODEL)
        async with (
            client(server, key) as sdk,
            sdk.realtime.connect(extra_query=extra_query, **query) as connection,
        ):
            line = Line(connection)
            tasks = [asyncio.create_task(line._read())]
            if speaks:
                tasks.append(asyncio.create_task(line.mouth.run()))
            try:
                await line.next("session.created")
                yield line
            finally:
                for task in tasks:
                    task.cancel()
                for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(outcome, Exception):
                        raise outcome  # an event that the types do not take, for one

    async def next(self, *types: str, within: float = 20.0) -> dict[str, Any]:
        """Return the next event of these types behind the one returned last."""
        return (await self.through(*types, within=within))[-1]

    async def through(self, *types: str, within: float = 20.0) -> list[dict[str, Any]]:
        """Return all events behind the one returned last, up to the next one of these types."""
        n_seen = self._n_returned
        try:
            async with asyncio.timeout(within):
                while True:
                    while n_seen < len(self.told):
                        n_seen += 1
                        if self.told[n_seen - 1].event["type"] in types:
                            passed = self.told[self._n_returned : n_seen]
                            self._n_returned = n_seen
                            return [dict(told.event) for told in passed]
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            came = [told.event["type"] for told in self.told[self._n_returned :]]
            raise AssertionError(f"no {' or '.join(types)} in {within} s, only {came}") from None

    def events(self, *types: str) -> list[dict[str, Any]]:
        """Return all events so far of these types, or of all."""
        return [dict(told.event) for told in self.told if not types or told.event["type"] in types]

    def time_of(self, event: Mapping[str, Any]) -> float:
        """Return when an event came."""
        return next(told.at for told in self.told if told.event["event_id"] == event["event_id"])

    @property
    def session_id(self) -> str:
        session_id: str = self.told[0].event["session"]["id"]
        return session_id

    def sound(self, response_id: str) -> Samples:
        """Return all the sound of a response, ``(n,)`` int16 mono at the rate of the line's format."""
        deltas = [
            event
            for event in self.events("response.output_audio.delta")
            if event["response_id"] == response_id
        ]
        return self.format.decode(
            b"".join(base64.b64decode(delta["delta"], validate=True) for delta in deltas)
        )

    async def update(self, **session: Any) -> dict[str, Any]:
        """Change the session; return what is in force now."""
        await self.connection.session.update(session={"type": "realtime", **session})  # type: ignore[misc]
        updated: dict[str, Any] = (await self.next("session.updated"))["session"]
        return updated

    async def type(self, text: str) -> None:
        """Put something written into the conversation."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.connection.conversation.item.create(item=item)  # type: ignore[arg-type]
        await self.next("conversation.item.done")

    async def answer(self, text: str, **response: Any) -> dict[str, Any]:
        """Write something and ask for a response; return it when it is done."""
        await self.type(text)
        await self.connection.response.create(response=response)  # type: ignore[arg-type]
        answer: dict[str, Any] = (await self.next("response.done"))["response"]
        return answer

    def drop(self) -> None:
        """Be gone without a goodbye, as a client that has crashed."""
        self._is_dropped = True
        self.connection._connection.transport.abort()

    async def ended(self, within: float = 5.0) -> None:
        """Wait until the server has closed the connection, as it should be closed."""
        async with asyncio.timeout(within):
            await self._ended.wait()

    async def _read(self) -> None:
        try:
            while True:
                event = check((await self.connection.recv_bytes()).decode())
                self.told.append(Told(self._loop.time(), event))
                self._arrived.set()
        except ConnectionClosed as closed:
            if not self._is_dropped and not isinstance(closed, ConnectionClosedOK):
                raise
        self._ended.set()


class Mouth:
    """Sends pieces of 100 ms in real time: what is to be said, else silence."""

    PIECE = 0.1

    def __init__(self, line: Line) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._to_say: deque[Samples] = deque()
        self._said = asyncio.Event()
        self.is_open = True
        """Whether anything is sent at all."""
        self.sent = 0.0
        """Seconds of sound so far."""

    async def say(self, samples: Samples) -> float:
        """Say something, ``(n,)`` int16 mono at 24 kHz; when all is sent, return where it began."""
        rate_hz = self._line.format.rate_hz
        n_samples = round(self.PIECE * rate_hz)
        narrow = resampled(samples, RATE_HZ, rate_hz)
        padded = np.pad(narrow, (0, -len(narrow) % n_samples))
        began = self.sent + len(self._to_say) * self.PIECE
        self._to_say.extend(padded.reshape(-1, n_samples))
        self._said.clear()
        await self._said.wait()
        return began

    async def run(self) -> None:
        due = self._loop.time()
        while True:
            if self.is_open:
                piece = (
                    self._to_say.popleft() if self._to_say else silence(self.PIECE, self._line.format.rate_hz)
                )
                self.sent += self.PIECE
                sound = base64.b64encode(self._line.format.encode(piece)).decode()
                with suppress(Exception):  # the reader tells why the line is gone
                    await self._line.connection.input_audio_buffer.append(audio=sound)
            if not self._to_say:
                self._said.set()
            due += self.PIECE
            await asyncio.sleep(due - self._loop.time())

"""The real SDK on a Realtime WebSocket, with every event of the server held against the SDK's own types."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, get_args

import numpy as np
import openai
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel

from voicertc.audio.pcm import Samples
from voicertc.testing.fake_openai import FakeOpenAI

LIMIT = 5.0
CLOSE_LIMIT = 0.2
"""For a server that does not answer a close."""
TRANSCRIPTION = {"extra_query": {"intent": "transcription"}}
TALK: dict[str, Any] = {"model": "gpt-realtime-2.1"}
PCM = {"type": "audio/pcm", "rate": 24_000}

_TYPES: dict[str, type[BaseModel]] = {
    get_args(each.model_fields["type"].annotation)[0]: each
    for each in get_args(get_args(RealtimeServerEvent)[0])
}


class Client:
    """Sends plain events as the SDK sends them, and reads what comes."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self._connection = connection
        self.seen: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self._connection.send_raw(json.dumps({"type": kind, **fields}))

    async def send_text(self, text: str) -> None:
        await self._connection.send_raw(text)

    async def append(self, samples: Samples) -> None:
        audio = base64.b64encode(samples.astype("<i2").tobytes()).decode()
        await self.send("input_audio_buffer.append", audio=audio)

    async def say(self, samples: Samples) -> None:
        await self.append(samples)
        await self.send("input_audio_buffer.commit")

    async def read(self) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            data = await self._connection.recv_bytes()
        event: dict[str, Any] = json.loads(data)
        typed = _TYPES[event["type"]].model_validate(event)
        assert not typed.model_extra, f"the SDK does not know {typed.model_extra}"
        assert type(self._connection.parse_event(data)) is type(typed)
        self.seen.append(event)
        return event

    async def until(self, *kinds: str) -> dict[str, Any]:
        """Read up to the first event of one of these types."""
        while (event := await self.read())["type"] not in kinds:
            pass
        return event

    async def refused(self) -> Mapping[str, Any]:
        """Read up to the next ``error`` and return what it says."""
        error: Mapping[str, Any] = (await self.until("error"))["error"]
        return error

    async def update(self, **session: Any) -> dict[str, Any]:
        await self.send("session.update", session=session)
        return await self.until("session.updated")

    def types(self) -> list[str]:
        return [event["type"] for event in self.seen]

    def sound(self) -> Samples:
        return np.frombuffer(b"".join(self.chunks()), "<i2").astype(np.int16)

    def chunks(self) -> list[bytes]:
        deltas = [event["delta"] for event in self.seen if event["type"] == "response.output_audio.delta"]
        return [base64.b64decode(delta) for delta in deltas]

    def joined(self, kind: str) -> str:
        return "".join(event["delta"] for event in self.seen if event["type"] == kind)


@asynccontextmanager
async def connected(
    fake: FakeOpenAI, *, api_key: str | None = None, **where: Any
) -> AsyncGenerator[Client, None]:
    """Connect with the SDK; nothing has been read yet."""
    api = openai.AsyncOpenAI(api_key=api_key or fake.api_key, base_url=fake.base_url, max_retries=0)
    options: Any = {"close_timeout": CLOSE_LIMIT}
    where = where or TRANSCRIPTION
    async with api, api.realtime.connect(**where, websocket_connection_options=options) as connection:
        yield Client(connection)


def hearing(model: str = "gpt-live-transcribe", **fields: Any) -> dict[str, Any]:
    """Return a transcription session as the guide configures it."""
    transcription = {"model": model, **fields}
    listening = {
        "format": PCM,
        "transcription": transcription,
        "noise_reduction": None,
        "turn_detection": None,
    }
    return {"type": "transcription", "audio": {"input": listening}}


def talking(transcription: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a conversation without turn detection."""
    listening = {"format": PCM, "transcription": transcription, "turn_detection": None}
    speaking = {"format": PCM, "voice": "marin", "speed": 1.0}
    audio = {"input": listening, "output": speaking}
    return {"type": "realtime", "output_modalities": ["audio"], "audio": audio, **fields}


def sound(seconds: float, level: int = 1000) -> Samples:
    return np.full(round(seconds * 24_000), level, dtype=np.int16)

"""What the tests of the Realtime adapters share: started clients of a fake server, a server that hangs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from voicertc.errors import ProviderError
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_events import Event, nested
from voicertc.providers.openai_socket import OnEvent, OnLost, RealtimeClient, RealtimeSocket, SocketTimes
from voicertc.providers.openai_socket_errors import realtime_error
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import FakeOpenAI

LIMIT = 10.0
"""Seconds until a wait counts as a hang."""

TRANSCRIPTION: dict[str, Any] = {
    "type": "transcription",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "gpt-live-transcribe"},
            "noise_reduction": None,
            "turn_detection": None,
        }
    },
}
PLANTED_KEY = "sk-planted-0123456789abcdef"
INTENT = {"intent": "transcription"}


def access_of(fake: FakeOpenAI, **options: Any) -> OpenAIOptions:
    key = Secret(fake.scenario.api_key) if fake.scenario.api_key else None
    return OpenAIOptions(**{"base_url": fake.base_url, "api_key": key, **options})


@asynccontextmanager
async def client_to(
    access: OpenAIOptions, times: SocketTimes | None = None
) -> AsyncGenerator[RealtimeClient, None]:
    client = RealtimeClient(access, "openai-test", times)
    client.start()
    try:
        yield client
    finally:
        await client.close()


class Listener:
    """Notes what a socket hands on."""

    def __init__(self, socket: RealtimeSocket) -> None:
        self.socket = socket
        self.events: list[Event] = []
        self.lost: list[ProviderError] = []
        self._changed = asyncio.Event()
        socket.listen(self._take, self._lose)

    async def until_lost(self) -> ProviderError:
        async with asyncio.timeout(LIMIT):
            while not self.lost:
                await self._next()
        return self.lost[0]

    async def until_event(self, kind: str) -> Event:
        async with asyncio.timeout(LIMIT):
            while True:
                for event in self.events:
                    if event["type"] == kind:
                        return event
                await self._next()

    async def _next(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    def _lose(self, error: ProviderError) -> None:
        self.lost.append(error)
        self._changed.set()


class PretendedSocket:
    """Says what a test lets it say, and notes what is sent to it."""

    provider = "openai-test"
    is_open = True

    def __init__(self) -> None:
        self.sent: list[Mapping[str, Any]] = []
        self.has_sent = asyncio.Event()
        self.on_event: OnEvent
        self.on_lost: OnLost

    def listen(self, on_event: OnEvent, on_lost: OnLost) -> None:
        self.on_event, self.on_lost = on_event, on_lost

    async def send(self, event: Mapping[str, Any]) -> None:
        self.sent.append(event)
        self.has_sent.set()

    def error_in(self, event: Mapping[str, Any]) -> ProviderError:
        return realtime_error(nested(event, "error"), provider=self.provider, key=PLANTED_KEY)

    def say(self, kind: str, **fields: Any) -> None:
        self.on_event({"type": kind, **fields})

    def refuse(self, event_id: str | None, code: str) -> None:
        error = {"type": "x", "code": code, "message": f"No, {PLANTED_KEY}.", "event_id": event_id}
        self.say("error", error=error)


@asynccontextmanager
async def half_open_server() -> AsyncGenerator[str, None]:
    """Shake hands, configure the session, then neither read nor write nor hang up; give the API's root."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if "websocket-key" in line.lower())
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        accept = base64.b64encode(digest).decode()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        for kind in ("session.created", "session.updated"):
            text = f'{{"type":"{kind}","session":{{}}}}'.encode()
            writer.write(bytes([0x81, len(text)]) + text)
        await writer.drain()
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # only thus is a socket half-open
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        over.set()
        server.close()
        await server.wait_closed()

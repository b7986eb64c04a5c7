"""A WebSocket without a network, on any loop: the client's end of it is in the test's hands."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from typing import Any

from voicertc.audio.pcm import Samples


class TestSocket:
    """``says`` what the client sends; ``sent`` has what it was sent, while it ``reads``."""

    __test__ = False

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.sent_at: list[float] = []
        self.closed: tuple[int, str] | None = None
        self.n_taken = 0
        self._messages: deque[str | bytes | ConnectionError | None] = deque()
        self._arrived = asyncio.Event()
        self._reads = asyncio.Event()
        self._reads.set()
        self._loop = asyncio.get_running_loop()

    # --- the client's end -----------------------------------------------------------------------

    def says(self, *events: dict[str, Any] | str | bytes) -> None:
        """Let messages arrive."""
        for event in events:
            self._messages.append(json.dumps(event) if isinstance(event, dict) else event)
        self._arrived.set()

    def hangs_up(self) -> None:
        """Let the client's goodbye arrive."""
        self._messages.append(None)
        self._arrived.set()

    def breaks(self) -> None:
        """Let the connection be lost."""
        self._messages.append(ConnectionError("lost"))
        self._arrived.set()

    def stops_reading(self) -> None:
        """Let all further sends wait."""
        self._reads.clear()

    def reads(self) -> None:
        """Let them go on."""
        self._reads.set()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the client was sent, in order."""
        return [json.loads(message) for message in self.sent]

    @property
    def types(self) -> list[str]:
        """The types of what it was sent."""
        return [event["type"] for event in self.events]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for event in self.events if event["type"] == kind]

    def sound(self) -> bytes:
        """The sound of all replies, as it came."""
        return b"".join(
            base64.b64decode(event["delta"]) for event in self.of_type("response.output_audio.delta")
        )

    # --- Socket ---------------------------------------------------------------------------------

    async def receive(self) -> str | bytes | None:
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        if isinstance(message, ConnectionError):
            raise message
        self.n_taken += 1
        return message

    async def send(self, message: str) -> None:
        await self._reads.wait()
        if self.closed:
            raise ConnectionError("closed")
        self.sent.append(message)
        self.sent_at.append(self._loop.time())

    async def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)


def append_event(sound: Samples | bytes) -> dict[str, Any]:
    """``input_audio_buffer.append`` of 24 kHz PCM, or of what is coded already."""
    coded = sound if isinstance(sound, bytes) else sound.astype("<i2").tobytes()
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(coded).decode("ascii")}

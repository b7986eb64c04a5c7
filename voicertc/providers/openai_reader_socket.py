"""One Realtime socket whose model reads clauses aloud, one after the other, and remembers none of them.

    response.create {conversation: none, input: the clause} ──> created, transcript and sound …, done
    response.cancel {response_id} ──> a few late pieces, done

A reading is an out-of-band response: nothing of it stays in the session, so the prefix is the same for each,
and an earlier clause cannot colour a later one.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..audio.pcm import PLAYOUT_RATE_HZ
from ..core.replies import Usage
from ..errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderUnavailable
from ..logs import event as log_event
from .openai_events import Event, nested, tokens, word
from .openai_socket import RealtimeSocket

_MAX_WAITING = 2 * PLAYOUT_RATE_HZ * 240
"""Bytes of sound that may wait for whoever plays it: more than 4096 tokens can be."""

_log = logging.getLogger(__name__)


class Reading:
    """One clause being read. ``transcript``: what the model says that it says, a little ahead of it."""

    def __init__(self, number: int) -> None:
        self.utterance = f"u{number}"
        self.response_id = ""
        self.transcript = ""
        self.tokens: Usage | None = None
        self.is_over = False
        self.error: ProviderError | None = None
        self.is_lost = False
        """Whether the socket has ended under it."""
        self._sound: deque[bytes] = deque()
        self._n_waiting = 0
        self._changed = asyncio.Event()

    async def next_sound(self) -> bytes | None:
        """Wait for more sound, 16-bit little-endian at 24 kHz, cut anywhere; ``None`` at its end.

        Raises what ended the reading, when all that came before has been taken.
        """
        while not self._sound:
            if self.error is not None:
                raise self.error
            if self.is_over:
                return None
            await self._change()
        sound = self._sound.popleft()
        self._n_waiting -= len(sound)
        return sound

    async def until_named(self) -> None:
        """Wait until the service has given it an id, or it is over."""
        while not self.response_id and not self.is_over:
            await self._change()

    async def until_over(self) -> None:
        """Wait until no more can come."""
        while not self.is_over:
            await self._change()

    def take(self, sound: bytes) -> bool:
        """Keep sound; return False if there is no more room."""
        self._sound.append(sound)
        self._n_waiting += len(sound)
        self.wake()
        return self._n_waiting <= _MAX_WAITING

    def end(self, error: ProviderError | None = None, *, is_lost: bool = False) -> None:
        """Note that no more will come, and why."""
        if not self.is_over:
            self.is_over, self.is_lost, self.error = True, is_lost, self.error or error
        self.wake()

    def fail(self, error: ProviderError) -> None:
        """Note that what comes is of no use; the response itself goes on until it is done or cancelled."""
        self.error = self.error or error
        self.wake()

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class ReaderSocket:
    """A voice that reads one clause at a time; owned by the pool, lent to one clause.

    ``on_lost`` is called once if the socket ends by itself.
    """

    def __init__(self, socket: RealtimeSocket, on_lost: Callable[[ReaderSocket], None]) -> None:
        self.socket = socket
        self._on_lost = on_lost
        self._reading: Reading | None = None
        self._numbers = itertools.count(1)
        socket.listen(self._take, self._lose)

    async def begin(self, text: str, max_output_tokens: int) -> Reading:
        """Ask for ``text`` to be read; no other reading may be going on."""
        assert self._reading is None or self._reading.is_over, "reads already"
        reading = self._reading = Reading(next(self._numbers))
        content = [{"type": "input_text", "text": json.dumps(text, ensure_ascii=False)}]
        response = {
            "conversation": "none",
            "metadata": {"utt": reading.utterance},
            "output_modalities": ["audio"],
            "tool_choice": "none",
            "input": [{"type": "message", "role": "user", "content": content}],
            "max_output_tokens": max_output_tokens,
        }
        event_id = f"create_{reading.utterance}"
        await self.socket.send({"type": "response.create", "event_id": event_id, "response": response})
        return reading

    async def settle(self, reading: Reading, timeout: float) -> bool:
        """Cancel a reading that nobody listens to; return whether the next may begin within ``timeout``."""
        try:
            async with asyncio.timeout(timeout):
                await reading.until_named()
                if not reading.is_over:
                    # Without its id only the conversation's own response would be cancelled.
                    event_id, response_id = f"cancel_{reading.utterance}", reading.response_id
                    await self.socket.send(
                        {"type": "response.cancel", "event_id": event_id, "response_id": response_id}
                    )
                await reading.until_over()
        except (TimeoutError, ProviderError):
            return False
        return self.socket.is_open

    async def close(self) -> None:
        """Hang up; a reading that is going on fails. May be called twice."""
        await self.socket.close()
        if self._reading is not None:
            provider = self.socket.provider
            self._reading.end(ProviderError(f"{provider} was closed in a clause", provider=provider))

    def _take(self, event: Event) -> None:
        """Take an event; what belongs to no reading, or to one before, is dropped."""
        kind, reading = word(event, "type"), self._reading
        if reading is None or reading.is_over:
            return
        if kind == "error":
            self._err(event, reading)
        elif kind == "response.created":
            response = nested(event, "response")
            if nested(response, "metadata").get("utt") == reading.utterance:
                reading.response_id = word(response, "id")
                reading.wake()
        elif kind == "response.done":
            response = nested(event, "response")
            if word(response, "id") == reading.response_id:
                reading.tokens = tokens(nested(response, "usage"), self.socket.provider)
                reading.end(self._outcome(response))
        elif reading.response_id and word(event, "response_id") == reading.response_id:
            self._hear(kind, event, reading)

    def _hear(self, kind: str, event: Event, reading: Reading) -> None:
        """Take a part of the response."""
        match kind:
            case "response.output_audio.delta":
                try:
                    has_room = reading.take(base64.b64decode(word(event, "delta"), validate=True))
                except ValueError:  # binascii.Error, or letters that no base64 has
                    reading.fail(self._crash("sent what is no sound"))
                    return
                if not has_room:
                    reading.fail(self._crash("sent more sound than was asked for"))
            case "response.output_audio_transcript.delta":
                reading.transcript += word(event, "delta")
            case "response.output_audio_transcript.done":
                reading.transcript = word(event, "transcript") or reading.transcript
            case "response.output_item.added" if word(nested(event, "item"), "type") == "function_call":
                reading.fail(self._crash("called a function instead of reading"))

    def _err(self, event: Event, reading: Reading) -> None:
        """Take an ``error``: about our request, about our cancel, or about all."""
        about = word(nested(event, "error"), "event_id")
        code, error = word(nested(event, "error"), "code"), self.socket.error_in(event)
        if about == f"create_{reading.utterance}":
            reading.end(error)
        elif about == f"cancel_{reading.utterance}" and code == "response_cancel_not_active":
            reading.end()  # it was faster than our cancel
        elif isinstance(error, ProviderUnavailable | ProviderBusy):
            reading.fail(error)
        else:
            log_event(_log, logging.WARNING, "openai_reader_error", code=code or None, error=error.message)

    def _outcome(self, response: Mapping[str, Any]) -> ProviderError | None:
        """Say what is wrong with a response that is done, if anything."""
        status, details = word(response, "status"), nested(response, "status_details")
        if status == "completed":
            return None
        if status == "failed":
            return self.socket.error_in(details)
        return self._crash(f"stopped short ({word(details, 'reason') or status or 'no reason given'})")

    def _crash(self, what: str) -> ProviderCrashed:
        return ProviderCrashed(f"{self.socket.provider} {what}", provider=self.socket.provider)

    def _lose(self, error: ProviderError) -> None:
        if self._reading is not None:
            self._reading.end(error, is_lost=True)
        self._on_lost(self)

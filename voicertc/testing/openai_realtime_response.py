"""One response of a Realtime session: its events in the service's order, until its end or a cancel."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..core.replies import ToolCall
from .openai_answers import tokens
from .openai_faults import EndResponse, FailTurn, OddSound
from .openai_realtime_items import ASSISTANT_MS_PER_TOKEN, Conversation, InputTokens, Item
from .openai_realtime_script import Course
from .openai_realtime_wire import Wire
from .openai_scenario import MS_PER_CHARACTER, Calls, Scenario, spoken

_RATE_HZ = 24_000
"""Of all sound of this service, whatever the rate of /audio/speech."""
_BYTES_PER_MS = 2 * _RATE_HZ // 1000

Ending = Literal["completed", "cancelled", "failed", "incomplete"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a response is to be: from the session and the client's ``response.create``."""

    id: str
    is_audio: bool
    voice: object
    speed: float
    limit: int | Literal["inf"]
    metadata: Mapping[str, str] | None
    given: InputTokens
    cached: InputTokens


class Response:
    """Runs in a task of its own. ``conversation``: where its items go; ``None`` if it is out of band."""

    def __init__(
        self, wire: Wire, scenario: Scenario, course: Course, order: Order, conversation: Conversation | None
    ) -> None:
        self.order = order
        self._wire = wire
        self._scenario = scenario
        self._course = course
        self._conversation = conversation
        self._clock = asyncio.get_running_loop().time
        self._cancelled = asyncio.Event()
        self._ending: Ending = "completed"
        self._reason: str | None = None
        self._output: list[Item] = []
        self._n_text = self._n_audio_bytes = 0

    @property
    def is_aside(self) -> bool:
        """Whether it is out of band."""
        return self._conversation is None

    @property
    def has_sound(self) -> bool:
        """Whether any was sent."""
        return self._n_audio_bytes > 0

    def cancel(self) -> None:
        """End soon; a few chunks may still come."""
        self._cancelled.set()

    async def run(self, said: Calls) -> None:
        """Send the whole response."""
        await self._wire.begin(self._course)
        await self._send("response.created", response=self._fields("in_progress"))
        limits = [
            dict(zip(("name", "limit", "remaining", "reset_seconds"), each, strict=True))
            for each in self._scenario.realtime.rate_limits
        ]
        await self._send("rate_limits.updated", rate_limits=limits)
        await self._pause(self._scenario.first_audio_delay)
        if self._cancelled.is_set():
            self._ending = self._early_ending()
        elif isinstance(self._course.fault, FailTurn):
            self._ending = "failed"
        else:
            await self._answer(said)

    async def end(self) -> None:
        """Send the last event."""
        await self._wire.send("response.done", self._course, response=self._fields(self._ending))

    async def _answer(self, said: Calls) -> None:
        if said.text:
            await self._say(said.text)
        for index, call in enumerate(said.calls):
            if self._ending == "completed":
                await self._call(call, f"call_{self.order.id.removeprefix('resp_')}_{index}")

    async def _say(self, text: str) -> None:
        kind = "output_audio" if self.order.is_audio else "output_text"
        item = Item({"type": "message", "role": "assistant", "content": []})
        item.ms_per_character = MS_PER_CHARACTER / self.order.speed
        where = await self._begin_item(item)
        where |= {"content_index": 0}
        part = {"type": "audio", "transcript": ""} if self.order.is_audio else {"type": "text", "text": ""}
        await self._send("response.content_part.added", **where, part=part)
        heard = await (self._send_sound if self.order.is_audio else self._send_text)(text, item, where)
        name = "transcript" if self.order.is_audio else "text"
        if self.order.is_audio:
            await self._send("response.output_audio.done", **where)
            await self._send("response.output_audio_transcript.done", **where, transcript=heard)
        else:
            await self._send("response.output_text.done", **where, text=heard)
        await self._send("response.content_part.done", **where, part=part | {name: heard})
        if item.cut_ms is None:
            item.fields = {**item.fields, "content": [{"type": kind, name: heard}]}
        await self._end_item(item)

    async def _send_sound(self, text: str, item: Item, where: Mapping[str, Any]) -> str:
        """Send sound, and its transcript ahead of it; return the transcript as far as it was sent."""
        sound = spoken(text, speed=self.order.speed, rate_hz=_RATE_HZ).astype("<i2").tobytes()
        words, n_words, n_late = tokens(text), 0, 0
        bytes_per_second, begun = 2 * _RATE_HZ * self._scenario.audio_speed, self._clock()
        size = self._scenario.audio_chunk_bytes
        lead = self._scenario.realtime.transcript_lead * 1000 / item.ms_per_character
        for start in range(0, len(sound), size):
            await self._pause(begun + start / bytes_per_second - self._clock())
            if self._cancelled.is_set():
                self._ending = self._early_ending()
                n_late += 1
                if self._reason or n_late > self._scenario.realtime.late_chunks:
                    break
            end = min(start + size, len(sound))
            n_due = _n_begun(words, end / _BYTES_PER_MS / item.ms_per_character + lead)
            if self._is_too_long(n_due, end):
                self._ending = "incomplete"
                break
            for word in words[n_words:n_due]:
                self._n_text += 1
                item.heard += word
                await self._send("response.output_audio_transcript.delta", **where, delta=word)
            n_words = max(n_words, n_due)
            is_odd = isinstance(self._course.fault, OddSound) and end == len(sound)
            delta = base64.b64encode(sound[start : end - is_odd]).decode()
            self._n_audio_bytes += end - start
            item.audio_ms = end / _BYTES_PER_MS
            await self._send("response.output_audio.delta", **where, delta=delta)
        return item.heard

    async def _send_text(self, text: str, item: Item, where: Mapping[str, Any]) -> str:
        said = ""
        for word in tokens(text):
            await self._pause(self._scenario.token_interval)
            if self._cancelled.is_set():
                self._ending = self._early_ending()
                break
            if self._is_too_long(self._n_text + 1, 0):
                self._ending = "incomplete"
                break
            self._n_text += 1
            said += word
            await self._send("response.output_text.delta", **where, delta=word)
        return said

    async def _call(self, call: ToolCall, call_id: str) -> None:
        item = Item({"type": "function_call", "name": call.name, "call_id": call_id, "arguments": ""})
        where = await self._begin_item(item) | {"call_id": call_id}
        size = self._scenario.call_piece or max(1, len(call.arguments))
        sent = ""
        for start in range(0, len(call.arguments), size):
            await self._pause(self._scenario.token_interval)
            if self._cancelled.is_set():
                self._ending = self._early_ending()
                break
            piece = call.arguments[start : start + size]
            self._n_text += 1
            sent += piece
            await self._send("response.function_call_arguments.delta", **where, delta=piece)
        done = {"name": call.name, "arguments": sent}
        await self._send("response.function_call_arguments.done", **where, **done)
        item.fields = {**item.fields, "arguments": sent}
        await self._end_item(item)

    async def _begin_item(self, item: Item) -> dict[str, Any]:
        """Announce an item and return where its events say they belong."""
        item_id = f"item_{self.order.id.removeprefix('resp_')}_{len(self._output)}"
        item.fields = {"id": item_id, "object": "realtime.item", "status": "in_progress", **item.fields}
        place = {"response_id": self.order.id, "output_index": len(self._output)}
        self._output.append(item)
        await self._send("response.output_item.added", **place, item=item.fields)
        if self._conversation is not None:
            previous = self._conversation.add(item)
            await self._send("conversation.item.added", item=item.fields, previous_item_id=previous)
        return place | {"item_id": item_id}

    async def _end_item(self, item: Item) -> None:
        item.fields["status"] = "completed" if self._ending == "completed" else "incomplete"
        if self._conversation is not None:
            previous = self._conversation.before(item)
            await self._send("conversation.item.done", item=item.fields, previous_item_id=previous)
        place = {"response_id": self.order.id, "output_index": self._output.index(item)}
        await self._send("response.output_item.done", **place, item=item.fields)

    def _early_ending(self) -> Ending:
        return "incomplete" if self._reason == "content_filter" else "cancelled"

    def _is_too_long(self, n_text: int, n_bytes: int) -> bool:
        n_audio = math.ceil(n_bytes / _BYTES_PER_MS / ASSISTANT_MS_PER_TOKEN)
        return self.order.limit != "inf" and n_text + n_audio > self.order.limit

    async def _pause(self, seconds: float) -> None:
        """Wait, at most until a cancel; always let others run."""
        if seconds <= 0 or self._cancelled.is_set():
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cancelled.wait(), seconds)

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._wire.send(kind, self._course, **fields)
        match self._course.fault:
            case EndResponse(after, reason) if after == self._course.n_sent:
                self._reason = reason
                self._cancelled.set()
            case _:
                pass
        if self._course.is_stalled:
            await self._cancelled.wait()
            self._course.is_stalled = False

    def _fields(self, status: str) -> dict[str, Any]:
        order, is_over = self.order, status != "in_progress"
        output = {"format": {"type": "audio/pcm", "rate": _RATE_HZ}, "voice": order.voice}
        return {
            "object": "realtime.response",
            "id": order.id,
            "status": status,
            "status_details": self._details() if is_over else None,
            "output": [item.fields for item in self._output],
            "conversation_id": None if self._conversation is None else "conv_1",
            "output_modalities": ["audio" if order.is_audio else "text"],
            "max_output_tokens": order.limit,
            "metadata": order.metadata,
            "audio": {"output": output},
            "usage": self._usage() if is_over else None,
        }

    def _details(self) -> dict[str, Any] | None:
        match self._ending:
            case "completed":
                return None
            case "cancelled":
                return {"type": "cancelled", "reason": self._reason or "client_cancelled"}
            case "incomplete":
                return {"type": "incomplete", "reason": self._reason or "max_output_tokens"}
            case "failed":
                fault = self._course.fault
                assert isinstance(fault, FailTurn)  # nothing else lets a response fail
                error = {"type": "server_error", "code": fault.code, "message": fault.message}
                return {"type": "failed", "error": error}

    def _usage(self) -> dict[str, Any]:
        given, cached = self.order.given, self.order.cached
        n_audio = math.ceil(self._n_audio_bytes / _BYTES_PER_MS / ASSISTANT_MS_PER_TOKEN)
        n_in, n_out = given.text + given.audio, self._n_text + n_audio
        split = {"text_tokens": cached.text, "audio_tokens": cached.audio, "image_tokens": 0}
        return {
            "total_tokens": n_in + n_out,
            "input_tokens": n_in,
            "output_tokens": n_out,
            "input_token_details": {
                "text_tokens": given.text,
                "audio_tokens": given.audio,
                "image_tokens": 0,
                "cached_tokens": cached.text + cached.audio,
                "cached_tokens_details": split,
            },
            "output_token_details": {"text_tokens": self._n_text, "audio_tokens": n_audio},
        }


def _n_begun(words: Sequence[str], n_characters: float) -> int:
    """Return how many words begin before this many characters of the text."""
    n, position = 0, 0
    while n < len(words) and position < n_characters:
        position += len(words[n])
        n += 1
    return n

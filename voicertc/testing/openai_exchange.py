"""One request to the fake OpenAI server and its answer, on the wire: reading, pacing, and going wrong."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeAlias

from aiohttp import web

from .openai_faults import Cut, FailInside, Fault, Refuse, Send, Stall
from .openai_refusals import RefusedError
from .openai_rules import WavFile, check_wav
from .openai_scenario import Endpoint, ReceivedRequest, Scenario

Failure: TypeAlias = Callable[[FailInside, int], Mapping[str, Any]]
"""Makes the event of a stream that a fault sends, given the event's number."""


def _error_object(fault: FailInside, number: int) -> Mapping[str, Any]:
    return RefusedError(fault.message, code=fault.code, kind="server_error").body


class Exchange:
    """Owned by the handler of one request. What happens is noted in ``record`` as it happens."""

    def __init__(
        self,
        request: web.Request,
        endpoint: Endpoint,
        scenario: Scenario,
        changed: Callable[[], None],
    ) -> None:
        self.request = request
        self._changed = changed
        self.fault: Fault | None = None
        self._scenario = scenario
        self._upload: tuple[str, bytes] | None = None
        self._clock = asyncio.get_running_loop().time
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        self.record = ReceivedRequest(
            endpoint,
            at=self._clock(),
            connection=peer[1] if peer else 0,
            headers={name.lower(): value for name, value in request.headers.items()},
        )

    async def read(self) -> None:
        """Read the body into ``record.fields``; refuse one of the wrong kind."""
        if self.request.method == "GET":
            return
        if self.record.endpoint == "transcriptions":
            self.record.fields = await self._form()
            self._changed()
            return
        try:
            body = json.loads(await self.request.read())
        except ValueError as error:
            raise RefusedError("We could not parse the JSON body of your request.") from error
        if self.request.content_type != "application/json" or not isinstance(body, dict):
            raise RefusedError("We could not parse the JSON body of your request.")
        self.record.fields = body
        self._changed()

    def file(self) -> WavFile:
        """Return the sound that was uploaded, or refuse it."""
        if self._upload is None:
            message = "Missing required parameter: 'file'."
            raise RefusedError(message, param="file", code="missing_required_parameter")
        return check_wav(*self._upload)

    async def fail(self) -> web.StreamResponse | None:
        """Let the fault come true, if it is one that comes before anything else."""
        match self.fault:
            case Refuse() as refusal:
                error = RefusedError(refusal.message, code=refusal.code, kind="server_error")
                body = json.dumps(error.body).encode() if refusal.body is None else refusal.body
                response = web.Response(
                    status=refusal.status,
                    body=body,
                    headers={"Content-Type": refusal.content_type, **refusal.headers},
                )
            case Send(body, content_type):
                response = web.Response(body=body, headers={"Content-Type": content_type})
            case Cut(0):
                await self._cut()
            case Stall(0):
                await self._stall()
            case _:
                return None
        self.record.outcome = "failed"
        return self.whole(response)

    def whole(self, response: web.Response) -> web.Response:
        """Note a body that is sent at once."""
        self._note_status(response)
        self.record.n_sent = 1
        self._changed()
        self.record.first_byte_at = self._clock()
        return response

    def refused(self, response: web.Response) -> web.Response:
        """Note a refusal."""
        self.record.outcome = "refused"
        return self.whole(response)

    async def before_first_token(self) -> None:
        """Wait as long as an answer takes to begin."""
        await asyncio.sleep(self._scenario.first_token_delay)

    async def send_events(
        self,
        events: Iterable[Mapping[str, Any]],
        *,
        lead: int = 0,
        is_token: Callable[[Mapping[str, Any]], bool] = lambda event: True,
        failure: Failure = _error_object,
        is_named: bool = False,
    ) -> web.StreamResponse:
        """Send an event stream; the first ``lead`` events are sent with the first token and are none.

        ``is_token`` tells which others are; ``failure`` makes the event that a fault sends, given its number.
        Where events are named by their types, as at /responses, there is no ``[DONE]``.
        """
        response = await self._begin("text/event-stream; charset=utf-8")
        await self._pause(self._scenario.first_token_delay, response)
        for index, event in enumerate(events):
            counts = index >= lead and is_token(event)
            if counts and index > lead:
                await self._pause(self._scenario.token_interval, response)
            if index >= lead and await self._fail_here(response, failure, index, is_named=is_named):
                return response
            await self._send_event(response, event, is_named=is_named)
            self.record.n_sent += counts
            self._changed()
        if self._scenario.sends_done and not is_named:
            await self._send_event(response, "[DONE]")
        await asyncio.sleep(self._scenario.linger)
        await response.write_eof()
        return response

    async def send_sound(self, sound: bytes) -> web.StreamResponse:
        """Send sound, as fast as the scenario's ``audio_speed``."""
        scenario = self._scenario
        await asyncio.sleep(scenario.first_audio_delay)
        response = await self._begin("audio/pcm")
        begun, bytes_per_second = self._clock(), 2 * scenario.rate_hz * scenario.audio_speed
        for start in range(0, len(sound), scenario.audio_chunk_bytes):
            await asyncio.sleep(max(0.0, begun + start / bytes_per_second - self._clock()))
            await self._fail_here(response)
            await self._write(response, sound[start : start + scenario.audio_chunk_bytes])
            self.record.n_sent += 1
            self._changed()
        await response.write_eof()
        return response

    def end(self) -> None:
        """Note that it is over."""
        self.record.ended_at = self._clock()
        self._changed()

    async def _form(self) -> dict[str, Any]:
        """Read a multipart form; ``name[]`` is a list."""
        if self.request.content_type != "multipart/form-data":
            raise RefusedError("Could not parse multipart form")
        fields: dict[str, Any] = {}
        for name, value in (await self.request.post()).items():
            if isinstance(value, web.FileField):
                if name != "file":
                    raise RefusedError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
                with value.file as file:
                    self._upload = (value.filename, file.read())
            elif name.endswith("[]"):
                fields.setdefault(name.removesuffix("[]"), []).append(value)
            else:
                fields[name] = value
        return fields

    async def _begin(self, content_type: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.enable_chunked_encoding()
        self._note_status(response)
        await response.prepare(self.request)
        return response

    def _note_status(self, response: web.StreamResponse) -> None:
        response.headers["x-request-id"] = f"req_{self.record.connection}"
        self.record.status = response.status

    async def _fail_here(
        self,
        response: web.StreamResponse,
        failure: Failure = _error_object,
        number: int = 0,
        *,
        is_named: bool = False,
    ) -> bool:
        """Let a fault come true whose piece is the next; return whether the body is over then."""
        match self.fault:
            case Cut(after) if after == self.record.n_sent:
                await self._cut()
            case Stall(after) if after == self.record.n_sent:
                await self._stall(response)
            case FailInside() as fault if fault.after == self.record.n_sent:
                await self._send_event(response, failure(fault, number), is_named=is_named)
                if not is_named:
                    await self._cut()
                self.record.outcome = "failed"
                await response.write_eof()
                return True
            case _:
                pass
        return False

    async def _cut(self) -> NoReturn:
        self.record.outcome = "failed"
        if self.request.transport is not None:
            self.request.transport.close()
        await self._wait_for_the_client_to_leave()

    async def _stall(self, response: web.StreamResponse | None = None) -> NoReturn:
        self.record.outcome = "failed"
        while response is not None and self._scenario.comment_interval is not None:
            await self._pause(self._scenario.comment_interval, response)
        await self._wait_for_the_client_to_leave()

    async def _wait_for_the_client_to_leave(self) -> NoReturn:
        await asyncio.Event().wait()  # the server cancels the handler then
        raise AssertionError("nobody sets this event")

    async def _pause(self, seconds: float, response: web.StreamResponse) -> None:
        interval = self._scenario.comment_interval
        end = self._clock() + seconds
        while interval is not None and end - self._clock() > interval:
            await asyncio.sleep(interval)
            await self._write(response, f": keep-alive{2 * self._scenario.line_end}".encode())
        await asyncio.sleep(max(0.0, end - self._clock()))

    async def _send_event(
        self, response: web.StreamResponse, told: Mapping[str, Any] | str, *, is_named: bool = False
    ) -> None:
        data = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
        line_end = self._scenario.line_end
        name = f"event: {told['type']}{line_end}" if is_named and not isinstance(told, str) else ""
        event = f"{name}data: {data}{2 * line_end}".encode()
        size = self._scenario.write_bytes or len(event)
        for start in range(0, len(event), size):
            await self._write(response, event[start : start + size])
            await asyncio.sleep(0)

    async def _write(self, response: web.StreamResponse, piece: bytes) -> None:
        if self.record.first_byte_at is None:
            self.record.first_byte_at = self._clock()
        await response.write(piece)


def wav_header(rate_hz: int) -> bytes:
    """Return the header of a mono 16-bit WAV stream whose length is not known yet."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(b"")
    header = bytearray(file.getvalue())
    header[4:8] = header[40:44] = b"\xff\xff\xff\xff"
    return bytes(header)

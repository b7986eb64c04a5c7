"""A strict OpenAI server on this machine: for tests of adapters, of applications, and for latency benchmarks.

    async with FakeOpenAI(Scenario(transcripts=["What time is it?"], first_token_delay=0.2)) as fake:
        client = OpenAIClient(OpenAIOptions(base_url=fake.base_url, api_key=Secret(fake.api_key)))
        ...
        assert fake.requests_to("chat")[0].fields["messages"][-1]["content"] == "What time is it?"

It speaks ``/v1/audio/transcriptions``, ``/v1/chat/completions``, ``/v1/responses``, ``/v1/audio/speech``,
``/v1/models`` and the WebSocket ``/v1/realtime`` (``openai_realtime``) over real sockets, refuses what OpenAI
refuses (``openai_rules``), and notices a client that goes away. It says a tone of 60 ms for each character,
so that lengths can be computed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from aiohttp import web

from .openai_answers import (
    chat_chunks,
    chat_completion,
    chat_pieces,
    model,
    model_list,
    transcript_events,
    transcription,
    usage_of,
)
from .openai_chat_rules import check_chat
from .openai_exchange import Exchange, wav_header
from .openai_faults import (
    CloseSocket,
    Cut,
    EndResponse,
    FailInside,
    FailTurn,
    Fault,
    LeaveOut,
    Mute,
    OddSound,
    Refuse,
    Send,
    SendFrame,
    Stall,
)
from .openai_realtime import RealtimeSockets
from .openai_realtime_record import ReceivedSocket
from .openai_realtime_scenario import RealtimeScenario
from .openai_refusals import RefusedError
from .openai_responses import respond
from .openai_responses_rules import check_responses
from .openai_rules import (
    MODELS,
    check_key,
    check_speech,
    check_transcription,
    refuse_fields,
)
from .openai_scenario import Calls, Endpoint, ReceivedRequest, Scenario, spoken

__all__ = [
    "Calls",
    "CloseSocket",
    "Cut",
    "EndResponse",
    "FailInside",
    "FailTurn",
    "FakeOpenAI",
    "Fault",
    "LeaveOut",
    "Mute",
    "OddSound",
    "RealtimeScenario",
    "ReceivedRequest",
    "ReceivedSocket",
    "Refuse",
    "Scenario",
    "Send",
    "SendFrame",
    "Stall",
    "spoken",
]

_MAX_RECORDS = 1000
"""Requests remembered: a benchmark may send any number."""
_MAX_BODY = 32 << 20
_T = TypeVar("_T")
_Answer: TypeAlias = Callable[[Exchange], Awaitable[web.StreamResponse]]


class FakeOpenAI:
    """The server, from ``async with`` to its end, on a free port of the loopback."""

    def __init__(self, scenario: Scenario | None = None) -> None:
        self.scenario = scenario or Scenario()
        self._records: deque[ReceivedRequest] = deque(maxlen=_MAX_RECORDS)
        self._faults = {endpoint: iter(faults) for endpoint, faults in self.scenario.faults.items()}
        self._turns: dict[Endpoint, Iterator[int]] = {}
        self._runner: web.AppRunner | None = None
        self._n_open = 0
        self._change = asyncio.Event()
        self._sockets = RealtimeSockets(self.scenario, self._faults.get("realtime", ()), self._changed)
        self.base_url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MAX_BODY)
        routes: Sequence[tuple[str, str, Endpoint, _Answer]] = (
            ("POST", "/v1/audio/transcriptions", "transcriptions", self._transcribe),
            ("POST", "/v1/chat/completions", "chat", self._chat),
            ("POST", "/v1/responses", "responses", self._respond),
            ("POST", "/v1/audio/speech", "speech", self._speak),
            ("GET", "/v1/models", "models", self._models),
            ("GET", "/v1/models/{name}", "models", self._models),
        )
        for method, path, endpoint, answer in routes:
            app.router.add_route(method, path, self._handler(endpoint, answer))
        app.router.add_get("/v1/realtime", self._sockets.answer)
        # Without handler_cancellation a client that leaves is noticed at the next write only.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_key(self) -> str:
        """The key that is let in; any other string if everybody is."""
        return self.scenario.api_key or "none"

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """The last thousand requests, oldest first."""
        return tuple(self._records)

    def requests_to(self, endpoint: Endpoint) -> tuple[ReceivedRequest, ...]:
        """Return those of ``requests`` that went to one endpoint."""
        return tuple(record for record in self._records if record.endpoint == endpoint)

    @property
    def sockets(self) -> tuple[ReceivedSocket, ...]:
        """The last thousand WebSockets to ``/v1/realtime``, oldest first; they are no ``requests``."""
        return tuple(self._sockets.records)

    @property
    def n_open(self) -> int:
        """Requests being answered, without WebSockets."""
        return self._n_open

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` is true; it is asked whenever anything comes, goes on or ends."""
        while not condition():
            await self._change.wait()

    async def idle(self) -> None:
        """Wait until no request is being answered: clients that left have been noticed."""
        await self.until(lambda: not self._n_open)

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    def _handler(
        self, endpoint: Endpoint, answer: _Answer
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            exchange = Exchange(request, endpoint, self.scenario, self._changed)
            self._records.append(exchange.record)
            self._n_open += 1
            self._changed()
            try:
                return await self._answered(exchange, answer)
            except (asyncio.CancelledError, ConnectionError):
                if exchange.record.outcome == "open":
                    exchange.record.outcome = "left"
                raise
            finally:
                self._n_open -= 1
                exchange.end()

        return handle

    async def _answered(self, exchange: Exchange, answer: _Answer) -> web.StreamResponse:
        try:
            if self.scenario.api_key is not None:
                check_key(exchange.request.headers.get("Authorization"), self.scenario.api_key)
            await exchange.read()
            refuse_fields(exchange.record.fields, self.scenario.refused_fields)
            exchange.fault = next(self._faults.get(exchange.record.endpoint, iter(())), None)
            response = await exchange.fail() or await answer(exchange)
        except RefusedError as error:
            return exchange.refused(web.json_response(error.body, status=error.status))
        if exchange.record.outcome == "open":
            exchange.record.outcome = "answered"
        return response

    async def _transcribe(self, exchange: Exchange) -> web.StreamResponse:
        scenario, record = self.scenario, exchange.record
        if scenario.is_strict:
            check_transcription(record.fields)
        wav = exchange.file()
        record.audio, record.rate_hz = wav.samples, wav.rate_hz
        if callable(scenario.transcripts):
            text = scenario.transcripts(wav.samples)
        else:
            text = self._in_turn("transcriptions", scenario.transcripts)
        await asyncio.sleep(scenario.transcription_delay)
        if record.fields.get("stream") == "true":
            return await exchange.send_events(transcript_events(text))
        body = transcription(text, scenario.languages, len(wav.samples) / wav.rate_hz)
        if record.fields.get("response_format") == "text":
            return exchange.whole(web.Response(text=text + "\n"))
        return exchange.whole(web.json_response(body))

    async def _chat(self, exchange: Exchange) -> web.StreamResponse:
        scenario, body = self.scenario, exchange.record.fields
        if scenario.is_strict:
            check_chat(body)
        said = self._reply("chat", body.get("messages", []))
        pieces = chat_pieces(said.text, said.calls, scenario)
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(pieces)
        finish = "length" if len(pieces) > limit else _finish(scenario.finish_reason, said, body)
        name, usage = str(body.get("model")), usage_of(body, min(len(pieces), limit), scenario.cached_tokens)
        if not body.get("stream"):
            if len(pieces) > limit:
                text = "".join(piece.get("content", "") for piece in pieces[:limit])
                said = Calls((), text)
            await asyncio.sleep(scenario.first_token_delay)
            return exchange.whole(
                web.json_response(chat_completion(name, said.text, said.calls, finish, usage))
            )
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        chunks = chat_chunks(
            name,
            pieces[:limit],
            thoughts=scenario.thoughts,
            finish_reason=finish,
            has_null_content=scenario.has_null_content or not said.text,
            usage=usage if wants_usage else None,
        )
        return await exchange.send_events(chunks, lead=1)

    async def _respond(self, exchange: Exchange) -> web.StreamResponse:
        if self.scenario.is_strict:
            check_responses(exchange.record.fields)
        return await respond(exchange, self.scenario, partial(self._reply, "responses"))

    def _reply(self, endpoint: Endpoint, messages: Sequence[Mapping[str, Any]]) -> Calls:
        replies = self.scenario.replies
        reply = replies(messages) if callable(replies) else self._in_turn(endpoint, replies)
        return reply if isinstance(reply, Calls) else Calls((), reply)

    async def _speak(self, exchange: Exchange) -> web.StreamResponse:
        scenario, body = self.scenario, exchange.record.fields
        if scenario.is_strict:
            check_speech(body)
        kind = body.get("response_format", "mp3")
        if kind not in ("pcm", "wav"):
            raise RefusedError(f"The fake speaks pcm and wav, not {kind}.", param="response_format")
        samples = spoken(str(body.get("input", "")), speed=body.get("speed", 1.0), rate_hz=scenario.rate_hz)
        sound = samples.astype("<i2").tobytes()
        if kind == "wav" or scenario.has_wav_header:
            sound = wav_header(scenario.rate_hz) + sound
        return await exchange.send_sound(sound)

    async def _models(self, exchange: Exchange) -> web.StreamResponse:
        name = exchange.request.match_info.get("name")
        if name is None:
            return exchange.whole(web.json_response(model_list(MODELS)))
        if self.scenario.is_strict and name not in MODELS:
            message = f"The model '{name}' does not exist"
            raise RefusedError(message, status=404, code="model_not_found", param="model")
        return exchange.whole(web.json_response(model(name)))

    def _in_turn(self, endpoint: Endpoint, answers: Sequence[_T]) -> _T:
        turn = next(self._turns.setdefault(endpoint, itertools.count()))
        return answers[min(turn, len(answers) - 1)]


def _finish(reason: str, said: Calls, body: Mapping[str, Any]) -> str:
    """Return the ``finish_reason``; OpenAI's is ``stop`` if the function to call was chosen by name."""
    if reason == "stop" and said.calls and not isinstance(body.get("tool_choice"), dict):
        return "tool_calls"
    return reason

"""The fake's ``GET /v1/realtime``: a WebSocket to OpenAI's Realtime service, as strict as the service.

It speaks transcription sessions (``?intent=transcription``) and conversations (``?model=…``), refuses what
the service refuses and loses what it loses. A wrong key is told after the handshake, by an event and a code::

    client                              server
       GET, 101                            session.created
       session.update                      session.updated     sound before this is lost
       input_audio_buffer.append …         …transcription.delta … while it comes
       input_audio_buffer.commit           committed, item added, item done, …delta, …completed
       response.create                     response.created, item, part, transcript and sound, … response.done
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from .openai_faults import Cut, Fault, Refuse, Stall
from .openai_realtime_conversation import ConversationSession
from .openai_realtime_record import ReceivedSocket
from .openai_realtime_rules import new_session, rejection
from .openai_realtime_script import Course, Script
from .openai_realtime_session import TranscriptionSession
from .openai_realtime_wire import GOING_AWAY, Wire, n_bytes
from .openai_refusals import RefusedError
from .openai_scenario import Scenario

_MAX_SOCKETS = 1000
"""Connections remembered."""


class RealtimeSockets:
    """The WebSockets of one fake server, and what it remembers of them."""

    def __init__(
        self, scenario: Scenario, faults: Iterable[Fault | None], changed: Callable[[], None]
    ) -> None:
        self.records: deque[ReceivedSocket] = deque(maxlen=_MAX_SOCKETS)
        self._scenario = scenario
        self._faults = iter(faults)
        self._script = Script(scenario)
        self._changed = changed

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection from its handshake to its end."""
        record, fault = self._noted(request), next(self._faults, None)
        wire = Wire(
            request,
            record,
            Course(fault),
            self._changed,
            adds_unknown=self._scenario.realtime.adds_unknown,
        )
        try:
            await asyncio.sleep(self._scenario.realtime.handshake_delay)
            match fault:
                case Refuse():
                    record.status = fault.status
                    return _refused(fault)
                case Cut(0):
                    wire.cut()
                    await asyncio.Event().wait()  # the server cancels the handler: its client has gone
                case Stall(0):
                    await asyncio.Event().wait()
            await wire.open()
            await _Connection(wire, self._scenario, self._script, record).serve()
            return wire.socket
        finally:
            if record.close_code is None:
                record.close_code = wire.socket.close_code
            record.is_open = False
            record.ended_at = asyncio.get_running_loop().time()
            self._changed()

    def _noted(self, request: web.Request) -> ReceivedSocket:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        record = ReceivedSocket(
            at=asyncio.get_running_loop().time(),
            connection=peer[1] if peer else 0,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
        )
        self.records.append(record)
        self._changed()
        return record


class _Connection:
    """What comes in on one WebSocket, and the tasks that answer it."""

    def __init__(self, wire: Wire, scenario: Scenario, script: Script, record: ReceivedSocket) -> None:
        self._wire = wire
        self._scenario = scenario
        self._script = script
        self._record = record
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve until either side closes."""
        headers, query, scenario = self._record.headers, self._record.query, self._scenario
        refused = rejection(query, headers, scenario.api_key, is_strict=scenario.is_strict)
        if refused is not None:
            error, code = refused
            await self._wire.refuse(error)
            await self._wire.close(code, str(error.body["error"]["code"]))
            return
        async with self._tasks:
            self._spawn(self._expire())
            try:
                await self._read(self._session())
            finally:
                for task in self._running:
                    task.cancel()

    def _session(self) -> TranscriptionSession:
        seconds = self._scenario.realtime.session_seconds
        is_transcription = self._record.query.get("intent") == "transcription"
        session = new_session(
            "transcription" if is_transcription else "realtime",
            self._record.query.get("model"),
            self._record.connection,
            int(time.time() + seconds),
        )
        kind = TranscriptionSession if is_transcription else ConversationSession
        return kind(self._wire, self._scenario, self._script, self._record, self._spawn, session)

    async def _read(self, session: TranscriptionSession) -> None:
        await session.begin()
        async for message in self._wire.socket:
            if message.type in (WSMsgType.PING, WSMsgType.PONG):
                await self._answer_ping(message)
                continue
            if message.type is not WSMsgType.TEXT:
                await self._wire.refuse(
                    RefusedError("Only text messages are supported.", code="invalid_json")
                )
                continue
            try:
                event = json.loads(message.data)
            except ValueError:
                await self._wire.refuse(RefusedError("The message is no valid JSON.", code="invalid_json"))
                continue
            self._record.events.append(_without_sound(event))
            await session.receive(event)
            # Events are noted before they are answered; who waits for either looks now.
            self._wire.changed()
        if self._wire.is_half_open:  # it does not answer a close either: the client has to give up
            await asyncio.Event().wait()
        await self._wire.socket.close()

    async def _answer_ping(self, message: WSMessage) -> None:
        self._record.n_pings += message.type is WSMsgType.PING
        if message.type is WSMsgType.PING and not self._wire.is_half_open:
            await self._wire.socket.pong(message.data)
        self._wire.changed()

    async def _expire(self) -> None:
        await asyncio.sleep(self._scenario.realtime.session_seconds)
        message = "Your session hit the maximum duration of 60 minutes."
        await self._wire.refuse(RefusedError(message, code="session_expired"))
        await self._wire.close(GOING_AWAY, "session_expired")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _without_sound(event: object) -> Mapping[str, Any]:
    if not isinstance(event, dict):
        return {"type": None, "value": event}
    audio = event.get("audio")
    return {**event, "audio": n_bytes(audio)} if isinstance(audio, str) else event


def _refused(refusal: Refuse) -> web.Response:
    error = RefusedError(refusal.message, code=refusal.code, kind="server_error")
    body = json.dumps(error.body).encode() if refusal.body is None else refusal.body
    headers = {"Content-Type": refusal.content_type, **refusal.headers}
    return web.Response(status=refusal.status, body=body, headers=headers)

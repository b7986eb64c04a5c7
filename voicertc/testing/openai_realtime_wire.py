"""The server's end of one WebSocket: sending events, noting them, and going wrong as the scenario says."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import WSCloseCode, web

from .openai_faults import CloseSocket, Cut, FailInside, LeaveOut, Mute, SendFrame, Stall
from .openai_realtime_record import ReceivedSocket
from .openai_realtime_script import Course
from .openai_refusals import RefusedError

_RESET = struct.pack("ii", 1, 0)
"""Linger for 0 s: closing sends a reset and not an end."""
GOING_AWAY = int(WSCloseCode.GOING_AWAY)


class Wire:
    """Owned by the handler of one connection; its tasks send through it."""

    def __init__(
        self,
        request: web.Request,
        record: ReceivedSocket,
        course: Course,
        changed: Callable[[], None],
        *,
        adds_unknown: bool,
    ) -> None:
        self.socket = web.WebSocketResponse(
            max_msg_size=32 << 20, compress=False, autoping=False, autoclose=False
        )
        self._request = request
        self._record = record
        self._course = course
        self.changed = changed
        self._adds_unknown = adds_unknown
        self._n_events = 0
        self._is_mute = False

    async def open(self) -> None:
        """Shake hands."""
        await self.socket.prepare(self._request)
        self._record.status = self.socket.status
        self._record.is_open = True
        self.changed()
        await self.begin(self._course)

    @property
    def is_half_open(self) -> bool:
        """Whether the other side must not notice that anybody is here."""
        return self._course.is_stalled

    async def begin(self, course: Course) -> None:
        """Let happen what goes wrong before the first event of a connection, a turn or a response."""
        await self._go_wrong(course)

    async def send(self, kind: str, course: Course | None = None, /, **fields: Any) -> None:
        """Send an event, which is part of a turn's or a response's ``course``."""
        courses = [self._course] if course is None else [self._course, course]
        for each in courses:
            if each.is_stalled or (isinstance(each.fault, LeaveOut) and kind in each.fault.types):
                return
        if self._adds_unknown:
            await self._write({"type": "response.weather.updated", "weather": {"is_fine": True}})
            fields |= {"x_new_field": {"a": [1]}}
        await self._write({"type": kind, **fields})
        for each in courses:
            each.n_sent += 1
            await self._go_wrong(each)

    async def refuse(self, error: RefusedError, event_id: object = None) -> None:
        """Send an ``error`` that the client's event of this id has caused."""
        await self.send("error", error=error.body["error"] | {"event_id": event_id})

    async def close(self, code: int, reason: str = "") -> None:
        """Close the WebSocket, if nobody has."""
        if not (self._is_mute or self.is_half_open or self.socket.closed):
            self._record.close_code = code
            await self.socket.close(code=code, message=reason.encode())

    def cut(self) -> None:
        """Reset the TCP connection."""
        self._is_mute = True
        transport = self._request.transport
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()

    async def _go_wrong(self, course: Course) -> None:
        match course.fault:
            case Mute():
                course.is_stalled = True
            case Cut(after) if after == course.n_sent:
                self.cut()
            case Stall(after) if after == course.n_sent:
                course.is_stalled = True
            case CloseSocket(after, code, reason) if after == course.n_sent:
                await self.close(code, reason)
            case FailInside(after, code, message) if after == course.n_sent:
                error = RefusedError(message, code=code, kind="server_error")
                await self._write({"type": "error", "error": error.body["error"] | {"event_id": None}})
            case SendFrame(after, frame) if after == course.n_sent and not self._is_mute:
                send = self.socket.send_str if isinstance(frame, str) else self.socket.send_bytes
                await send(frame)  # type: ignore[arg-type]  # chosen by the type of the frame
            case _:
                pass

    async def _write(self, event: Mapping[str, Any]) -> None:
        if self._is_mute or self.socket.closed:
            return
        self._n_events += 1
        event = {"event_id": f"event_{self._n_events:06}", **event}
        try:
            await self.socket.send_str(json.dumps(event, ensure_ascii=False))
        except ConnectionError:  # the client has gone; the reader notices
            self._is_mute = True
            return
        if event["type"] == "error":
            self._record.errors.append(event["error"])
        if event["type"] == "response.output_audio.delta":
            event = {**event, "delta": n_bytes(event["delta"])}
        self._record.sent.append(event)
        self.changed()


def n_bytes(coded: str) -> int:
    """Return how many bytes a base64 text holds."""
    return len(coded) * 3 // 4 - coded.count("=", -2)

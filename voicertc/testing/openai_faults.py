"""What can go wrong with an answer of the fake OpenAI server, as values.

``after`` counts what a service sends in pieces: tokens or chunks of a body; on a Realtime WebSocket the
server's events, from the first of the connection, of the turn or of the response that the fault is given to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an HTTP error; ``body`` replaces the usual JSON."""

    status: int
    code: str | None = None
    message: str = "The server had an error while processing your request. Sorry about that!"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection after ``after`` pieces of the body; before any, not even a status is sent."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """Send nothing more after ``after`` pieces of the body, and keep the connection open.

    A Realtime connection answers nothing from then on, not even pings; of a turn or a response only its own
    events stop, and a response ends when it is cancelled.
    """

    after: int = 0


@dataclass(frozen=True, slots=True)
class FailInside:
    """Send an ``error`` event after ``after`` tokens of a 200 answer.

    A body ends with it; a Realtime session goes on. ``as_response``: of /responses, as ``response.failed``.
    """

    after: int = 0
    code: str | None = None
    message: str = "The model failed."
    as_response: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Answer 200 with just these bytes: nothing, a web page, another format."""

    body: bytes
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Mute:
    """Realtime: shake hands, read all that comes, never say a word, not even to a ping: half-open."""


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Realtime: never send events of these types, as ``session.updated``."""

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Realtime: close the WebSocket with ``code`` after ``after`` events."""

    after: int = 1
    code: int = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Realtime: send this after ``after`` events; bytes in a binary frame. By default, broken JSON."""

    after: int = 1
    frame: str | bytes = '{"type":"response.output_audio.delta","delta":'


@dataclass(frozen=True, slots=True)
class FailTurn:
    """Realtime: the transcription of this turn, or this response, ends as ``failed``."""

    code: str | None = "server_error"
    message: str = "The server had an error while processing your request. Sorry about that!"


@dataclass(frozen=True, slots=True)
class OddSound:
    """Realtime: the last chunk of this response's sound lacks its last byte."""


BodyFault: TypeAlias = Refuse | Cut | Stall | FailInside | Send


@dataclass(frozen=True, slots=True)
class EndResponse:
    """Realtime: the service itself ends this response after ``after`` events."""

    after: int = 6
    reason: Literal["content_filter", "turn_detected"] = "content_filter"


SocketFault: TypeAlias = Refuse | Cut | Stall | FailInside | Mute | LeaveOut | CloseSocket | SendFrame
TurnFault: TypeAlias = Cut | Stall | FailInside | LeaveOut | CloseSocket | SendFrame | FailTurn
ResponseFault: TypeAlias = TurnFault | OddSound | EndResponse
Fault: TypeAlias = BodyFault | SocketFault | ResponseFault

"""What goes wrong with a service, by name: the rows of the matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Literal

from voicertc.testing.fake_openai import Scenario
from voicertc.testing.openai_faults import (
    CloseSocket,
    Cut,
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
from voicertc.testing.openai_realtime_scenario import RealtimeScenario
from voicertc.testing.openai_scenario import Endpoint

from .switch import Mode

Place = Literal["request", "turn", "response"]
"""What a fault happens to: an HTTP request or a handshake, a turn's transcription, a Realtime response."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault: what the fake does (``fault`` at ``place``), or its ``scenario``, or the ``line`` to it.

    ``address`` replaces the service's for good.
    """

    name: str
    fault: Fault | None = None
    place: Place = "request"
    scenario: Callable[[Scenario], Scenario] = lambda scenario: scenario
    line: Mode = "open"
    address: str | None = None


def _realtime(**knobs: object) -> Callable[[Scenario], Scenario]:
    def change(scenario: Scenario) -> Scenario:
        return replace(scenario, realtime=replace(scenario.realtime, **knobs))  # type: ignore[arg-type]

    return change


NO_ROUTE = (
    Trouble("connection refused", line="refuse"),
    Trouble("half-open connection", line="hold"),
    Trouble("unknown host", address="http://service.invalid/v1"),
    Trouble("TLS failure", address="https://127.0.0.1:{port}/v1"),
)
"""The service cannot be reached."""

REFUSALS = (
    Trouble("401", scenario=lambda s: replace(s, api_key="sk-the-only-key-that-is-let-in")),
    Trouble("403", Refuse(403, "unsupported_country_region_territory")),
    Trouble("404 model", Refuse(404, "model_not_found")),
    Trouble("429, Retry-After", Refuse(429, "rate_limit_exceeded", headers={"Retry-After": "20"})),
    Trouble("429", Refuse(429, "rate_limit_exceeded")),
    Trouble("quota exhausted", Refuse(429, "insufficient_quota")),
    Trouble("500", Refuse(500)),
    Trouble("hangs before headers", Stall()),
    Trouble("reset before headers", Cut()),
)
"""The service does not do what it is asked, over HTTP or in a WebSocket's handshake."""

STREAMED = (
    Trouble("hangs mid-stream", Stall(2)),
    Trouble("reset mid-stream", Cut(2)),
    Trouble("error mid-stream", FailInside(2, "server_error")),
    Trouble("malformed JSON", Send(b'data: {"oops\n\n', "text/event-stream")),
    Trouble("empty answer", Send(b"", "text/event-stream")),
    Trouble("keeps the line open", Stall(), scenario=lambda s: replace(s, comment_interval=0.3)),
    Trouble("slow trickle", scenario=lambda s: replace(s, token_interval=1.2)),
    Trouble("split UTF-8, CRLF", scenario=lambda s: replace(s, write_bytes=1, line_end="\r\n")),
)
"""A language model's stream goes wrong."""

SOUND = (
    Trouble("hangs mid-stream", Stall(8)),
    Trouble("reset mid-stream", Cut(8)),
    Trouble("empty answer", Send(b"", "audio/pcm")),
    Trouble("JSON instead of sound", Send(b'{"error": {"message": "no"}}', "application/json")),
    Trouble("odd-length PCM", scenario=lambda s: replace(s, audio_chunk_bytes=961)),
    Trouble("wrong sample rate", scenario=lambda s: replace(s, rate_hz=16_000, has_wav_header=True)),
    Trouble("slow trickle", scenario=lambda s: replace(s, audio_speed=0.3)),
)
"""A voice's body goes wrong."""

FILE = (
    Trouble("malformed JSON", Send(b'{"text": "he', "application/json")),
    Trouble("empty answer", Send(b"", "application/json")),
    Trouble("no words", scenario=lambda s: replace(s, transcripts=("",))),
    Trouble("slow", scenario=lambda s: replace(s, transcription_delay=2.2)),
)
"""A whole transcription goes wrong."""

SOCKET = (
    Trouble("never set up", LeaveOut(("session.updated",))),
    Trouble("half-open socket", Mute()),
    Trouble("goes away between turns", CloseSocket(2, 1001)),
    Trouble("session cap reached", scenario=_realtime(session_seconds=1.5)),
    Trouble("unknown events and fields", scenario=_realtime(adds_unknown=True)),
)
"""A Realtime connection goes wrong."""

_FINAL = "conversation.item.input_audio_transcription.completed"
TURN = (
    Trouble(
        "final never comes", LeaveOut(("conversation.item.input_audio_transcription.completed",)), "turn"
    ),
    Trouble("final comes late", scenario=_realtime(completion_delays=(6.0,))),
    Trouble("transcription fails", FailTurn(), "turn"),
    Trouble("reset in the turn", Cut(0), "turn"),
    Trouble("malformed JSON", SendFrame(0), "turn"),
    Trouble("hangs in the turn", Stall(0), "turn"),
)
"""A turn's transcription on a socket goes wrong."""

RESPONSE = (
    Trouble("hangs before sound", Stall(1), "response"),
    Trouble("hangs mid-stream", Stall(9), "response"),
    Trouble("reset mid-stream", Cut(9), "response"),
    Trouble("malformed JSON", SendFrame(1), "response"),
    Trouble("response fails", FailTurn(), "response"),
    Trouble("odd-length PCM", OddSound(), "response"),
    Trouble("slow trickle", scenario=lambda s: replace(s, audio_speed=0.3)),
)
"""A Realtime response goes wrong."""

READER = (
    Trouble("rewords", scenario=_realtime(reader=lambda text: text.replace("is", "was"))),
    Trouble("answers instead", scenario=_realtime(reader=lambda text: "I am sorry, I cannot do that.")),
    Trouble("says nothing", scenario=_realtime(reader=lambda text: "")),
)
"""A reader does not read."""

TROUBLES: dict[str, tuple[Trouble, ...]] = {
    "openai-file": (*NO_ROUTE, *REFUSALS, *FILE),
    "openai-live": (*NO_ROUTE, *REFUSALS, *SOCKET, *TURN),
    "openai-chat": (*NO_ROUTE, *REFUSALS, *STREAMED),
    "openai-responses": (*NO_ROUTE, *REFUSALS, *STREAMED),
    "openai-speech": (*NO_ROUTE, *REFUSALS, *SOUND),
    "openai-reader": (*NO_ROUTE, *REFUSALS, *SOCKET, *RESPONSE, *READER),
    "openai-realtime": (*NO_ROUTE, *REFUSALS, *SOCKET, *TURN, *RESPONSE),
}
"""What may go wrong with each engine."""

ENDPOINTS: dict[str, Endpoint] = {
    "openai-file": "transcriptions",
    "openai-live": "realtime",
    "openai-chat": "chat",
    "openai-responses": "responses",
    "openai-speech": "speech",
    "openai-reader": "realtime",
    "openai-realtime": "realtime",
}


def broken(scenario: Scenario, trouble: Trouble, engine: str) -> Scenario:
    """Return the fake's day with the trouble in it, all day long."""
    scenario = trouble.scenario(scenario)
    faults = repeat(trouble.fault)
    if trouble.fault is None:
        return scenario
    if trouble.place == "request":
        return replace(scenario, faults={ENDPOINTS[engine]: faults})
    where = "turns" if trouble.place == "turn" else "responses"
    realtime: RealtimeScenario = replace(scenario.realtime, **{where: faults})  # type: ignore[arg-type]
    return replace(scenario, realtime=realtime)

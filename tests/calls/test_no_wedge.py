"""Whatever a client does, in whatever order: afterwards it is heard and answered like any other.

Random sequences of events and sound go through the wire and a whole session, over both transports, in virtual
time. Then the client asks for an ordinary session, types a question and speaks another one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.calls.sockets import TestSocket, append_event
from tests.session.conftest import QUIET
from voicertc.agents.base import AgentPiece, AgentRequest, as_agent
from voicertc.audio.formats import AudioDecoder
from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.calls.opening import Opening
from voicertc.calls.socket_call import SocketCall
from voicertc.core.replies import ToolCall
from voicertc.session.setup import Services
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector
from voicertc.testing.line import Line
from voicertc.wire.realtime import RealtimeWire
from voicertc.wire.received import AudioAppended, SpeechSubmitted, Told

Event = dict[str, Any]

PLAIN: Event = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "output_modalities": ["audio"],
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "x"},
                "turn_detection": {
                    "type": "server_vad",
                    "silence_duration_ms": 500,
                    "create_response": True,
                    "interrupt_response": True,
                    "idle_timeout_ms": None,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.0},
        },
    },
}
"""An ordinary session."""
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}

# --- what a client may do ---------------------------------------------------------------------------

IDS = st.sampled_from(["mine", "yours", "@0", "@1", "@2", "@-1", "@-2", "root", "unknown"])
"""``@n`` is the n-th item that the client was told of."""
AUDIO_INPUT = st.fixed_dictionaries(
    {},
    optional={
        "turn_detection": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {"type": st.sampled_from(["server_vad", "semantic_vad"])},
                optional={
                    "create_response": st.booleans(),
                    "interrupt_response": st.booleans(),
                    "silence_duration_ms": st.sampled_from([0, 200, 3000]),
                    "idle_timeout_ms": st.sampled_from([None, 5000]),
                },
            ),
        ),
        "format": st.sampled_from([{"type": "audio/pcm"}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}]),
        "transcription": st.sampled_from([None, {"model": "x"}]),
        "noise_reduction": st.sampled_from([None, {"type": "near_field"}]),
    },
)
SESSION = st.fixed_dictionaries(
    {"type": st.sampled_from(["realtime", "realtime", "transcription"])},
    optional={
        "output_modalities": st.sampled_from([["audio"], ["text"], ["audio", "text"]]),
        "instructions": st.sampled_from(["", "Be brief."]),
        "tools": st.sampled_from([[], [TOOL]]),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": AUDIO_INPUT,
                "output": st.sampled_from(
                    [{"format": {"type": "audio/pcmu"}}, {"speed": 1.5}, {"voice": "x"}]
                ),
            },
        ),
    },
)
ITEM = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("message"),
            "role": st.sampled_from(["user", "assistant", "system"]),
            "content": st.sampled_from(
                [
                    [{"type": "input_text", "text": "hello"}],
                    [{"type": "input_text", "text": "use a tool"}],
                    [],
                ]
            ),
        },
        optional={"id": IDS},
    ),
    st.just({"type": "function_call_output", "call_id": "@call", "output": "21 degrees"}),
    st.just({"type": "function_call_output", "call_id": "unknown", "output": "?"}),
    st.just({"type": "item_reference", "id": "@0"}),
)
RESPONSE = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["auto", "none"]),
        "output_modalities": st.sampled_from([["audio"], ["text"]]),
        "instructions": st.just("Say hello."),
        "tools": st.just([TOOL]),
        "input": st.lists(ITEM, max_size=2),
    },
)
EVENT: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"type": st.just("session.update"), "session": SESSION}),
    st.just({"type": "input_audio_buffer.commit"}),
    st.just({"type": "input_audio_buffer.clear"}),
    st.just({"type": "output_audio_buffer.clear"}),
    st.fixed_dictionaries(
        {"type": st.just("conversation.item.create"), "item": ITEM}, optional={"previous_item_id": IDS}
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from([f"conversation.item.{word}" for word in ("delete", "retrieve")]),
            "item_id": IDS,
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("conversation.item.truncate"),
            "item_id": IDS,
            "content_index": st.just(0),
            "audio_end_ms": st.sampled_from([0, 100, 900, 10**6]),
        }
    ),
    st.fixed_dictionaries({"type": st.just("response.create")}, optional={"response": RESPONSE}),
    st.fixed_dictionaries({"type": st.just("response.cancel")}, optional={"response_id": IDS}),
    st.sampled_from(["{", "[]", '{"type": 3}', '{"type": "nonsense"}', b"\x00"]),
)
SOUND = st.tuples(
    st.sampled_from(["loud", "quiet"]), st.sampled_from([0.001, 0.02, 0.1, 0.3, 0.6, 1.5]), st.booleans()
)
"""How it sounds, how long it is, and whether it is sent all at once."""
PAUSE = st.sampled_from([0.0, 0.05, 0.3, 1.0, 4.0])
STEPS = st.lists(st.one_of(EVENT, EVENT, SOUND, PAUSE), max_size=25)


class Door(Protocol):
    """A transport, from the client's side."""

    @property
    def events(self) -> list[Event]:
        """What the client was told, in order."""

    def says(self, event: Event | str | bytes) -> None:
        """Send an event."""

    async def sounds(self, kind: str, seconds: float, *, at_once: bool) -> None:
        """Make a sound."""

    @property
    def has_ended(self) -> bool:
        """Whether the session is over."""


def sound_of(kind: str, seconds: float) -> Samples:
    n = round(seconds * PLAYOUT_RATE_HZ)
    wave = 12_000 * np.sin(2 * np.pi * 300 * np.arange(n) / PLAYOUT_RATE_HZ)
    return (wave if kind == "loud" else np.zeros(n)).astype(np.int16)


class SocketDoor:
    """A ``SocketCall``."""

    def __init__(self, opening: Opening) -> None:
        self.call = SocketCall(opening.call_id, lambda sink: opening.session(sink=sink))
        self.socket = TestSocket()

    @property
    def events(self) -> list[Event]:
        return self.socket.events

    @property
    def has_ended(self) -> bool:
        return self.call.session.ended.is_set()

    def says(self, event: Event | str | bytes) -> None:
        self.socket.says(event)

    async def sounds(self, kind: str, seconds: float, *, at_once: bool) -> None:
        sound = sound_of(kind, seconds)
        n = len(sound) if at_once else 480
        for begin in range(0, len(sound), n):
            self.socket.says(append_event(sound[begin : begin + n]))
            await asyncio.sleep(0 if at_once else 0.02)


class RtcDoor:
    """A session whose sound comes in real time, with the wire of a data channel."""

    def __init__(self, opening: Opening) -> None:
        self.session = opening.session()
        self.wire = RealtimeWire(name="peer", session_id=opening.session_id, transport="webrtc")
        self.events: list[Event] = []
        self.line = Line(self.session, keeps_record=False)
        self._loop = asyncio.get_running_loop()
        self.tell(self.wire.opened(self.session.options))
        self.session.subscribe(lambda fact: self.tell(self.wire.render(fact)))

    def tell(self, messages: list[str]) -> None:
        self.events += [json.loads(message) for message in messages]

    @property
    def has_ended(self) -> bool:
        return self.session.ended.is_set()

    def says(self, event: Event | str | bytes) -> None:
        message = json.dumps(event) if isinstance(event, dict) else event
        for received in self.wire.receive(message, self.session.options, self._loop.time()):
            match received:
                case Told(answer):
                    self.tell([answer])
                case SpeechSubmitted(submitted, audio, coding):
                    self.session.submit_speech(submitted, AudioDecoder(coding).decode(audio))
                case AudioAppended():
                    raise AssertionError
                case _:
                    self.session.post(received)

    async def sounds(self, kind: str, seconds: float, *, at_once: bool) -> None:
        if kind == "loud":
            self.line.says(self.line.now, lasts=seconds)
        if not at_once:
            await asyncio.sleep(seconds)


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Door]:
    recognizer = FakeRecognizer(f"words {n}" for n in itertools.count())
    services = Services(recognizer, as_agent(answer), FakeVoice(), LoudnessDetector())
    opening = Opening(services, QUIET)
    if kind == "websocket":
        door = SocketDoor(opening)
        tasks = [asyncio.create_task(door.call.run()), asyncio.create_task(door.call.serve(door.socket))]
        yield door
        door.socket.hangs_up()
        await asyncio.gather(*tasks)
    else:
        peer = RtcDoor(opening)
        ticking = asyncio.create_task(peer.line.run(until=1e9))
        yield peer
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        await peer.session.close()
    assert recognizer.n_open == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def answer(request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
    await asyncio.sleep(0.2)
    if request.tools and "tool" in request.user_text:
        yield ToolCall("weather", "{}")
    else:
        yield f"You said {request.user_text or 'nothing'}."


async def act(door: Door, step: Any) -> None:
    match step:
        case float():
            await asyncio.sleep(step)
        case (kind, seconds, at_once):
            await door.sounds(kind, seconds, at_once=at_once)
        case dict():
            door.says(resolved(door, step))
        case _:
            door.says(step)
    assert not door.has_ended, "it broke"


def resolved(door: Door, event: Event) -> Event:
    """Put ids that the client was told for ``@n`` and ``@call``."""
    items = [told["item"] for told in door.events if told["type"] == "conversation.item.added"]
    calls = [item["call_id"] for item in items if item["type"] == "function_call"] or ["none yet"]

    def put(value: Any) -> Any:
        match value:
            case dict():
                return {key: put(inner) for key, inner in value.items()}
            case list():
                return [put(inner) for inner in value]
            case "@call":
                return calls[-1]
            case str() if value.startswith("@") and items:
                return (
                    items[min(int(value[1:]), len(items) - 1)]["id"]
                    if int(value[1:]) >= 0
                    else items[-1]["id"]
                )
        return value

    return put(event)  # type: ignore[no-any-return]


def replies(events: list[Event]) -> list[str]:
    """What was said in the responses that were completed, in the conversation."""
    done = (event["response"] for event in events if event["type"] == "response.done")
    return [
        part.get("transcript") or part.get("text") or ""
        for response in done
        if response["status"] == "completed" and response["conversation_id"]
        for item in response["output"]
        for part in item.get("content", ())
    ]


async def is_answered(door: Door) -> None:
    """Ask like an ordinary client."""
    door.says(PLAIN)
    await asyncio.sleep(45.0)  # what is under way comes to its end: a turn has 30 s, a reply 12
    n_told = len(door.events)
    content = [{"type": "input_text", "text": "something fresh"}]
    item = {"id": "fresh", "type": "message", "role": "user", "content": content}
    door.says({"type": "conversation.item.create", "item": item})
    door.says({"type": "response.create"})
    await asyncio.sleep(8.0)
    told = door.events[n_told:]
    assert any(said.endswith("something fresh.") for said in replies(told)), told
    n_told = len(door.events)
    await door.sounds("loud", 0.8, at_once=False)
    await door.sounds("quiet", 1.0, at_once=False)
    await asyncio.sleep(8.0)
    told = door.events[n_told:]
    heard = [
        event["transcript"]
        for event in told
        if event["type"] == "conversation.item.input_audio_transcription.completed"
    ]
    assert heard, told
    assert any(said.endswith(f"{heard[-1]}.") for said in replies(told)), told
    assert not door.has_ended


@pytest.mark.parametrize("kind", ["websocket", "webrtc"])
@given(steps=STEPS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_sequence_of_events_wedges_a_session(kind: str, steps: list[Any]) -> None:
    async def main() -> None:
        async with opened(kind) as door:
            for step in steps:
                await act(door, step)
            await is_answered(door)

    virtual_time.run(main())

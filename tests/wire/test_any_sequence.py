"""Whatever clients send, in any order: they are told what OpenAI's types allow, and the next is served."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.theatre import Theatre
from voicertc.core import commands
from voicertc.core.commands import Command
from voicertc.core.facts import Fact
from voicertc.wire import RealtimeWire
from voicertc.wire.received import AudioAppended, SpeechSubmitted, Told

from .openai_types import check

TEXT_PART = {"type": "input_text", "text": "hello"}
TOOL = {"type": "function", "name": "weather", "description": "", "parameters": {"type": "object"}}
MESSAGES: list[dict[str, Any]] = [
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Sing.",
            "output_modalities": ["audio"],
            "tools": [TOOL],
            "tool_choice": {"type": "function", "name": "weather"},
            "max_output_tokens": 100,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "whisper-1", "language": "en", "prompt": "Oslo"},
                    "noise_reduction": {"type": "near_field", "strength": 0.5},
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "silence_duration_ms": 500,
                        "idle_timeout_ms": 6000,
                        "create_response": True,
                    },
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.25},
            },
            "voicertc": {"events": ["*"]},
        },
    },
    {"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}, "tools": []}},
    {"type": "session.update", "session": {"output_modalities": ["text"], "tool_choice": "none"}},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "output_audio_buffer.clear"},
    {
        "type": "conversation.item.create",
        "previous_item_id": "item_u1",
        "item": {"id": "mine", "type": "message", "role": "user", "content": [TEXT_PART]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]},
    },
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {"type": "message", "role": "system", "content": [TEXT_PART, TEXT_PART]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "call_1", "output": "21"},
    },
    {"type": "conversation.item.retrieve", "item_id": "item_u1"},
    {"type": "conversation.item.delete", "item_id": "item_r1"},
    {"type": "conversation.item.truncate", "item_id": "item_r1", "content_index": 0, "audio_end_ms": 700},
    {"type": "response.create"},
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "output_modalities": ["text"],
            "instructions": "Tag it.",
            "metadata": {"topic": "weather"},
            "tools": [TOOL],
            "tool_choice": "required",
            "max_output_tokens": "inf",
            "audio": {"output": {"voice": {"id": "marin"}}},
            "input": [
                {"type": "item_reference", "id": "item_u1"},
                {"type": "message", "role": "user", "content": [TEXT_PART]},
            ],
        },
    },
    {"type": "response.cancel", "response_id": "resp_1"},
    {"type": "response.cancel"},
    {"type": "response.tickle"},
]
ODD: list[object] = [
    *(None, True, -1, 0, 1.5, 10**30, "", "x" * 600, "\ud800", "none", "item_u1", "resp_2", "root"),
    *([], {}, [[]], [None], {"type": "x"}, {"id": "item_r1"}, ["audio"], [TOOL], [TOOL, TOOL], TEXT_PART),
]
STEPS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 10**6), st.integers(0, 10**4), st.integers(0, 10**4)), max_size=30
)


class Audience:
    """A call's own client and a sideband: what each is told is judged, and kept."""

    def __init__(self, theatre: Theatre) -> None:
        self.peer = RealtimeWire(name="peer", session_id="sess_ab12", transport="webrtc")
        self.sideband = RealtimeWire(name="sideband", session_id="sess_ab12", transport="sideband")
        self.told: dict[str, list[str]] = {"peer": [], "sideband": []}
        self._theatre = theatre
        self._watch = theatre.onlooker.watch
        theatre.onlooker.watch = self._watch_and_render  # type: ignore[method-assign]
        for wire in (self.peer, self.sideband):
            self._keep(wire, wire.opened(theatre.conversation.session))

    def _watch_and_render(self, ordered: list[Command]) -> None:
        self._watch(ordered)
        for command in ordered:
            if isinstance(command, commands.Publish):
                self._render(command.fact)

    def _render(self, fact: Fact) -> None:
        for wire in (self.peer, self.sideband):
            self._keep(wire, wire.render(fact))

    def _keep(self, wire: RealtimeWire, texts: list[str]) -> None:
        for text in texts:
            assert "Infinity" not in text
            assert "NaN" not in text
            self.told[wire.name].append(check(text)["type"])

    def send(self, wire: RealtimeWire, message: object) -> None:
        theatre = self._theatre
        received = wire.receive(json.dumps(message), theatre.conversation.session, theatre.now)
        for event in received:
            match event:
                case AudioAppended() | Told():
                    pass
                case SpeechSubmitted(submitted):
                    theatre.post(submitted)
                case _:
                    theatre.post(event)


def altered(message: dict[str, Any], where: int, how: int) -> dict[str, Any]:
    """Return ``message`` with one of its values exchanged for an odd one, or as it is."""
    message = copy.deepcopy(message)
    places = list(_places(message))
    if where % 3 == 0 or not places:
        return message
    inside, key = places[where // 3 % len(places)]
    inside[key] = ODD[how % len(ODD)]
    return message


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(STEPS)
def test_no_sequence_of_messages_wedges_a_session_or_breaks_its_language(
    steps: list[tuple[bool, int, int, int]],
) -> None:
    theatre = Theatre(is_client_paced=False)
    audience = Audience(theatre)
    for is_sent, number, where, how in steps:
        if is_sent:
            wire = audience.sideband if number % 5 == 0 else audience.peer
            audience.send(wire, altered(MESSAGES[number % len(MESSAGES)], where, how))
        else:
            theatre.choose(number)
    theatre.settle()
    theatre.onlooker.look_back()

    theatre.now += 100.0  # a flood is forgiven
    for told in audience.told.values():
        told.clear()
    audience.send(audience.peer, {"type": "session.update", "session": {"output_modalities": ["text"]}})
    audience.send(audience.peer, {"type": "response.create"})
    theatre.settle()
    for told in audience.told.values():
        assert told[:2] == ["session.updated", "response.created"]
        assert told.count("response.done") == 1

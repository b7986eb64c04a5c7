"""What a client may change about what is heard beside the voice, and when it is shown that."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from voicertc.core import facts
from voicertc.core.events import ClientErred, SessionUpdated
from voicertc.core.options import SessionOptions, SoundOptions
from voicertc.wire import RealtimeWire, RtviWire
from voicertc.wire.fields import Fields
from voicertc.wire.session_json import read_session

from .talk import sent, told, updated, wire_by

MINE = SoundOptions(
    enable_thinking_sound=False,
    thinking_sound="breath",
    thinking_volume=0.5,
    enable_ambient=True,
    ambient_sound="rain",
    ambient_volume=0.2,
)
OPTIONS = SessionOptions(sounds=MINE)
EVENTS_DOC = Path(__file__).parents[2] / "docs" / "events.md"


@pytest.fixture
def wire() -> RealtimeWire:
    return wire_by()


def shown(wire: RealtimeWire, options: SessionOptions = OPTIONS) -> object:
    """The ``voicertc`` part of the session as the client is shown it."""
    (event,) = told(wire, facts.SessionChanged(options))
    return event["session"].get("voicertc")


@pytest.mark.parametrize(
    ("sounds", "changes"),
    [
        ({}, {}),
        ({"enable_thinking_sound": True}, {"enable_thinking_sound": True}),
        (
            {"thinking_sound": "pulse", "thinking_volume": 1},
            {"thinking_sound": "pulse", "thinking_volume": 1.0},
        ),
        ({"thinking_sound": "default"}, {"thinking_sound": "default"}),
        (
            {"ambient_sound": None, "ambient_volume": None},
            {"ambient_sound": "default", "ambient_volume": 0.1},
        ),
        (
            {"enable_ambient": None, "thinking_volume": None},
            {"enable_ambient": False, "thinking_volume": 0.3},
        ),
        (None, asdict(SoundOptions())),
    ],
)
def test_only_what_is_present_changes(
    wire: RealtimeWire, sounds: dict[str, object] | None, changes: dict[str, object]
) -> None:
    wanted = updated(wire, OPTIONS, voicertc={"sounds": sounds})
    assert wanted == replace(OPTIONS, sounds=replace(MINE, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sounds", "code", "message"),
    [
        (
            {"thinking_sound": "/etc/passwd"},
            "invalid_value",
            "session.voicertc.sounds.thinking_sound must be one of "
            '"default", "soft_ticks", "pulse", "breath".',
        ),
        (
            {"ambient_sound": "pulse"},
            "invalid_value",
            'session.voicertc.sounds.ambient_sound must be one of "default", "room", "office", "rain".',
        ),
        ({"ambient_sound": 1}, "invalid_value", None),
        ({"ambient_volume": 1.5}, "invalid_value", None),
        ({"thinking_volume": "loud"}, "invalid_type", None),
        ({"enable_ambient": "yes"}, "invalid_type", None),
        ({"volume": 1}, "invalid_value", None),
        ([], "invalid_type", None),
    ],
)
def test_a_wrong_field_is_named_and_nothing_changes(
    wire: RealtimeWire, sounds: object, code: str, message: str | None
) -> None:
    event = sent(wire, "session.update", OPTIONS, session={"voicertc": {"sounds": sounds}})
    assert isinstance(event, ClientErred)
    assert event.code == code
    field = f".{next(iter(sounds))}" if isinstance(sounds, dict) else ""
    assert event.param == f"session.voicertc.sounds{field}"
    assert message in (None, event.message)
    assert shown(wire) is None


def test_they_are_shown_to_who_named_them_and_read_back_as_themselves(wire: RealtimeWire) -> None:
    assert shown(wire) is None
    updated(wire, OPTIONS, voicertc={"events": ["voicertc.state"]})
    assert shown(wire) == {"events": ["voicertc.state"]}
    assert updated(wire, OPTIONS, voicertc={"sounds": {}}) == OPTIONS  # asks for no more
    both = shown(wire)
    assert both == {"events": ["voicertc.state"], "sounds": asdict(MINE)}
    assert updated(wire_by(), SessionOptions(), voicertc=both) == OPTIONS


def test_naming_one_of_sounds_and_events_leaves_the_other_alone(wire: RealtimeWire) -> None:
    updated(wire, OPTIONS, voicertc={"events": ["voicertc.state"], "sounds": {}})
    assert updated(wire, OPTIONS, voicertc={"events": []}) == OPTIONS
    assert shown(wire) == {"sounds": asdict(MINE)}
    updated(wire, OPTIONS, voicertc={"events": ["voicertc.state"]})
    assert updated(wire, OPTIONS, voicertc={}) == OPTIONS
    assert updated(wire, OPTIONS, voicertc=None) == OPTIONS  # no events; what is heard stays
    assert shown(wire) == {"sounds": asdict(MINE)}


def test_a_session_can_begin_with_them() -> None:
    wish = Fields({"voicertc": {"sounds": {"enable_ambient": True}}}, "session")
    assert read_session(wish, SessionOptions()).sounds == SoundOptions(enable_ambient=True)


def test_rtvi_clients_choose_them_with_the_native_event() -> None:
    wire = RtviWire(name="peer", session_id="sess_ab12", about={}, clock=lambda: 0.0)
    asked = {"t": "session.update", "d": {"session": {"voicertc": {"sounds": {"ambient_sound": "rain"}}}}}
    message = json.dumps({"label": "rtvi-ai", "type": "client-message", "id": "1", "data": asked})
    meant = wire.receive(message, SessionOptions(), 0.0)
    (wanted,) = [event.options for event in meant if isinstance(event, SessionUpdated)]
    assert wanted.sounds == SoundOptions(ambient_sound="rain")


def test_the_page_on_events_names_each_field_with_its_default() -> None:
    section = EVENTS_DOC.read_text(encoding="utf-8").split("### Sounds beside the voice")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section, re.MULTILINE))
    assert {name: json.loads(default) for name, default in rows.items()} == asdict(SoundOptions())

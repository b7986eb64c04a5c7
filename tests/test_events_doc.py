"""``docs/events.md`` is true: each example is what the wire sends, and no event is forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent

from voicertc.core import facts
from voicertc.core.events import Word
from voicertc.core.facts import Fact, State
from voicertc.core.options import SessionOptions
from voicertc.core.replies import Usage
from voicertc.wire.realtime import RealtimeWire
from voicertc.wire.session_json import VOICERTC_EVENTS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")

FACTS: tuple[Fact, ...] = (
    facts.StateChanged(State.LISTENING),
    facts.InterimHeard("item_1", "what is the wea"),
    facts.FinalHeard(
        "item_1",
        "good morning",
        1.4,
        0.93,
        "en",
        1.2,
        2.1,
        (Word("good", 1.21, 1.5, 0.97), Word("morning", 1.5, 2.08)),
    ),
    facts.TurnMeasured("item_1", "resp_1", 0.5, 0.15, 0.2, 0.04, 0.11, 0.0125, 0.061),
    facts.HandedOff("billing"),
    facts.ToolProgressed("search_flights", "progress", "3 of 5 airlines"),
    facts.LinkMeasured(
        facts.LinkFlow(0.0196, 3.2, 20.0, 41.0, -24.5, 4.11),
        facts.LinkFlow(0.0, 2.0, None, 39.5, -21.0, 4.32),
        24.0,
    ),
    facts.UsageAdded(
        12.5,
        31.2,
        402,
        Usage(1830, 211, 1024),
        (facts.ServiceUsage("llm", "openai-responses", "", tokens=Usage(1830, 211, 1024)),),
    ),
    facts.CallEnding("hangup"),
)


def examples() -> dict[str, object]:
    blocks = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    return {json.loads(block)["type"]: json.loads(block) for block in blocks}


def sent() -> dict[str, object]:
    """Return our own events as a client that wants all of them is sent them."""
    options = SessionOptions()
    wire = RealtimeWire(name="peer", session_id="sess_1", transport="webrtc")
    wire.opened(options)
    wire.receive(
        json.dumps({"type": "session.update", "session": {"voicertc": {"events": ["*"]}}}), options, 0.0
    )
    told = [json.loads(message) for fact in FACTS for message in wire.render(fact)]
    return {
        event["type"]: {name: value for name, value in event.items() if name != "event_id"}
        for event in told
        if event["type"].startswith("voicertc.")
    }


def rows(heading: str) -> dict[str, list[str]]:
    """Return a section's table: the columns behind each event's name."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = (line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `"))
    return {first.strip().strip("`"): [cell.strip() for cell in rest] for first, *rest in cells}


def types_of(union: object) -> set[str]:
    models, *_ = get_args(union)
    return {get_args(model.model_fields["type"].annotation)[0] for model in get_args(models)}


def test_every_event_of_ours_is_shown_as_it_is_sent() -> None:
    assert examples() == sent()
    assert set(VOICERTC_EVENTS) == set(sent())


def test_every_client_event_of_openai_has_a_row() -> None:
    assert set(rows("Client events")) == types_of(RealtimeClientEvent)


def test_every_server_event_of_openai_has_a_row_or_is_said_never_to_be_sent() -> None:
    never = TEXT.split("Never sent:")[1].split("\n\n")[0]
    patterns = [name.removesuffix("*") for name in re.findall(r"`([\w.*]+)`", never)]
    unsent = {
        kind for kind in types_of(RealtimeServerEvent) if any(kind.startswith(name) for name in patterns)
    }
    assert set(rows("Server events")) == types_of(RealtimeServerEvent) - unsent


@pytest.mark.parametrize("heading", ["Client events", "Server events"])
def test_the_test_that_a_row_names_knows_the_event(heading: str) -> None:
    missing = [
        kind
        for kind, columns in rows(heading).items()
        for named in re.findall(r"`([\w/.]+)`", columns[-1])
        if f'"{kind}"' not in (ROOT / named).read_text(encoding="utf-8")
    ]
    assert missing == []

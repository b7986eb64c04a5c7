"""A client at its wire: what it sends, and what it is told, judged by the types of the ``openai`` package."""

from __future__ import annotations

import json
from typing import Any

from voicertc.core import facts
from voicertc.core.events import ClientErred, Origin, SessionUpdated
from voicertc.core.options import SessionOptions
from voicertc.wire import RealtimeWire
from voicertc.wire.client_events import Transport
from voicertc.wire.received import Received

from .openai_types import check

OPTIONS = SessionOptions()
ORIGIN = Origin("peer", "event_7")
"""Of all that ``sent`` sends."""


def wire_by(transport: Transport = "webrtc") -> RealtimeWire:
    """A client's wire."""
    return RealtimeWire(name="peer", session_id="sess_ab12", transport=transport)


def sent(wire: RealtimeWire, kind: str, options: SessionOptions = OPTIONS, **fields: object) -> Received:
    """What one message with the ``event_id`` ``event_7`` becomes."""
    text = json.dumps({"type": kind, "event_id": "event_7", **fields})
    (event,) = wire.receive(text, options, 0.0)
    return event


def updated(wire: RealtimeWire, options: SessionOptions = OPTIONS, **session: object) -> SessionOptions:
    """The options that a ``session.update`` asks for."""
    event = sent(wire, "session.update", options, session=session)
    assert isinstance(event, SessionUpdated), event
    return event.options


def refusal(event: Received) -> tuple[str, str | None]:
    """The code and the place of what is wrong with a message."""
    assert isinstance(event, ClientErred), event
    assert event.origin == ORIGIN
    return event.code, event.param


def told(wire: RealtimeWire, *happened: facts.Fact) -> list[dict[str, Any]]:
    """What the client is told, without the ``event_id``s."""
    return without_ids([text for fact in happened for text in wire.render(fact)])


def without_ids(texts: list[str]) -> list[dict[str, Any]]:
    """The events in ``texts``."""
    events = [check(text) for text in texts]
    for event in events:
        del event["event_id"]
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events."""
    return [event["type"] for event in events]

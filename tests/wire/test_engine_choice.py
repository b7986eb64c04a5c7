"""Who answers, as a client chooses and sees it: ``session.voicertc.engine``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from voicertc.core import events, facts
from voicertc.core.options import SessionOptions
from voicertc.wire.realtime import RealtimeWire

NAME = "openai-realtime"


class Client:
    """A client of a session, and what it was sent last."""

    def __init__(self) -> None:
        self.options = SessionOptions()
        self.wire = RealtimeWire(name="peer", session_id="sess_1", transport="webrtc")
        self.wire.opened(self.options)

    def update(self, **own: object) -> list[Any]:
        """Send an update of our own fields; return what the server makes of it."""
        message = {"type": "session.update", "session": {"voicertc": own}}
        return list(self.wire.receive(json.dumps(message), self.options, 0.0))

    def shown(self, options: SessionOptions) -> dict[str, Any]:
        """Return our part of the session as ``session.updated`` shows it."""
        (message,) = self.wire.render(facts.SessionChanged(options))
        session: dict[str, Any] = json.loads(message)["session"]
        return session.get("voicertc", {})


def test_a_client_chooses_and_is_shown_its_choice() -> None:
    client = Client()
    (update,) = client.update(engine=NAME)
    assert isinstance(update, events.SessionUpdated)
    assert update.options == replace(SessionOptions(), engine=NAME)
    assert client.shown(update.options) == {"engine": NAME}
    assert client.shown(SessionOptions()) == {"engine": "cascade"}


def test_null_is_the_cascade_and_nothing_said_changes_nothing() -> None:
    client = Client()
    client.options = SessionOptions(engine=NAME)
    (update,) = client.update(engine=None)
    assert update.options.engine == "cascade"
    client = Client()
    client.options = SessionOptions(engine=NAME)
    (update,) = client.update(events=["voicertc.state"])
    assert update.options.engine == NAME


@pytest.mark.parametrize("value", [7, ["cascade"], ""])
def test_it_is_a_name(value: object) -> None:
    (refused,) = Client().update(engine=value)
    assert isinstance(refused, events.ClientErred)
    assert refused.param == "session.voicertc.engine"


def test_others_see_openais_object_alone() -> None:
    assert Client().shown(SessionOptions(engine=NAME)) == {}


def test_who_follows_our_events_is_told_that_a_service_was_replaced() -> None:
    client = Client()
    client.update(events=["voicertc.state"])
    assert client.shown(SessionOptions()) == {"events": ["voicertc.state"]}
    assert client.shown(SessionOptions(engine=NAME)) == {"events": ["voicertc.state"], "engine": NAME}
    assert client.shown(SessionOptions()) == {"events": ["voicertc.state"], "engine": "cascade"}

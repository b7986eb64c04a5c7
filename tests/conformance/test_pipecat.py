"""npm ``@pipecat-ai/client-js`` over its small WebRTC transport in a real Chromium, with sound measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicertc.audio.pcm import Samples

from ..browser.chromium import Chromium
from ..browser.test_browser import wait_for
from .page import application, last_number_before, recorded, speech_of_user
from .server import Server
from .speech import numbers_heard
from .test_openai_tools import GET_AGE
from .words import counted_in

pytestmark = pytest.mark.browser


def named(app: Chromium, name: str) -> list[Any]:
    """Return the values of the client's events of a name."""
    values: list[Any] = app.evaluate(f"app.named({name!r})")
    return values


def until(app: Chromium, name: str, count: int = 1, within: float = 30) -> None:
    app.until(f"app.named({name!r}).length >= {count}", within)


def ask(app: Chromium, kind: str, **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = app.evaluate(f"app.ask({kind!r}, {json.dumps(fields)})")
    return answer


def test_a_call_with_a_function_a_spoken_turn_and_a_barge_in(
    server: Server, pages: str, speech: Callable[[str], Samples], tmp_path: Path
) -> None:
    wish, command = speech("we must find a new home in the stars"), speech("go forward ten meters")
    with application(f"{pages}/pipecat.html", tmp_path, [7.0, wish, 4.0, command, 5.0]) as app:
        ready = app.evaluate(f"app.connect('http://{server.plain}/api/offer')")
        assert ready["version"].startswith("2.")
        assert named(app, "transportStateChanged")[-1] == "ready"

        session = ask(app, "session.update", session={"type": "realtime", "tools": [GET_AGE]})
        assert session["tools"] == [GET_AGE]
        assert "refused" in ask(app, "response.tickle")

        app.evaluate("app.client.sendText('how old are both?') && null")
        until(app, "botStoppedSpeaking")
        assert app.evaluate("app.called") == ["the Brooklyn Bridge", "the Eiffel Tower"]
        answer = "".join(text["text"] for text in named(app, "botLlmText"))
        assert answer == "The answer is the Brooklyn Bridge is very old and the Eiffel Tower is very old."

        until(app, "botStoppedSpeaking", count=3, within=30)
        asked = server.asked(session["id"])
        story = [item for item in asked[-1]["history"] if item["role"] == "assistant"][-1]
        _, interruption = speech_of_user(app)
        last = last_number_before(app, interruption.start)
        assert 3 <= last < 40
        assert last - 2 <= counted_in(story["text"]) <= last

        finals = [said["text"] for said in named(app, "userTranscript") if said["final"]]
        assert finals == ["we must find a new home in the stars", "go forward ten meters"]
        outputs = [(told["spoken_status"], told["text"]) for told in named(app, "botOutput")]
        assert outputs[-1] == ("completed", "You said: go forward ten meters.")
        assert len(named(app, "userStartedSpeaking")) == len(named(app, "userStoppedSpeaking")) == 2
        assert len(named(app, "botStartedSpeaking")) == 3
        assert named(app, "error") == []
        # Nothing of ours is drawn by WebGL; the client looks for it.
        assert [fault for fault in app.faults() if "WebGL" not in fault] == []

        call_id = app.evaluate("app.transport.pc_id")
        app.evaluate("app.client.disconnect()")
        assert named(app, "disconnected") != []
        assert wait_for(lambda: f"call_ended call={call_id}" in server.log.read_text())


def test_a_lost_connection_is_made_anew_and_the_conversation_goes_on(
    server: Server, pages: str, tmp_path: Path
) -> None:
    with application(f"{pages}/pipecat.html", tmp_path, [1.0]) as app:
        ready = app.evaluate(f"app.start('http://{server.plain}/start')")
        assert ready["version"].startswith("2.")
        session = ask(app, "session.update", session={"type": "realtime"})
        app.evaluate("app.client.sendText('hello') && null")
        until(app, "botStoppedSpeaking")

        app.evaluate("app.transport.attemptReconnection(true)")
        app.until(
            "app.transport.pc.connectionState === 'connected' && app.transport.dc.readyState === 'open'", 30
        )
        app.evaluate("app.playAgain()")
        asked_at = app.evaluate("performance.now() / 1000")
        app.evaluate("app.client.sendText('count') && null")
        until(app, "botStartedSpeaking", count=2)
        told_at = app.evaluate("performance.now() / 1000")
        app.until(f"performance.now() / 1000 > {told_at + 2.5}")
        voice = recorded(app, "agent")
        # From when it was asked: on a busy machine the word that it speaks comes later than its first word.
        counted = numbers_heard(voice.between(asked_at, told_at + 2.5), voice.rate_hz)
        assert [number for number in counted if number][:5] == [1, 2, 3, 4, 5]
        asked = server.asked(session["id"])
        assert [item["text"] for item in asked[-1]["history"]] == ["hello", "You said: hello.", "count"]

        app.evaluate("app.client.disconnectBot()")
        until(app, "botDisconnected")

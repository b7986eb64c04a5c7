"""npm ``@openai/agents-realtime`` in a real Chromium, with sound measured on both sides."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voicertc.audio.pcm import Samples

from .agent import USAGE
from .line import client_secret
from .page import application, last_number_before, speech_of_user
from .server import Server
from .speech import numbers_heard
from .words import STORY, counted_in

pytestmark = pytest.mark.browser


def test_a_call_with_a_tool_a_barge_in_and_a_hangup(
    server: Server, pages: str, speech: Callable[[str], Samples], tmp_path: Path
) -> None:
    wish, command = speech("we must find a new home in the stars"), speech("go forward ten meters")
    key = client_secret(server, {"type": "realtime", "audio": {"output": {"voice": "marin"}}})
    short_lived = client_secret(server, {"type": "realtime"}, seconds=10)
    url = f"http://{server.plain}/v1/realtime/calls"
    with application(f"{pages}/agents.html", tmp_path, [6.0, wish, 4.0, command, 5.0]) as app:
        call_id = app.evaluate(f"app.connect({url!r}, {key!r})")
        assert call_id.startswith("rtc_")
        assert app.events("session.created")[0]["session"]["audio"]["output"]["voice"] == "marin"

        app.evaluate("app.say('how old is the bridge?')")
        app.until_event("output_audio_buffer.stopped")
        assert app.evaluate("app.called") == ["the Brooklyn Bridge"]

        app.until_event("conversation.item.truncated", within=25)
        app.until_event("output_audio_buffer.stopped", count=2)
        session_id = app.events("session.created")[0]["session"]["id"]
        story = [item for item in server.asked(session_id)[-1]["history"] if item["role"] == "assistant"][-1]
        history = app.evaluate("app.history()")

        # The reply fell silent, and what the agent knows of it is what was heard.
        _, interruption = speech_of_user(app)
        last = last_number_before(app, interruption.start)
        assert 3 <= last < 40
        assert last - 2 <= counted_in(story["text"]) <= last
        # The SDK shows the same, in the same order.
        assert history == [
            ["user", "completed", "how old is the bridge?"],
            ["assistant", "completed", "The answer is the Brooklyn Bridge is very old."],
            ["user", "completed", "we must find a new home in the stars"],
            ["assistant", "incomplete", story["text"]],
            ["user", "completed", "go forward ten meters"],
            ["assistant", "completed", "You said: go forward ten meters."],
        ]
        told = app.evaluate("app.told")
        assert (told.count("agent_tool_end"), told.count("agent_end")) == (1, 4)
        # One of the four was interrupted before it could say what it cost.
        assert app.evaluate("app.usage()") == [3 * USAGE.input_tokens, 3 * USAGE.output_tokens]

        app.evaluate("app.say('count')")
        app.until_event("output_audio_buffer.started", count=4)
        app.evaluate("app.session.interrupt()")
        app.until_event("output_audio_buffer.cleared", count=2)

        assert app.evaluate("app.faults") == []
        assert app.events("error") == []
        assert app.faults() == []
        app.evaluate(f"fetch('{url}/{call_id}/hangup', {{method: 'POST'}}).then((answer) => answer.status)")
        app.until("app.transport.status === 'disconnected'", within=10)

        # The first key would open another call; the other one has expired meanwhile, and the user is told.
        refused = app.evaluate(f"app.connect({url!r}, {short_lived!r}).catch((error) => error.message)")
        assert "expired" in refused


def test_a_browser_gives_its_key_to_a_websocket_as_a_subprotocol(
    server: Server, pages: str, tmp_path: Path
) -> None:
    key = client_secret(server, {"type": "realtime", "audio": {"output": {"voice": "marin"}}})
    with application(f"{pages}/agents.html", tmp_path, [1.0]) as app:
        url = f"ws://{server.plain}/v1/realtime?model=gpt-realtime"
        app.evaluate(f"app.connectSocket({url!r}, {key!r})")
        app.evaluate("app.say('count')")
        app.until("app.history().at(-1)?.[1] === 'completed' && app.history().length === 2")
        sound = np.frombuffer(base64.b64decode(app.evaluate("app.sound()")), dtype="<i2")
        assert numbers_heard(sound) == list(range(1, 41))
        assert app.evaluate("app.history()") == [
            ["user", "completed", "count"],
            ["assistant", "completed", STORY],
        ]
        assert app.evaluate("app.faults") == []
        assert app.faults() == []
        with_foreign_key = f"app.connectSocket({url!r}, 'ek_foreign').then(() => 'open', () => 'refused')"
        assert app.evaluate(with_foreign_key) == "refused"

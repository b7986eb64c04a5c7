"""The application with its real endpoint and media, called by the headless client; only engines are fakes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import voicertc
from voicertc import Endpoint
from voicertc.agents.base import AgentRequest, as_agent
from voicertc.server.app import ENDPOINT, assemble
from voicertc.session.setup import Services
from voicertc.settings import AgentSection, LimitsSection, Settings
from voicertc.testing.client import HeadlessClient
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector

from ..wire.openai_types import check

pytestmark = pytest.mark.network

SDP = {"Content-Type": "application/sdp"}
SETTINGS = Settings(agent=AgentSection(greeting=None), limits=LimitsSection(max_calls=1))


async def parrot(request: AgentRequest) -> AsyncGenerator[str, None]:
    yield "You said: "
    yield request.user_text


@pytest.fixture
async def server() -> AsyncGenerator[TestServer, None]:
    around = web.Application()
    services = Services(FakeRecognizer([]), as_agent(parrot), FakeVoice(), LoudnessDetector())
    around.add_subapp("/agent", assemble(Endpoint(SETTINGS, services=services), SETTINGS.server))
    server = TestServer(around)
    async with server:
        yield server


async def told(client: HeadlessClient, last: str) -> list[dict[str, Any]]:
    """All that the client is told until an event of the type ``last``, judged by OpenAI's types."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != last:
        events.append(check(json.dumps((await client.next_event()).event)))
    return events


async def test_a_typed_question_is_answered_in_openais_order(server: TestServer) -> None:
    async with HeadlessClient(str(server.make_url("/agent"))) as client:
        (created,) = await told(client, "session.created")
        assert created["session"]["output_modalities"] == ["audio"]

        client.send({"type": "session.update", "session": {"voicertc": {"events": ["voicertc.call.ending"]}}})
        await told(client, "session.updated")

        client.send({"type": "response.tickle", "event_id": "event_1"})
        (error,) = await told(client, "error")
        assert (error["error"]["code"], error["error"]["event_id"]) == ("unknown_event", "event_1")

        content = [{"type": "input_text", "text": "hello"}]
        item = {"id": "item_mine", "type": "message", "role": "user", "content": content}
        client.send({"type": "conversation.item.create", "item": item})
        client.send({"type": "response.create", "response": {"output_modalities": ["text"]}})
        events = await told(client, "response.done")
        assert [event["type"] for event in events if event["type"] != "response.output_text.delta"] == [
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        (answer,) = events[-1]["response"]["output"]
        assert answer["content"] == [{"type": "output_text", "text": "You said: hello"}]

        assert client.location is not None
        async with aiohttp.ClientSession() as http:
            for _ in range(2):  # the second time it is known still
                ended = await http.delete(server.make_url(client.location))
                assert ended.status == 200
        (ending,) = await told(client, "voicertc.call.ending")
        assert ending["reason"] == "hangup"


async def test_offers_that_cannot_be_taken_leave_running_calls_alone(server: TestServer) -> None:
    calls = server.make_url("/agent/v1/realtime/calls")
    silent_sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

    async def refusal(http: aiohttp.ClientSession, body: str) -> tuple[int, str, str | None]:
        response = await http.post(calls, data=body, headers=SDP)
        code = (await response.json())["error"]["code"]
        return response.status, code, response.headers.get("Retry-After")

    async with aiohttp.ClientSession() as http:
        assert await refusal(http, "hello") == (400, "invalid_sdp", None)
        assert await refusal(http, silent_sdp) == (422, "no_audio", None)
        unknown = await http.delete(calls / "rtc_unknown")
        assert unknown.status == 404
        async with HeadlessClient(str(server.make_url("/agent"))) as client:
            assert await refusal(http, silent_sdp) == (503, "too_many_calls", "5")
            await client.channel_opened()
            client.send({"type": "session.update", "session": {}})
            await told(client, "session.updated")


async def test_updates_sent_in_one_breath_are_all_in_force(server: TestServer) -> None:
    async with HeadlessClient(str(server.make_url("/agent"))) as client:
        await client.channel_opened()
        client.send({"type": "session.update", "session": {"instructions": "Sing."}})
        client.send({"type": "session.update", "session": {"audio": {"output": {"voice": "marin"}}}})
        client.send({"type": "session.update", "session": {"audio": {"output": {"speed": 0.5}}}})
        await told(client, "session.updated")
        await told(client, "session.updated")
        *_, updated = await told(client, "session.updated")
        session = updated["session"]
        assert (session["instructions"], session["audio"]["output"]["voice"]) == ("Sing.", "marin")
        assert session["audio"]["output"]["speed"] == 0.5


def test_an_application_holds_an_endpoint_of_its_own() -> None:
    one, other = voicertc.create_app(agent=parrot), voicertc.create_app(settings=SETTINGS)
    assert isinstance(one[ENDPOINT], Endpoint)
    assert one[ENDPOINT] is not other[ENDPOINT]
    assert one[ENDPOINT].calls == ()

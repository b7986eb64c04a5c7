"""Calls of Pipecat's clients, with real media: two real peers over loopback, only the engines are fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp.test_utils import TestServer

from voicertc import Endpoint
from voicertc.agents.base import AgentPiece, AgentRequest, as_agent
from voicertc.audio.opus import SILENCE
from voicertc.core.items import Kind
from voicertc.core.replies import ToolCall
from voicertc.errors import ClientError
from voicertc.server.app import assemble
from voicertc.session.setup import Services
from voicertc.settings import AgentSection, Settings
from voicertc.settings.sections import RtcSection
from voicertc.testing.client import ClientOptions, HeadlessClient, ReceivedEvent
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector

from ..rtc.calls import tone

pytestmark = pytest.mark.network

SETTINGS = Settings(agent=AgentSection(greeting=None), rtc=RtcSection(pause_after=0.3, close_after=0.6))
LONG = "one two three four five six seven"
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}


async def agent(request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
    """Says how warm it is, counts, tells what it knows, or repeats what it heard."""
    results = [item.text for item in request.history if item.kind is Kind.FUNCTION_CALL_OUTPUT]
    if request.tools and not results:
        yield ToolCall(request.tools[0].name, '{"city": "Paris"}')
    elif results:
        yield f"It has {results[0]} degrees."
    elif request.user_text == "count":
        yield LONG
    elif request.user_text == "history":
        yield " / ".join(item.text or "" for item in request.history)
    else:
        yield f"You said: {request.user_text}"


@pytest.fixture
async def endpoint() -> Endpoint:
    services = Services(FakeRecognizer(["hello"]), as_agent(agent), FakeVoice(), LoudnessDetector())
    return Endpoint(SETTINGS, services=services)


@pytest.fixture
async def server(endpoint: Endpoint) -> AsyncGenerator[TestServer]:
    async with TestServer(assemble(endpoint, SETTINGS.server)) as server:
        yield server


class Transport:
    """Offers as small-webrtc-transport does: it knows its connection by ``pc_id`` once it was answered."""

    def __init__(self, server: TestServer, session: dict[str, Any] | None = None) -> None:
        self._url = server.make_url("/api/offer")
        self._session = session
        self.pc_id: str | None = None
        self.is_restart = False

    async def answer(self, sdp: str) -> str:
        """Answers an offer, for a headless client. Raises ``ClientError``."""
        wanted: dict[str, Any] = {"sdp": sdp, "type": "offer", "pc_id": self.pc_id}
        wanted |= {"restart_pc": self.is_restart}
        if self._session is not None:
            wanted["requestData"] = {"session": self._session}
        async with aiohttp.ClientSession() as http, http.post(self._url, json=wanted) as response:
            answer = await response.json()
            if not response.ok:
                raise ClientError(answer["detail"], code=answer["error"]["code"], status=response.status)
        self.pc_id = answer["pc_id"]
        return str(answer["sdp"])

    async def trickle(self, *candidates: dict[str, Any]) -> int:
        body = {"pc_id": self.pc_id, "candidates": list(candidates)}
        async with aiohttp.ClientSession() as http, http.patch(self._url, json=body) as response:
            return response.status

    def client(self) -> HeadlessClient:
        return HeadlessClient(self.answer, ClientOptions(channel="chat"))


def send(client: HeadlessClient, kind: str, data: dict[str, Any], message_id: str = "msg-1") -> None:
    client.send({"label": "rtvi-ai", "type": kind, "id": message_id, "data": data})


async def told(client: HeadlessClient, last: str) -> list[ReceivedEvent]:
    """All that the client is told until a message of the type ``last``."""
    messages: list[ReceivedEvent] = []
    while not messages or messages[-1].type != last:
        messages.append(await client.next_event())
    return messages


def spoken(messages: list[ReceivedEvent]) -> str:
    return " ".join(entry.event["data"]["text"] for entry in messages if entry.type == "bot-tts-text")


def n_sounding(client: HeadlessClient) -> int:
    """How many packets came, of 20 ms each, that were not silence."""
    return sum(packet.payload != SILENCE for packet in client.packets)


def begin_saying_hello(client: HeadlessClient) -> None:
    client.begin_saying(np.concatenate([tone(0.8, 16_000), np.zeros(16_000, np.int16)]))


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (aiortc's state tells nobody)
            await asyncio.sleep(0.02)


async def test_a_client_is_ready_writes_and_is_answered_aloud(server: TestServer) -> None:
    async with Transport(server).client() as client:
        await client.channel_opened()
        client._channel.send("ping: 1795176000000")  # type: ignore[union-attr]  # no JSON, as the real one
        signalling = {"type": "trackStatus", "receiver_index": 0, "enabled": True}
        client.send({"type": "signalling", "message": signalling})
        send(client, "client-ready", {"version": "2.1.0", "about": {"library": "test"}}, "ready-1")
        (ready,) = await told(client, "bot-ready")
        assert (ready.event["id"], ready.event["data"]["version"]) == ("ready-1", "2.1.0")
        await until(lambda: client.packets)  # before anybody speaks, or no page would attach the track

        send(client, "send-text", {"content": "hi"})
        messages = await told(client, "bot-stopped-speaking")
        assert [entry.type for entry in messages if entry.type != "metrics"] == [
            "user-llm-text",
            "bot-llm-started",
            "bot-tts-started",
            "bot-started-speaking",
            "bot-llm-text",
            "bot-transcription",
            "bot-output",
            "bot-tts-text",
            "bot-tts-stopped",
            "bot-llm-stopped",
            "bot-output",
            "bot-stopped-speaking",
        ]
        assert spoken(messages) == "You said: hi"
        assert 35 < n_sounding(client) < 45  # 13 characters of 60 ms


async def test_a_spoken_turn_is_told_from_its_first_sound_to_the_answers_last(server: TestServer) -> None:
    async with Transport(server).client() as client:
        await client.channel_opened()
        begin_saying_hello(client)
        messages = await told(client, "bot-stopped-speaking")
    kinds = [entry.type for entry in messages]
    assert kinds[:6] == [
        "user-started-speaking",
        "user-transcription",
        "user-stopped-speaking",
        "user-transcription",
        "user-llm-text",
        "bot-llm-started",
    ]
    assert spoken(messages) == "You said: hello"
    (measured,) = [entry.event["data"] for entry in messages if entry.type == "metrics"]
    assert [entry["processor"] for entry in measured["ttfb"]] == ["stt", "llm", "tts"]


async def test_a_function_is_run_by_the_client_whose_result_is_spoken(server: TestServer) -> None:
    async with Transport(server, {"tools": [WEATHER]}).client() as client:
        await client.channel_opened()
        send(client, "send-text", {"content": "how warm is it?"})
        *_, called = await told(client, "llm-function-call-in-progress")
        call_id = called.event["data"]["tool_call_id"]
        named = {"tool_call_id": call_id, "function_name": "get_weather"}
        assert called.event["data"] == named | {"arguments": {"city": "Paris"}}
        send(client, "llm-function-call-result", named | {"arguments": {}, "result": 21})
        messages = await told(client, "bot-stopped-speaking")
    assert messages[0].event["data"] == named | {"cancelled": False, "result": 21}
    assert spoken(messages) == "It has 21 degrees."


async def test_native_events_are_answered_by_what_became_of_them(server: TestServer) -> None:
    async with Transport(server).client() as client:
        await client.channel_opened()
        update = {"session": {"instructions": "Be brief."}}
        send(client, "client-message", {"t": "session.update", "d": update}, "a")
        send(client, "client-message", {"t": "response.cancel"}, "b")
        send(client, "client-message", {"t": "tickle"}, "c")
        answers = [(await client.next_event()).event for _ in range(3)]
        await asyncio.sleep(0.2)
        assert len(client.events) == 3
    assert [(answer["type"], answer["id"]) for answer in answers] == [
        ("server-response", "a"),
        ("error-response", "b"),
        ("error-response", "c"),
    ]
    assert answers[0]["data"]["d"]["instructions"] == "Be brief."


async def test_a_call_may_be_negotiated_again(server: TestServer, endpoint: Endpoint) -> None:
    transport = Transport(server)
    async with transport.client() as client:
        await client.channel_opened()
        pc_id = transport.pc_id
        send(client, "send-text", {"content": "count"})
        await told(client, "bot-started-speaking")
        await client.offer_again()
        assert (transport.pc_id, endpoint.calls) == (pc_id, (pc_id,))
        n_before = len(client.packets)
        await told(client, "bot-stopped-speaking")
        assert len(client.packets) > n_before + 50
        begin_saying_hello(client)
        assert spoken(await told(client, "bot-stopped-speaking")) == "You said: hello"


async def test_a_lost_client_comes_back_and_the_bot_goes_on_where_it_was(
    server: TestServer, endpoint: Endpoint
) -> None:
    """The 0.6 seconds that others are given do not count: Pipecat's clients take a while to notice."""
    transport = Transport(server)
    async with transport.client() as lost:
        await lost.channel_opened()
        send(lost, "send-text", {"content": "count"})
        await told(lost, "bot-started-speaking")
        lost.cut_link()
        await asyncio.sleep(1.2)
        pc_id, transport.is_restart = transport.pc_id, True
        async with transport.client() as client:
            assert (transport.pc_id, endpoint.calls) == (pc_id, (pc_id,))
            rest = await told(client, "bot-stopped-speaking")
            assert [entry.type for entry in rest[-2:]] == ["bot-output", "bot-stopped-speaking"]
            assert 50 < n_sounding(client) < 99  # of 99: the rest, neither all nor nothing
            begin_saying_hello(client)
            assert spoken(await told(client, "bot-stopped-speaking")) == "You said: hello"
            send(client, "send-text", {"content": "history", "options": {"audio_response": False}})
            (answer,) = [
                entry.event["data"]["text"]
                for entry in await told(client, "bot-llm-stopped")
                if entry.type == "bot-llm-text"
            ]
            assert answer == f"count / {LONG} / hello / You said: hello / history"
    await until(lambda: endpoint.calls == ())


async def test_a_restart_that_cannot_be_leaves_the_call_as_it_is(server: TestServer) -> None:
    transport = Transport(server)
    async with transport.client() as client:
        await client.channel_opened()
        transport.is_restart = True
        with pytest.raises(ClientError, match="v=0") as caught:
            await transport.answer("hello")
        assert caught.value.status == 400
        send(client, "send-text", {"content": "hi"})
        assert spoken(await told(client, "bot-stopped-speaking")) == "You said: hi"


async def test_another_connection_that_does_not_say_so_is_asked_to(server: TestServer) -> None:
    transport = Transport(server)
    async with transport.client() as client:
        await client.channel_opened()
        with pytest.raises(ClientError) as caught:
            await transport.client().connect()
        assert (caught.value.status, caught.value.code) == (503, "restart_required")
        send(client, "client-ready", {})
        await told(client, "bot-ready")


async def test_candidates_are_taken_and_what_is_of_no_use_is_not_minded(server: TestServer) -> None:
    transport = Transport(server)
    async with transport.client() as client:
        for text in (
            "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
            "candidate:2 1 udp 2113937151 4f0c-aa.local 5001 typ host",
            "candidate:3 1 tcp 1518280447 127.0.0.1 9 typ host tcptype active",
            "candidate:what",
            "",
        ):
            sections = ({"sdp_mid": "0", "sdp_mline_index": 0}, {"sdp_mid": "7"}, {"sdp_mline_index": 9}, {})
            assert await transport.trickle(*({"candidate": text} | section for section in sections)) == 200
        await client.channel_opened()
        send(client, "client-ready", {})
        await told(client, "bot-ready")


async def test_a_bot_that_is_sent_away_says_that_it_left(server: TestServer, endpoint: Endpoint) -> None:
    async with Transport(server).client() as client:
        await client.channel_opened()
        send(client, "disconnect-bot", {})
        (left,) = await told(client, "signalling")
        assert left.event == {"type": "signalling", "message": {"type": "peerLeft"}}
        await until(lambda: endpoint.calls == () and not client.is_connected)


async def test_who_hangs_up_is_gone_at_once(server: TestServer, endpoint: Endpoint) -> None:
    async with Transport(server).client() as client:
        await client.channel_opened()
    await until(lambda: endpoint.calls == ())

"""Calls over a WebSocket: the application with its real endpoint and a real client, fakes for the engines."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestServer

from voicertc import Endpoint
from voicertc.agents.base import AgentRequest, as_agent
from voicertc.audio.pcm import HEARING_RATE_HZ, Samples
from voicertc.providers.secret import Secret
from voicertc.server import websocket
from voicertc.server.app import assemble
from voicertc.session.setup import Services
from voicertc.settings import AgentSection, LimitsSection, ServerSection, Settings
from voicertc.testing.client import HeadlessClient
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector
from voicertc.testing.socket_client import SocketClient, append_event
from voicertc.tls import self_signed

from ..wire.openai_types import check

pytestmark = pytest.mark.network

KEY, OTHER = "sk-of-the-operator-0123456789", "sk-of-another-9876543210"
STORY = "Once upon a time there was a server that answered the telephone all day long. " * 6


async def parrot(request: AgentRequest) -> AsyncGenerator[str, None]:
    yield STORY if "story" in request.user_text else f"You said {request.user_text}."


def loud(seconds: float) -> Samples:
    """A tone at 16 kHz that ``LoudnessDetector`` takes for speech."""
    n = int(HEARING_RATE_HZ * seconds)
    return (12_000 * np.sin(2 * np.pi * 300 * np.arange(n) / HEARING_RATE_HZ)).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(int(HEARING_RATE_HZ * seconds), np.int16)


class Served:
    """A running server; ``url`` is where."""

    def __init__(self, endpoint: Endpoint, server: TestServer) -> None:
        self.endpoint = endpoint
        self.url = str(server.make_url("")).rstrip("/")

    def caller(self, **options: Any) -> SocketClient:
        return SocketClient(self.url, **options)

    async def is_empty(self) -> None:
        """Wait until no call is up."""
        async with asyncio.timeout(5.0):
            while self.endpoint.calls:  # noqa: ASYNC110 (it ends by itself; there is nothing to wait for)
                await asyncio.sleep(0.02)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server with a recognizer's script, keys of the section ``server`` and a number of lines."""
    async with AsyncExitStack() as stack:

        async def start(*script: str, max_calls: int = 5, **server: Any) -> Served:
            settings = Settings(
                agent=AgentSection(greeting=None),
                limits=LimitsSection(max_calls=max_calls),
                server=ServerSection(**server),
            )
            services = Services(
                FakeRecognizer(script), as_agent(parrot), FakeVoice(first_audio=0.0), LoudnessDetector()
            )
            endpoint = Endpoint(settings, services=services)
            running = TestServer(assemble(endpoint, settings.server))
            await stack.enter_async_context(running)
            return Served(endpoint, running)

        yield start


async def refusal(served: Served, query: str = "", **options: Any) -> tuple[int, str]:
    """Return the status and the error's code with which an upgrade is refused."""
    url = f"{served.url}/v1/realtime{query}"
    async with aiohttp.ClientSession() as http:
        with pytest.raises(WSServerHandshakeError) as refused:
            await http.ws_connect(url, **options)
        handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        headers = handshake | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} | options.get("headers", {})
        if options.get("protocols"):
            headers["Sec-WebSocket-Protocol"] = ", ".join(options["protocols"])
        async with http.get(url, headers=headers) as response:
            assert response.status == refused.value.status
            return response.status, (await response.json())["error"]["code"]


# --- conversations --------------------------------------------------------------------------------


async def test_a_spoken_turn_is_answered_by_openais_types(serve: Serve) -> None:
    served = await serve("hello there")
    async with served.caller(query={"model": "gpt-realtime"}) as client:
        await client.say(loud(1.0))
        await client.next_event("response.done")
        events = [check(json.dumps(entry.event)) for entry in client.events]
        heard = client.sound()
    assert events[0]["session"]["model"] == "gpt-realtime"
    assert len(heard) == len("You said hello there.") * 24 * 60
    assert len({event["event_id"] for event in events}) == len(events)
    await served.is_empty()


async def test_a_barge_in_stops_the_reply_and_the_item_keeps_what_was_played(serve: Serve) -> None:
    served = await serve("a story", "stop")
    async with served.caller() as client:
        await client.say(loud(0.6), tail=0.0)
        await client.say(silence(0.0), tail=1.5)
        item_id = (await client.next_event("response.output_item.added")).event["item"]["id"]
        speaking = asyncio.create_task(client.say(loud(1.0)))
        await client.next_event("input_audio_buffer.speech_started")
        await client.send(
            {
                "type": "conversation.item.truncate",
                "item_id": item_id,
                "content_index": 0,
                "audio_end_ms": 1200,
            }
        )
        await client.next_event("conversation.item.truncated")
        await client.send({"type": "conversation.item.retrieve", "item_id": item_id})
        item = (await client.next_event("conversation.item.retrieved")).event["item"]
        await speaking
        await client.next_event("response.done")
        assert "error" not in client.types
    assert item["content"][0]["transcript"] == "Once upon a time"
    await served.is_empty()


async def test_a_file_sent_at_once_is_heard_turn_by_turn(serve: Serve) -> None:
    served = await serve(*(f"sentence {n}" for n in range(20)))
    sound = np.concatenate([loud(1.0), silence(1.0)] * 20)
    async with served.caller(query={"intent": "transcription"}) as client:
        await client.append(sound)
        for n in range(20):
            kind = "conversation.item.input_audio_transcription.completed"
            completed = await client.next_event(kind, timeout=20.0)
            assert completed.event["transcript"] == f"sentence {n}"
        stops = [
            entry.event["audio_end_ms"]
            for entry in client.events
            if entry.type == "input_audio_buffer.speech_stopped"
        ]
    assert stops == pytest.approx([2000 * n + 1000 for n in range(20)], abs=150)
    assert client.events[0].event["session"]["type"] == "transcription"
    assert not any(kind.startswith("response.") for kind in client.types)


async def test_a_flood_of_tiny_appends_does_not_keep_others_from_being_answered(serve: Serve) -> None:
    served = await serve("hello there")
    tiny = json.dumps(append_event(np.zeros(1, np.int16)))

    async def flood(client: SocketClient) -> None:
        for _ in range(100_000):
            await client.socket.send_str(tiny)

    async with served.caller() as flooding, served.caller() as client:
        flooders = asyncio.create_task(flood(flooding))
        await client.say(loud(1.0))
        await client.next_event("response.done")
        flooders.cancel()
        assert "error" not in flooding.types
        flooding.drop()


async def test_fifteen_megabytes_of_sound_in_one_message_are_taken_and_more_is_an_error(serve: Serve) -> None:
    served = await serve()
    async with served.caller() as client:
        await client.update(audio={"input": {"turn_detection": None}})
        most = base64.b64encode(bytes(15 * 1024 * 1024)).decode("ascii")
        await client.send({"type": "input_audio_buffer.append", "audio": most})
        await client.send({"type": "input_audio_buffer.clear"})
        await client.next_event("input_audio_buffer.cleared", timeout=60.0)
        assert "error" not in client.types
        for size in (15 * 1024 * 1024 + 2, 20 * 1024 * 1024):
            audio = base64.b64encode(bytes(size)).decode("ascii")
            await client.send({"type": "input_audio_buffer.append", "event_id": str(size), "audio": audio})
            error = (await client.next_event("error", timeout=30.0)).event["error"]
            assert error["code"] in ("invalid_value", "message_too_large")
        await client.send({"type": "input_audio_buffer.clear"})
        await client.next_event("input_audio_buffer.cleared")


async def test_what_is_far_too_large_closes_the_socket(serve: Serve) -> None:
    served = await serve()
    async with served.caller() as client:
        with suppress(ConnectionError):
            await client.socket.send_str("x" * 50 * 1024 * 1024)
        assert await client.closed() in (1009, 1006)
    await served.is_empty()


# --- who comes in ---------------------------------------------------------------------------------


async def test_a_key_opens_by_header_or_by_subprotocol_and_nothing_else_does(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served = await serve(api_keys=(Secret(KEY),))
    async with served.caller(key=KEY) as client:
        await client.next_event("session.created")
    protocols = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-agents-sdk.0.20.0"]
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{served.url}/v1/realtime", protocols=protocols) as socket,
    ):
        assert socket.protocol == "realtime"
        assert json.loads(await socket.receive_str())["type"] == "session.created"
    assert await refusal(served) == (401, "missing_api_key")
    assert await refusal(served, headers={"Authorization": f"Bearer {OTHER}"}) == (401, "invalid_api_key")
    assert await refusal(served, protocols=["realtime", f"openai-insecure-api-key.{OTHER}"]) == (
        401,
        "invalid_api_key",
    )
    assert await refusal(served, protocols=[f"openai-insecure-api-key.{KEY}"]) == (
        400,
        "unsupported_subprotocol",
    )
    assert KEY not in caplog.text
    assert OTHER not in caplog.text
    await served.is_empty()


async def test_a_short_lived_keys_session_is_the_one_that_is_opened(serve: Serve) -> None:
    served = await serve(api_keys=(Secret(KEY),))
    async with aiohttp.ClientSession() as http:
        wanted = {"session": {"type": "transcription"}}
        headers = {"Authorization": f"Bearer {KEY}"}
        url = f"{served.url}/v1/realtime/client_secrets"
        async with http.post(url, json=wanted, headers=headers) as response:
            short_lived = (await response.json())["value"]
    async with served.caller(key=short_lived) as client:
        created = await client.next_event("session.created")
        assert created.event["session"]["type"] == "transcription"


async def test_one_call_too_many_is_refused_before_the_upgrade_and_counts_with_the_others(
    serve: Serve,
) -> None:
    served = await serve(max_calls=2)
    async with served.caller() as first, HeadlessClient(served.url):
        await first.next_event("session.created")
        assert await refusal(served) == (503, "too_many_calls")
    await served.is_empty()
    async with served.caller() as client:
        await client.next_event("session.created")


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("?intent=dancing", (400, "invalid_value")),
        ("?call_id=rtc_unknown", (404, "call_not_found")),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    serve: Serve, query: str, refused: tuple[int, str]
) -> None:
    served = await serve()
    assert await refusal(served, query) == refused


async def test_a_page_from_elsewhere_is_refused(serve: Serve) -> None:
    served = await serve()
    assert await refusal(served, headers={"Origin": "https://evil.example"}) == (403, "origin_not_allowed")


async def test_without_an_upgrade_the_address_says_what_it_speaks(serve: Serve) -> None:
    served = await serve()
    async with aiohttp.ClientSession() as http, http.get(f"{served.url}/v1/realtime") as response:
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
        assert (await response.json())["error"]["code"] == "upgrade_required"
    broken = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "3"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{served.url}/v1/realtime", headers=broken) as response,
    ):
        assert (response.status, (await response.json())["error"]["code"]) == (400, "bad_request")
    assert served.endpoint.calls == ()


async def test_it_speaks_through_tls_and_under_a_base_path(tmp_path: Path) -> None:
    settings = Settings(agent=AgentSection(greeting=None), server=ServerSection(base_path="/voice"))
    services = Services(FakeRecognizer([]), as_agent(parrot), FakeVoice(), LoudnessDetector())
    endpoint = Endpoint(settings, services=services)
    server = TestServer(assemble(endpoint, settings.server), scheme="https")
    await server.start_server(ssl=self_signed(directory=tmp_path))
    async with server:
        url = str(server.make_url("/voice/v1/realtime")).replace("https:", "wss:")
        async with aiohttp.ClientSession() as http, http.ws_connect(url, ssl=False) as socket:
            assert json.loads(await socket.receive_str())["type"] == "session.created"


# --- how it ends ----------------------------------------------------------------------------------


async def test_a_hang_up_over_http_closes_the_socket_behind_the_goodbye(serve: Serve) -> None:
    served = await serve()
    async with served.caller() as client:
        await client.update(voicertc={"events": ["voicertc.call.ending"]})
        (call_id,) = served.endpoint.calls
        url = f"{served.url}/v1/realtime/calls/{call_id}/hangup"
        async with aiohttp.ClientSession() as http, http.post(url) as response:
            assert response.status == 200
        assert await client.closed() == 1000
        assert client.events[-1].event["reason"] == "hangup"
    assert served.endpoint.calls == ()


async def test_a_shutdown_says_so(serve: Serve) -> None:
    served = await serve()
    async with served.caller() as client:
        await client.update(voicertc={"events": ["voicertc.call.ending"]})
        await served.endpoint.close()
        assert await client.closed() == 1001
        assert client.events[-1].event["reason"] == "shutdown"


async def test_a_client_that_does_not_read_is_cut_off_and_may_read_why(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serve()
    text = "x" * 200_000
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    create = json.dumps({"type": "conversation.item.create", "item": item})
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{served.url}/v1/realtime") as socket:
        for _ in range(60):  # each is told twice
            await socket.send_str(create)
        await served.is_empty()
        async with asyncio.timeout(5.0):
            async for _ in socket:
                pass
        assert socket.close_code == 1008
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_drops_its_socket_in_a_reply_ends_its_call_without_a_word(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serve("a story")
    async with served.caller() as client:
        await client.say(loud(0.6))
        await client.next_event("response.output_audio.delta")
        client.drop()
        await served.is_empty()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_answers_no_ping_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "_PING_AFTER", 0.2)
    monkeypatch.setattr(websocket, "_PONG_WITHIN", 0.2)
    served = await serve()
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{served.url}/v1/realtime", autoping=False) as dead,
        served.caller() as alive,
    ):
        assert (await dead.receive()).type is WSMsgType.TEXT
        async with asyncio.timeout(5.0):
            while len(served.endpoint.calls) == 2:  # noqa: ASYNC110 (it ends by itself)
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)  # longer than a live client may be silent
        assert len(served.endpoint.calls) == 1
        assert alive.close_code is None
    await served.is_empty()


async def test_pings_of_the_client_are_answered_and_its_binary_is_an_error(serve: Serve) -> None:
    served = await serve()
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{served.url}/v1/realtime", autoping=False) as socket,
    ):
        await socket.receive()
        await socket.ping(b"there?")
        pong = await socket.receive()
        assert (pong.type, pong.data) == (WSMsgType.PONG, b"there?")
        await socket.send_bytes(b"sound")
        error = json.loads(await socket.receive_str())["error"]
        assert error["code"] == "invalid_message"


async def test_a_flood_of_pings_is_answered_slowly(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_SIGN_RATE", 0.1)
    monkeypatch.setattr(websocket, "_SIGN_BURST", 3.0)
    served = await serve()
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{served.url}/v1/realtime", autoping=False) as socket,
    ):
        await socket.receive()
        for _ in range(50):
            await socket.ping()
        answered = [(await socket.receive(1.0)).type for _ in range(4)]
        assert answered == [WSMsgType.PONG] * 4
        with pytest.raises(TimeoutError):
            await socket.receive(0.3)


# --- sidebands ------------------------------------------------------------------------------------


@asynccontextmanager
async def sideband(served: Served, **options: Any) -> AsyncIterator[SocketClient]:
    """A second connection to the only call."""
    (call_id,) = served.endpoint.calls
    async with served.caller(query={"call_id": call_id}, **options) as client:
        await client.next_event("session.created")
        yield client


async def test_a_sideband_sees_and_steers_a_call_over_webrtc(serve: Serve) -> None:
    served = await serve("hello there")
    async with HeadlessClient(served.url) as caller:
        await caller.channel_opened()
        caller.send({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}})
        await caller.next_event("session.updated")
        async with sideband(served) as side:
            assert side.events[0].event["session"]["instructions"] == "Be brief."
            await caller.say(loud(1.0))
            done = await side.next_event("response.done")
            assert done.event["response"]["output"][0]["content"][0]["transcript"] == "You said hello there."
            assert "response.output_audio.delta" not in side.types
            await side.update(instructions="Be long.")
            updated = await caller.next_event("session.updated")
            assert updated.event["session"]["instructions"] == "Be long."
            content = [{"type": "input_text", "text": "a story"}]
            item = {"type": "message", "role": "user", "content": content}
            await side.send({"type": "conversation.item.create", "item": item})
            await side.send({"type": "response.create"})
            await caller.next_event("output_audio_buffer.started")
            await asyncio.sleep(0.5)
            await side.send({"type": "output_audio_buffer.clear"})
            await caller.next_event("output_audio_buffer.cleared")
            await side.next_event("conversation.item.truncated")
        await asyncio.sleep(0.1)
        assert len(served.endpoint.calls) == 1  # its end is not the call's


async def test_a_sideband_may_not_append_and_its_errors_are_its_own(serve: Serve) -> None:
    served = await serve()
    async with served.caller() as caller:
        await caller.next_event("session.created")
        async with sideband(served) as one, sideband(served) as two:
            await one.send({"event_id": "e1", **append_event(np.zeros(480, np.int16))})
            error = (await one.next_event("error")).event["error"]
            assert (error["code"], error["event_id"]) == ("not_supported", "e1")
            await two.update(instructions="x")
            assert "error" not in two.types + caller.types


async def test_the_end_of_the_call_closes_its_sidebands(serve: Serve) -> None:
    served = await serve()
    async with served.caller() as caller:
        await caller.next_event("session.created")
        async with sideband(served) as side:
            await side.update(voicertc={"events": ["voicertc.call.ending"]})
            await served.endpoint.hangup(served.endpoint.calls[0])
            assert await side.closed() == 1000
            assert side.events[-1].event["type"] == "voicertc.call.ending"


async def test_a_call_has_eight_sidebands_at_most(serve: Serve) -> None:
    served = await serve()
    async with served.caller() as caller, AsyncExitStack() as stack:
        await caller.next_event("session.created")
        (call_id,) = served.endpoint.calls
        for _ in range(8):
            await stack.enter_async_context(sideband(served))
        assert await refusal(served, f"?call_id={call_id}") == (503, "too_many_sidebands")
        await stack.aclose()
        await asyncio.sleep(0.1)
        async with sideband(served):
            pass


async def test_a_sideband_of_anothers_call_does_not_exist(serve: Serve) -> None:
    served = await serve(api_keys=(Secret(KEY),))
    async with aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {KEY}"}
        url = f"{served.url}/v1/realtime/client_secrets"
        async with http.post(url, json={}, headers=headers) as response:
            short_lived = (await response.json())["value"]
    async with served.caller(key=KEY) as caller:
        await caller.next_event("session.created")
        (call_id,) = served.endpoint.calls
        foreign = {"Authorization": f"Bearer {short_lived}"}
        assert await refusal(served, f"?call_id={call_id}", headers=foreign) == (404, "call_not_found")

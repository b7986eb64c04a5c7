"""How the fake's WebSocket refuses, breaks, stalls and lies, as a client sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from tests.testing.realtime_client import LIMIT, TALK, TRANSCRIPTION, connected, hearing, sound, talking
from voicertc.testing.fake_openai import (
    CloseSocket,
    Cut,
    EndResponse,
    FailInside,
    FailTurn,
    FakeOpenAI,
    Fault,
    LeaveOut,
    Mute,
    RealtimeScenario,
    Refuse,
    Scenario,
    SendFrame,
    Stall,
)

COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"
FAST = RealtimeScenario(max_speed=None)
SHORT = 0.05
"""Until a test is sure that nothing comes: it may only be wrong by finding nothing to complain of."""


def going_wrong(fault: Fault | None, **knobs: Any) -> Scenario:
    return Scenario(faults={"realtime": [fault]}, realtime=RealtimeScenario(max_speed=None, **knobs))


@asynccontextmanager
async def raw_socket(scenario: Scenario) -> AsyncGenerator[aiohttp.ClientWebSocketResponse, None]:
    """Connect without the SDK, which does not show what is no event."""
    async with (
        FakeOpenAI(scenario) as fake,
        aiohttp.ClientSession() as http,
        http.ws_connect(fake.base_url + "/realtime?intent=transcription") as socket,
    ):
        yield socket


async def nothing_comes(client: Any) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT):
            await client.read()


@pytest.mark.parametrize(
    ("where", "key", "code", "close"),
    [
        (TRANSCRIPTION, "sk-wrong", "invalid_api_key", 3000),
        (TALK, "sk-wrong", "invalid_api_key", 3000),
        ({"model": "gpt-live-transcribe"} | TRANSCRIPTION, None, "invalid_model", 4000),
        ({"model": "gpt-4o"}, None, "model_not_found", 4000),
        ({"extra_query": {"intent": "listening"}}, None, "invalid_intent", 4000),
        ({"extra_query": {"intent": ""}}, None, "invalid_intent", 4000),
        (TALK | {"extra_headers": {"OpenAI-Beta": "realtime=v1"}}, None, "beta_api_shape_disabled", 4000),
    ],
)
async def test_a_wrong_handshake_is_refused_after_it(
    where: Mapping[str, Any], key: str | None, code: str, close: int
) -> None:
    async with FakeOpenAI() as fake, connected(fake, api_key=key, **where) as client:
        assert (await client.refused())["code"] == code
        with pytest.raises(ConnectionClosedError) as closed:
            await client.read()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == close
        await fake.until(lambda: not fake.sockets[0].is_open)
        record = fake.sockets[0]
        assert (record.status, record.close_code, record.sent_types()) == (101, close, ["error"])


async def test_a_missing_key_and_a_missing_model_are_refused_after_the_handshake() -> None:
    async with FakeOpenAI() as fake, aiohttp.ClientSession() as http:
        for headers, code, close in (
            ({}, "invalid_api_key", 3000),
            ({"Authorization": f"Bearer {fake.api_key}"}, "missing_model", 4000),
        ):
            async with http.ws_connect(fake.base_url + "/realtime", headers=headers) as socket:
                event = await socket.receive_json(timeout=LIMIT)
                assert event["error"]["code"] == code
                await socket.receive(timeout=LIMIT)
                assert socket.close_code == close


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_a_handshake_may_be_refused(status: int) -> None:
    scenario = going_wrong(Refuse(status, "some_code", headers={"Retry-After": "7"}))
    async with FakeOpenAI(scenario) as fake:
        with pytest.raises(InvalidStatus) as refused:
            async with connected(fake):
                pass
        assert refused.value.response.status_code == status
        assert refused.value.response.headers["Retry-After"] == "7"
        assert b"some_code" in refused.value.response.body
        async with connected(fake) as client:
            await client.until("session.created")
        assert [record.status for record in fake.sockets] == [status, 101]


@pytest.mark.parametrize(
    ("fault", "limit", "expected"), [(Stall(0), SHORT, TimeoutError), (Cut(0), LIMIT, aiohttp.ClientError)]
)
async def test_a_handshake_may_never_be_answered(
    fault: Fault, limit: float, expected: type[Exception]
) -> None:
    scenario = Scenario(faults={"realtime": [fault, fault]})  # aiohttp tries a GET that was reset once more
    async with FakeOpenAI(scenario) as fake, aiohttp.ClientSession() as http:
        with pytest.raises(expected):
            async with asyncio.timeout(limit):
                await http.ws_connect(fake.base_url + "/realtime?intent=transcription")
        await fake.until(lambda: fake.sockets[-1].ended_at)
        assert (fake.sockets[0].status, fake.sockets[0].is_open) == (None, False)


async def test_a_half_open_socket_reads_and_never_answers() -> None:
    async with FakeOpenAI(going_wrong(Mute())) as fake, connected(fake) as client:
        await client.send("session.update", session=hearing())
        await fake.until(lambda: fake.sockets[0].events)
        await nothing_comes(client)
        assert fake.sockets[0].sent_types() == []


@pytest.mark.parametrize(("fault", "is_answered"), [(Mute(), False), (Stall(1), False), (None, True)])
async def test_a_half_open_socket_answers_no_ping_and_no_close(fault: Fault, is_answered: bool) -> None:
    async with (
        FakeOpenAI(going_wrong(fault)) as fake,
        aiohttp.ClientSession() as http,
        http.ws_connect(
            fake.base_url + "/realtime?intent=transcription",
            headers={"Authorization": f"Bearer {fake.api_key}"},
            autoping=False,
            timeout=aiohttp.ClientWSTimeout(ws_close=SHORT),
        ) as socket,
    ):
        await socket.ping(b"?")
        await fake.until(lambda: fake.sockets[0].n_pings)
        if is_answered:
            types = [(await socket.receive(timeout=LIMIT)).type for _ in range(2)]
            assert aiohttp.WSMsgType.PONG in types
        await socket.close()
        assert socket.close_code == (1000 if is_answered else 1006)
        await fake.until(lambda: not fake.sockets[0].is_open)


async def test_a_session_may_never_be_updated() -> None:
    async with FakeOpenAI(going_wrong(LeaveOut(("session.updated",)))) as fake, connected(fake) as client:
        await client.until("session.created")
        await client.send("session.update", session=hearing())
        await client.send("input_audio_buffer.clear")
        assert (await client.read())["type"] == "input_audio_buffer.cleared"


async def test_a_socket_may_stall_after_some_events_and_still_read() -> None:
    async with FakeOpenAI(going_wrong(Stall(2))) as fake, connected(fake) as client:
        await client.update(**hearing())
        await client.say(sound(1.0))
        await fake.until(lambda: fake.sockets[0].turns)
        await nothing_comes(client)
        assert fake.sockets[0].is_open


@pytest.mark.parametrize("n", [1, 2])
async def test_a_connection_may_be_reset_after_some_events(n: int) -> None:
    async with FakeOpenAI(going_wrong(Cut(n))) as fake, connected(fake) as client:
        await client.send("session.update", session=hearing())
        for _ in range(n):
            await client.read()
        with pytest.raises(ConnectionClosed) as closed:
            await client.read()
        assert closed.value.rcvd is None
        await fake.until(lambda: not fake.sockets[0].is_open)
        assert (len(fake.sockets[0].sent), fake.sockets[0].close_code) == (n, None)


async def test_a_socket_may_be_closed_after_some_events() -> None:
    fault = CloseSocket(1, 1013, "try again later")
    async with FakeOpenAI(going_wrong(fault)) as fake, connected(fake) as client:
        await client.until("session.created")
        with pytest.raises(ConnectionClosedError) as closed:
            await client.read()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "try again later")
        await fake.until(lambda: not fake.sockets[0].is_open)
        assert fake.sockets[0].close_code == 1013


async def test_an_error_may_come_between_and_the_session_goes_on() -> None:
    async with FakeOpenAI(going_wrong(FailInside(1, "server_error"))) as fake, connected(fake) as client:
        assert (await client.refused())["code"] == "server_error"
        await client.update(**hearing())


@pytest.mark.parametrize("frame", ["{", b"\x00\x01", '{"no": "type"}'])
async def test_a_frame_may_be_no_event(frame: str | bytes) -> None:
    async with raw_socket(Scenario(api_key=None, faults={"realtime": [SendFrame(1, frame)]})) as socket:
        assert (await socket.receive_json(timeout=LIMIT))["type"] == "session.created"
        assert (await socket.receive(timeout=LIMIT)).data == frame
        await socket.send_json({"type": "input_audio_buffer.clear"})
        assert (await socket.receive_json(timeout=LIMIT))["type"] == "input_audio_buffer.cleared"


async def test_unknown_events_and_fields_may_come() -> None:
    async with raw_socket(Scenario(api_key=None, realtime=RealtimeScenario(adds_unknown=True))) as socket:
        first, second = [await socket.receive_json(timeout=LIMIT) for _ in range(2)]
        assert (first["type"], second["type"]) == ("response.weather.updated", "session.created")
        assert "x_new_field" in second


async def test_a_session_ends_at_its_cap() -> None:
    async with FakeOpenAI(going_wrong(None, session_seconds=SHORT)) as fake, connected(fake) as client:
        assert (await client.refused())["code"] == "session_expired"
        with pytest.raises(ConnectionClosed):
            await client.read()


async def test_a_transcript_may_fail_or_never_come_and_the_next_is_well() -> None:
    turns = [FailTurn("server_error", "No."), LeaveOut((COMPLETED,)), None]
    scenario = Scenario(transcripts=["a", "b", "c"], realtime=RealtimeScenario(max_speed=None, turns=turns))
    async with FakeOpenAI(scenario) as fake, connected(fake) as client:
        await client.update(**hearing())
        for _ in turns:
            await client.say(sound(0.5))
        assert (await client.until(FAILED))["error"]["code"] == "server_error"
        assert (await client.until(COMPLETED))["transcript"] == "c"


@pytest.mark.parametrize(
    ("reason", "status"), [("content_filter", "incomplete"), ("turn_detected", "cancelled")]
)
async def test_the_service_may_end_a_response(reason: Any, status: str) -> None:
    scenario = Scenario(realtime=RealtimeScenario(responses=[EndResponse(9, reason)]))
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await client.send("response.create")
        response = (await client.until("response.done"))["response"]
        assert (response["status"], response["output"][0]["status"]) == (status, "incomplete")
        assert response["status_details"] == {"type": status, "reason": reason}


async def test_a_response_may_be_cut_in_its_middle() -> None:
    scenario = Scenario(realtime=RealtimeScenario(responses=[None, Cut(9)]))
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        for n in range(2):
            await client.send("response.create")
            if n == 0:
                await client.until("response.done")
        n_before = len(client.seen)
        with pytest.raises(ConnectionClosed):
            await client.until("response.done")
        assert len(client.seen) - n_before == 9


async def test_a_response_may_stall_in_its_middle_until_it_is_cancelled() -> None:
    scenario = Scenario(realtime=RealtimeScenario(responses=[Stall(9)]))
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await client.send("response.create")
        for _ in range(9):
            await client.read()
        await nothing_comes(client)
        await client.send("response.create")
        assert (await client.refused())["code"] == "conversation_already_has_active_response"
        await client.send("response.cancel")
        assert (await client.until("response.done"))["response"]["status"] == "cancelled"
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_what_a_client_leaves_is_noted() -> None:
    async with FakeOpenAI(going_wrong(None)) as fake:
        async with connected(fake) as client:
            await client.update(**hearing())
            assert fake.sockets[0].is_open
        await fake.until(lambda: not fake.sockets[0].is_open)
        record = fake.sockets[0]
        assert (record.query, record.close_code) == ({"intent": "transcription"}, 1000)
        assert record.headers["authorization"] == f"Bearer {fake.api_key}"
        assert [event["type"] for event in record.events] == ["session.update"]
        assert fake.n_open == 0


async def test_the_fake_ends_with_open_sockets() -> None:
    async with FakeOpenAI(going_wrong(None)) as fake:
        connection = connected(fake)
        client = await connection.__aenter__()
        await client.until("session.created")
    with pytest.raises(ConnectionClosed):
        await client.read()
    await connection.__aexit__(None, None, None)

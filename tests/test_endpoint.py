"""The endpoint in an application of one's own: real peers over loopback, fakes for the services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import httpx
import numpy as np
import pytest
from aiohttp import web
from fastapi import FastAPI, Request, Response

from voicertc import AgentRequest, ClientError, Endpoint, Settings, SettingsError, create_app
from voicertc.agents.base import Agent, as_agent
from voicertc.session.setup import Services
from voicertc.settings.sections import AgentSection, LimitsSection, RtcSection
from voicertc.testing.client import ClientOptions, HeadlessClient
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector

pytestmark = pytest.mark.network

QUIET = AgentSection(greeting=None)


async def parrot(request: AgentRequest) -> AsyncGenerator[str, None]:
    yield f"You said {request.user_text}."


def services(*script: str | Exception, agent: Agent | None = None) -> Services:
    return Services(
        FakeRecognizer(script), agent or as_agent(parrot), FakeVoice(first_audio=0.0), LoudnessDetector()
    )


def loud(seconds: float) -> np.ndarray:
    """A tone, ``(n,)`` int16 at 16 kHz, that ``LoudnessDetector`` takes for speech."""
    n = int(16_000 * seconds)
    return (12_000 * np.sin(2 * np.pi * 300 * np.arange(n) / 16_000)).astype(np.int16)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(Settings(agent=QUIET), services=services("hello there", "again"))
    await endpoint.start()
    yield endpoint
    await endpoint.close()


def caller(endpoint: Endpoint, options: ClientOptions | None = None) -> HeadlessClient:
    async def answer(offer: str) -> str:
        return await endpoint.answer(offer, is_loopback_client=True)

    return HeadlessClient(answer, options)


async def test_a_caller_is_heard_and_answered(endpoint: Endpoint) -> None:
    async with caller(endpoint) as client:
        await client.channel_opened()
        await client.say(loud(1.0))
        completed = await client.next_event("conversation.item.input_audio_transcription.completed")
        done = await client.next_event("response.done")
        await client.next_event("output_audio_buffer.stopped")
    assert completed.event["transcript"] == "hello there"
    assert done.event["response"]["output"][0]["content"][0]["transcript"] == "You said hello there."
    heard = np.concatenate([frame.samples for frame in client.reply_audio()])
    assert np.abs(heard.astype(int)).max() > 5_000


async def test_a_client_without_a_data_channel_is_served_as_well(endpoint: Endpoint) -> None:
    async with caller(endpoint, ClientOptions(opens_channel=False)) as client:
        await client.say(loud(1.0))
        await asyncio.sleep(2.0)
        heard = np.concatenate([frame.samples for frame in client.reply_audio()])
    assert np.abs(heard.astype(int)).max() > 5_000
    assert client.events == []


async def test_a_call_too_many_is_refused_and_the_others_go_on() -> None:
    settings = Settings(agent=QUIET, limits=LimitsSection(max_calls=1))
    endpoint = Endpoint(settings, services=services("hello"))
    async with caller(endpoint) as client:
        await client.channel_opened()
        with pytest.raises(ClientError) as refused:
            async with caller(endpoint):
                pass
        assert (refused.value.status, refused.value.code) == (503, "too_many_calls")
        assert refused.value.retry_after == 5
        await client.say(loud(1.0))
        await client.next_event("response.done")
    await endpoint.close()


async def test_a_hang_up_is_known_for_a_while_and_frees_the_line(endpoint: Endpoint) -> None:
    async with caller(endpoint) as client:
        await client.channel_opened()
        (call_id,) = endpoint.calls
        assert await endpoint.hangup(call_id)
        ending = client.events[-1]
        assert ending.event.get("type") in ("session.created", "voicertc.call.ending")
    assert endpoint.calls == ()
    assert await endpoint.hangup(call_id)
    assert not await endpoint.hangup("rtc_unknown")


async def test_a_subscriber_is_told_goodbye_at_shutdown(endpoint: Endpoint) -> None:
    async with caller(endpoint) as client:
        await client.channel_opened()
        client.send(
            {"type": "session.update", "session": {"type": "realtime", "voicertc": {"events": ["*"]}}}
        )
        await client.next_event("session.updated")
        await endpoint.close()
        ending = await client.next_event("voicertc.call.ending")
    assert ending.event["reason"] == "shutdown"
    assert endpoint.calls == ()


async def test_an_offer_that_is_none_costs_no_line(endpoint: Endpoint) -> None:
    with pytest.raises(ClientError) as refused:
        await endpoint.answer("this is no SDP")
    assert (refused.value.status, refused.value.code) == (400, "invalid_sdp")
    await asyncio.sleep(0.3)
    assert endpoint.calls == ()


async def test_a_client_that_never_connects_is_forgotten() -> None:
    settings = Settings(agent=QUIET, rtc=RtcSection(connect_timeout=0.3))
    endpoint = Endpoint(settings, services=services())
    offers: list[str] = []

    async def note(offer: str) -> str:
        offers.append(offer)
        raise ClientError("not today", code="test")

    with pytest.raises(ClientError):
        async with HeadlessClient(note):
            pass
    await endpoint.answer(offers[0], is_loopback_client=True)
    assert len(endpoint.calls) == 1
    async with asyncio.timeout(5.0):
        while endpoint.calls:  # noqa: ASYNC110 (it ends by itself; there is nothing to wait for)
            await asyncio.sleep(0.05)
    await endpoint.close()


async def test_fastapi_answers_offers_with_one_line() -> None:
    endpoint = Endpoint(Settings(agent=QUIET), services=services("hello"))
    app = FastAPI()

    @app.post("/talk")
    async def talk(request: Request) -> Response:
        answer = await endpoint.answer((await request.body()).decode(), is_loopback_client=True)
        return Response(answer, media_type="application/sdp")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:

        async def answer(offer: str) -> str:
            return (await http.post("/talk", content=offer)).text

        async with HeadlessClient(answer) as client:
            await client.channel_opened()
            await client.say(loud(1.0))
            done = await client.next_event("response.done")
    assert done.event["response"]["status"] == "completed"
    await endpoint.close()


async def test_it_mounts_into_another_aiohttp_application(aiohttp_client) -> None:  # type: ignore[no-untyped-def]
    app = web.Application()
    app.add_subapp(
        "/voice-agent",
        create_app(agent=parrot, settings=Settings(agent=AgentSection(greeting="Welcome aboard."))),
    )
    http = await aiohttp_client(app)
    page = await http.get("/voice-agent/")
    assert (page.status, page.content_type) == (200, "text/html")
    async with HeadlessClient(str(http.make_url("/voice-agent"))) as client:
        await client.channel_opened()
        done = await client.next_event("response.done")
        assert client.location is not None
        assert client.location.startswith("/voice-agent/v1/realtime/calls/rtc_")
        hung_up = await http.delete(client.location)
        assert hung_up.status == 200
    greeting = done.event["response"]["output"][0]["content"][0]["transcript"]
    assert greeting == "Welcome aboard."


async def test_a_udp_port_that_is_taken_is_told_at_the_start() -> None:
    first = Endpoint(Settings(), services=services())
    await first.start()
    taken = int(first.media.split()[2])
    second = Endpoint(Settings(rtc=RtcSection(udp_port=taken)), services=services())
    with pytest.raises(SettingsError, match=r"rtc\.udp_port"):
        await second.start()
    await second.close()
    await first.close()

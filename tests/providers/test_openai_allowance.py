from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from itertools import repeat

import pytest
from aiohttp import web

from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderUnavailable
from voicertc.providers.base import TextToSpeech, VoiceRequest
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_client import OpenAIClient
from voicertc.providers.openai_tts import OpenAITextToSpeech, OpenAITextToSpeechOptions
from voicertc.providers.plan_b.blame import NotDescribed
from voicertc.providers.plan_b.member import Member, Probe
from voicertc.providers.plan_b.probes import ProbeOptions
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import FakeOpenAI, Refuse, Scenario

from .openai_stages import LIMIT, client_of
from .plan_b.services import Service, sound

PLENTY = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
}
LITTLE = {**PLENTY, "x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "59.6s"}
BUSY = {"retry-after": "7"}
MODEL = {"id": "m", "object": "model", "created": 1, "owned_by": "me"}


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def server(*heads: tuple[int, Mapping[str, str]]) -> AsyncGenerator[tuple[str, list[str]], None]:
    """A server that answers with these statuses and headers in turn; gives its address and what was asked."""
    asked = list[str]()

    async def answer(request: web.Request) -> web.StreamResponse:
        status, headers = heads[len(asked)]
        asked.append(request.path)
        if status != 200:
            error = {"message": "Too many.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
            return web.json_response({"error": error}, status=status, headers=headers)
        if request.path.endswith("/speech"):
            return web.Response(body=b"\1\0" * 480, content_type="audio/pcm", headers=headers)
        return web.json_response(MODEL, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/openai/v1/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/openai/v1/", asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def with_local_voice(
    client: OpenAIClient, probe: Probe | None = None, probes: ProbeOptions | None = None
) -> AsyncGenerator[FallbackTextToSpeech, None]:
    """OpenAI's voice, and behind it one that says 7 samples."""
    theirs = OpenAITextToSpeech(OpenAITextToSpeechOptions(), client)
    limits = client.rate_limits("audio/speech")
    voice = FallbackTextToSpeech(
        [
            Member[TextToSpeech](theirs, rate_limits=limits, probe=probe),
            Member[TextToSpeech](Service("local", (sound(7),))),
        ],
        probes=probes,
    )
    await voice.start()
    try:
        yield voice
    finally:
        await voice.close()


async def say(voice: TextToSpeech) -> int:
    return sum([len(chunk.samples) async for chunk in voice.synthesize("Hello.", VoiceRequest())])


async def test_work_moves_on_before_a_request_is_refused() -> None:
    async with server((200, PLENTY), (200, LITTLE)) as (base_url, asked):
        client = OpenAIClient(OpenAIOptions(base_url=base_url))
        async with with_local_voice(client) as voice:
            assert [await say(voice) for _ in range(4)] == [480, 480, 7, 7]
            assert voice.report().members[0].is_nearly_used
    assert asked == ["/openai/v1/audio/speech"] * 2


async def test_who_says_when_to_come_back_is_not_asked_before() -> None:
    async with server((429, {**LITTLE, **BUSY})) as (base_url, asked):
        client = OpenAIClient(OpenAIOptions(base_url=base_url))
        async with with_local_voice(client) as voice:
            assert [await say(voice) for _ in range(3)] == [7, 7, 7]
        limits = client.rate_limits("audio/speech")
        assert 5.0 < limits.due(now()) - now() <= 7.0
        assert limits.allowances["requests"].remaining == 3
    assert len(asked) == 1


async def test_a_whole_answers_headers_are_read_too() -> None:
    async with server((200, LITTLE), (200, {})) as (base_url, _):
        client = OpenAIClient(OpenAIOptions(base_url=base_url))
        client.acquire("openai-chat")
        await client.probe("m", "openai-chat")
        await client.probe("m", "openai-chat")
        assert client.rate_limits("models/m").is_nearly_used(now())
        assert not client.rate_limits("audio/speech").is_nearly_used(now())
        await client.release()


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "400"}, 0.4),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"x-should-retry": "false"}, None),
        ({"x-should-retry": "false", "retry-after": "2"}, 2.0),
    ],
)
async def test_a_busy_service_says_when_to_come_back(
    headers: dict[str, str], retry_after: float | None
) -> None:
    refusals = repeat(Refuse(429, "rate_limit_exceeded", headers=headers))
    async with FakeOpenAI(Scenario(faults={"models": refusals})) as fake:
        client = client_of(fake)
        client.acquire("openai-chat")
        with pytest.raises(ProviderBusy) as caught:
            await client.probe("gpt-6-luna", "openai-chat")
        assert (caught.value.retry_after, len(fake.requests)) == (retry_after, 1)
        await client.release()


async def test_an_account_without_credit_is_asked_once_and_left_to_the_operator() -> None:
    refusals = repeat(Refuse(429, "insufficient_quota", headers={"retry-after-ms": "1"}))
    async with FakeOpenAI(Scenario(faults={"speech": refusals})) as fake:
        async with with_local_voice(client_of(fake)) as voice:
            assert [await say(voice) for _ in range(3)] == [7, 7, 7]
            assert voice.report().members[0].state == "open"
            assert "no credit left" in voice.report().members[0].error
        assert len(fake.requests) == 1


async def test_a_second_try_is_made_only_if_there_is_time_for_it() -> None:
    async with FakeOpenAI(Scenario(faults={"models": repeat(Refuse(500))})) as fake:
        client = client_of(fake)
        client.acquire("openai-chat")
        with pytest.raises(ProviderCrashed):
            await client.probe("gpt-6-luna", "openai-chat", timeout=0.25)
        assert len(fake.requests) == 1
        await client.release()


async def test_a_probe_brings_a_voice_back() -> None:
    async with FakeOpenAI(Scenario(faults={"speech": [Refuse(403)]})) as fake:
        client = client_of(fake)
        is_back = asyncio.Event()

        async def probe() -> None:
            await client.probe("gpt-6-luna", "openai-chat")
            is_back.set()

        async with with_local_voice(client, probe=probe, probes=ProbeOptions(first=0.01)) as voice:
            assert await say(voice) == 7
            assert voice.report().current == "local"
            await asyncio.wait_for(is_back.wait(), LIMIT)
            assert voice.report().current == "openai-speech"
            assert await say(voice) > 7


async def test_a_server_that_describes_the_model_is_there() -> None:
    async with FakeOpenAI() as fake:
        client = client_of(fake)
        client.acquire("openai-chat")
        await client.probe("gpt-6-luna", "openai-chat")
        assert len(fake.requests_to("models")) == 1
        await client.release()


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_a_compatible_server_that_does_not_describe_the_model_is_told_from_both(status: int) -> None:
    async with FakeOpenAI(Scenario(faults={"models": [Refuse(status)]})) as fake:
        client = client_of(fake)
        client.acquire("openai-chat")
        with pytest.raises(NotDescribed) as caught:
            await client.probe("gpt-6-luna", "openai-chat")
        assert caught.value.message.startswith(f"/v1/models/gpt-6-luna is answered with HTTP {status};")
        await client.release()


async def test_a_probe_with_a_wrong_key_fails() -> None:
    async with FakeOpenAI() as fake:
        for key, said in ((None, "none is set"), (Secret("sk-wrong"), "refused the API key")):
            client = client_of(fake, api_key=key)
            client.acquire("openai-chat")
            with pytest.raises(ProviderUnavailable, match=said):
                await client.probe("gpt-6-luna", "openai-chat")
            await client.release()

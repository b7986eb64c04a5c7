"""Every engine of OpenAI's, chosen by the settings alone, against a strict server of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import repeat
from typing import cast

import numpy as np
import pytest

from voicertc.agents.base import AgentRequest, AgentSession
from voicertc.audio.pcm import HEARING_RATE_HZ
from voicertc.core.items import Item, Role
from voicertc.endpoint import Endpoint
from voicertc.providers.base import RecognitionRequest
from voicertc.services import Services, ServiceSet
from voicertc.settings import Settings
from voicertc.testing.contracts.sounds import audio, hear
from voicertc.testing.contracts.text_to_speech import speak, total
from voicertc.testing.contracts.turns import final_of
from voicertc.testing.fake_openai import FakeOpenAI, Refuse, Scenario, spoken

LIMIT = 20.0
"""Seconds after which a test has hung."""
SPEECH = spoken("What is the time in Oslo?", rate_hz=HEARING_RATE_HZ)


class Nobody:
    """A session of which nothing is wanted but that it is there."""


HELLO = AgentRequest((Item("a", Role.USER, "Hello."),), cast(AgentSession, Nobody()), language="en")
FIRST = {"stt": "openai-live,openai-file", "llm": "openai-responses,offline", "tts": "openai-reader,espeak"}
SECOND = {"stt": "openai-file", "llm": "openai-chat", "tts": "openai-speech"}


def settings(fake: FakeOpenAI, engines: dict[str, str]) -> Settings:
    assert fake.scenario.api_key is not None
    access = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": fake.scenario.api_key}
    return Settings.load(environ=access, flags=engines)


@pytest.fixture(params=[FIRST, SECOND], ids=["sockets and responses", "files and chat"])
async def chosen(request: pytest.FixtureRequest) -> AsyncGenerator[Services, None]:
    async with FakeOpenAI(Scenario(transcripts=["What is the time in Oslo?"])) as fake:
        service_set = ServiceSet(settings(fake, request.param))
        try:
            yield await service_set.start()
        finally:
            await service_set.close()


async def heard(services: Services) -> str:
    return final_of(await hear(services.recognizer, audio(SPEECH), RecognitionRequest(language="en"))).text


async def test_hears_thinks_and_speaks(chosen: Services) -> None:
    assert await heard(chosen) == "What is the time in Oslo?"
    pieces = [piece async for piece in chosen.agent.reply(HELLO)]
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "Hello. How can I help you?"
    chunks = await speak(chosen.voice, "It is noon.")
    assert total(chunks) == len(spoken("It is noon."))
    assert max(int(np.abs(chunk.samples.astype(int)).max(initial=0)) for chunk in chunks) > 1_000


@pytest.mark.parametrize("engines", [FIRST, SECOND], ids=["sockets and responses", "files and chat"])
async def test_a_wrong_key_is_found_before_the_first_call(
    engines: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeOpenAI(Scenario(api_key="the-right-one")) as fake:
        access = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": "sk-the-wrong-one"}
        chosen = {**engines, "agent.engine": "openai-realtime"}
        service_set = ServiceSet(Settings.load(environ=access, flags=chosen))
        try:
            await service_set.start()
            service_set.look()
            names = {each for names in engines.values() for each in names.split(",")} - {"offline", "espeak"}
            await until(lambda: failed(caplog) == {*names, "openai-realtime"})
        finally:
            await service_set.close()
    told = [record.voicertc_fields for record in caplog.records if record.message == "provider_failed"]  # type: ignore[attr-defined]
    assert {each["fix"] for each in told} == {"Set a valid API key (OPENAI_API_KEY)."}
    assert {each["stage"] for each in told} == {"stt", "llm", "tts", "speech"}
    assert "wrong-one" not in caplog.text


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that nobody tells, like a line in the log."""
    async with asyncio.timeout(LIMIT):
        while not happened():  # noqa: ASYNC110 (the log tells nobody)
            await asyncio.sleep(0.01)


def failed(caplog: pytest.LogCaptureFixture) -> set[str]:
    """Return who has been told to have failed."""
    return {
        record.voicertc_fields["provider"]  # type: ignore[attr-defined]
        for record in caplog.records
        if record.message == "provider_failed"
    }


async def test_with_the_right_key_nothing_is_told_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeOpenAI(Scenario()) as fake:
        service_set = ServiceSet(settings(fake, FIRST))
        try:
            await service_set.start()
            service_set.look()
            assert not fake.requests
            async with asyncio.timeout(LIMIT):
                await fake.until(lambda: len(fake.sockets) == 2 and len(fake.requests_to("models")) == 2)
                await fake.until(lambda: not any(socket.is_open for socket in fake.sockets))
        finally:
            await service_set.close()
    assert failed(caplog) == set()


async def test_a_server_that_starts_looks_at_its_services_unasked(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeOpenAI(Scenario(faults={"models": repeat(Refuse(401))})) as fake:
        endpoint = Endpoint(settings(fake, {**SECOND, "tts": "espeak"}))
        try:
            await endpoint.start()
            await until(lambda: failed(caplog) == {"openai-file", "openai-chat"})
        finally:
            await endpoint.close()


async def test_what_is_refused_is_done_by_the_next_in_the_list() -> None:
    refusal = repeat(Refuse(500))
    faults = {"realtime": refusal, "responses": refusal}
    async with FakeOpenAI(Scenario(transcripts=["By the file."], faults=faults)) as fake:
        service_set = ServiceSet(settings(fake, FIRST))
        try:
            services = await service_set.start()
            assert await heard(services) == "By the file."
            assert [piece async for piece in services.agent.reply(HELLO)]
            chunks = await speak(services.voice, "It is noon.")
            assert {mark.text_start for chunk in chunks for mark in chunk.marks} == {
                0,
                3,
                6,
            }  # espeak's marks
        finally:
            await service_set.close()

"""Every engine of OpenAI's, chosen by the settings alone, against a strict server of the protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import repeat
from typing import cast

import numpy as np
import pytest

from voicertc.agents.base import AgentRequest, AgentSession
from voicertc.audio.pcm import HEARING_RATE_HZ
from voicertc.core.items import Item, Role
from voicertc.providers.base import RecognitionRequest
from voicertc.services import Services, ServiceSet
from voicertc.settings import Settings
from voicertc.testing.contracts.sounds import audio, hear
from voicertc.testing.contracts.text_to_speech import speak, total
from voicertc.testing.contracts.turns import final_of
from voicertc.testing.fake_openai import FakeOpenAI, Refuse, Scenario, spoken

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

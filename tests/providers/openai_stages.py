"""What the tests of the OpenAI adapters share: a started adapter that talks to a fake server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_client import OpenAIClient
from voicertc.providers.openai_stage import OpenAIStage
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import FakeOpenAI

LIMIT = 10.0
"""Seconds until a wait counts as a hang."""

AnyStage = TypeVar("AnyStage", bound=OpenAIStage)


def client_of(fake: FakeOpenAI, **options: Any) -> OpenAIClient:
    key = Secret(fake.scenario.api_key) if fake.scenario.api_key else None
    return OpenAIClient(OpenAIOptions(**{"base_url": fake.base_url, "api_key": key, **options}))


@asynccontextmanager
async def started(
    kind: Callable[[Any, OpenAIClient], AnyStage], options: Any, fake: FakeOpenAI, **client_options: Any
) -> AsyncGenerator[AnyStage, None]:
    stage = kind(options, client_of(fake, **client_options))
    await stage.start()
    try:
        yield stage
    finally:
        await stage.close()


async def all_left(fake: FakeOpenAI) -> None:
    """Wait until the server has noticed that nobody waits for an answer any more."""
    async with asyncio.timeout(LIMIT):
        await fake.idle()

"""What is demanded of all providers: an entry point that makes one, a start that says what is missing."""

from __future__ import annotations

import asyncio
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest

from ...errors import ProviderUnavailable
from ...providers.base import Provider
from ...services.context import ProviderContext
from ...services.service_set import ServiceSet
from ...settings import Settings, Stage
from .event_loop import EventLoopContract
from .rules import assert_tells_no_key

START_LIMIT = 30.0
"""Seconds for a provider to start, as for an operator's: what takes longer is left out."""
KEY = "planted-key-of-the-context"
"""``context.api_key`` of the provider that the entry point makes."""

_WORK: dict[Stage, str] = {"stt": "attend", "llm": "stream", "tts": "synthesize"}


class ProviderContract(EventLoopContract):
    """What the suites of providers begin with; inherit from one of those."""

    stage: ClassVar[Stage]
    """Set by the suite."""
    entry_point: ClassVar[str | None]
    """How the package's entry point is written, ``"tones = tone_voice:make_voice"``. To be told always:
    ``None`` says that there is none, since the provider is no package's own (a chain)."""

    @pytest.fixture
    def context(self) -> ProviderContext:
        """What the entry point is called with; override where it needs settings of its own."""
        settings = Settings.load(flags={f"{self.stage}.api_key": KEY}, environ={})
        name = getattr(self, "entry_point", None) or ""
        engine = name.partition("=")[0].strip()
        return ProviderContext(self.stage, engine, settings, connect=ServiceSet(settings).client)

    async def test_the_entry_point_makes_a_provider_that_starts_or_says_what_is_missing(
        self, context: ProviderContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert hasattr(self, "entry_point"), 'say which it is: entry_point = "tones = tone_voice:make_voice"'
        if self.entry_point is None:
            return
        name, _, value = (part.strip() for part in self.entry_point.partition("="))
        provider: Any = EntryPoint(name, value, f"voicertc.{self.stage}").load()(context)
        assert provider.name == name
        assert [hasattr(provider, each) for each in ("start", "close", _WORK[self.stage])] == [True] * 3
        async with asyncio.timeout(START_LIMIT):
            refusal = await _refusal(provider)
            await provider.close()
            await provider.close()
        if refusal is not None:
            assert (refusal.provider, refusal.message != "", refusal.fix.count("\n")) == (name, True, 0)
            assert refusal.fix
            assert_tells_no_key(refusal, caplog.text, KEY)
        assert KEY not in caplog.text


async def _refusal(provider: Provider) -> ProviderUnavailable | None:
    """Start ``provider``; return why it could not be. Anything else that it raises is its fault."""
    try:
        await provider.start()
    except ProviderUnavailable as error:
        return error
    return None

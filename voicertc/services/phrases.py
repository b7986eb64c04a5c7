"""What the server may have to say when nobody else can: voiced at the start, while all is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from .. import logs
from ..errors import ProviderError
from ..providers.base import VoiceRequest
from ..providers.espeak import EspeakOptions, EspeakVoice
from ..providers.workers import PoolOptions
from ..session.cascade import voice_beforehand
from ..session.setup import Services

_PATIENCE = 30.0
"""Seconds for all of them: a voice that is slower has to be helped out by another."""
_log = logging.getLogger(__name__)


async def voice_phrases(phrases: Iterable[str], services: Services, how: VoiceRequest) -> None:
    """Put ``phrases`` into the services' phrasebook: by their voice, or by espeak-ng if that cannot speak.

    Without either a caller of a server whose voice is down hears no apology; the log says so.
    """
    phrases = tuple(phrases)
    try:
        async with asyncio.timeout(_PATIENCE):
            await voice_beforehand(phrases, services.voice, how, services.phrasebook)
    except Exception as error:  # also a third party's bug
        reason = error.message if isinstance(error, ProviderError) else type(error).__name__
        logs.event(_log, logging.WARNING, "phrases_not_voiced", provider=services.voice.name, reason=reason)
        await _voice_all_the_same(phrases, services, how)


async def _voice_all_the_same(phrases: tuple[str, ...], services: Services, how: VoiceRequest) -> None:
    voice = EspeakVoice(EspeakOptions(pool=PoolOptions(workers=1)))
    try:
        await voice.start()
        plain = VoiceRequest(language=how.language)
        await voice_beforehand(phrases, voice, plain, services.phrasebook)
    except ProviderError as error:
        logs.event(_log, logging.ERROR, "no_voice_for_apologies", reason=error.message)
    finally:
        await voice.close()

"""The speech-to-speech services that sessions may choose: those that the settings name or have a key for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import logs
from ..errors import ProviderError, ProviderUnavailable
from ..providers.base import SpeechToSpeech
from ..providers.openai_address import at_openai, shown_address
from ..providers.plan_b.member import Probed
from ..settings import Settings, Stage
from .model_ends import warn_of_end

if TYPE_CHECKING:
    from ..providers.openai_client import OpenAIClient

_log = logging.getLogger(__name__)

_LOOK_TIMEOUT = 5.0
"""Seconds for a probe at the start."""
_STAGE: Stage = "llm"
"""Whose key and base URL it has: a service of its own would need settings of its own."""


def make_speech(settings: Settings, connect: Callable[[Stage], OpenAIClient]) -> SpeechToSpeech | None:
    """Return OpenAI's service if the operator has chosen it, or clients may: at OpenAI, with a key."""
    key, base_url = settings.openai_access(_STAGE)
    is_openai = at_openai(base_url)
    if settings.agent.engine == "cascade" and not (is_openai and key is not None):
        return None
    from ..providers.openai_speech_to_speech import OpenAISpeechToSpeech, OpenAISpeechToSpeechOptions

    options = OpenAISpeechToSpeechOptions(language=settings.stt.language)
    if settings.agent.model != "auto":
        options = replace(options, model=settings.agent.model)
    service = OpenAISpeechToSpeech(options, connect(_STAGE).options)
    if is_openai:
        warn_of_end(service.model, "speech", service.name, fix="Set another agent.model.")
    return service


def detail(service: SpeechToSpeech, settings: Settings) -> str:
    """Return what start-up prints of ``service``: its name, its model, and where it is unless at OpenAI."""
    model: str = getattr(service, "model", "")
    _, base_url = settings.openai_access(_STAGE)
    where = "" if base_url is None or at_openai(base_url) else f" at {shown_address(base_url)}"
    return f"{service.name} {model}{where}"


async def look_at(service: object) -> None:
    """Probe ``service`` once, and log what is wrong with it."""
    if not isinstance(service, Probed):
        return
    name: str = getattr(service, "name", "")
    fix = None
    try:
        async with asyncio.timeout(_LOOK_TIMEOUT):
            await service.probe()
        return
    except ProviderError as error:
        reason, fix = error.message, error.fix if isinstance(error, ProviderUnavailable) else None
    except TimeoutError:
        reason = "it did not answer in time"
    except Exception as error:  # a third party's probe
        reason = f"its probe raised {type(error).__name__}"
    level = logging.ERROR if fix else logging.WARNING
    logs.event(_log, level, "provider_failed", stage="speech", provider=name, reason=reason, fix=fix)

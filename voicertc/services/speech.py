"""The speech-to-speech services that sessions may choose: those that the settings name or have a key for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from .. import logs
from ..providers.base import SpeechToSpeech
from ..providers.openai_address import at_openai
from ..providers.openai_models import SHUTDOWNS
from ..settings import Settings, Stage

if TYPE_CHECKING:
    from ..providers.openai_client import OpenAIClient

_log = logging.getLogger(__name__)

_STAGE: Stage = "llm"
"""Whose key and base URL it has: a service of its own would need settings of its own."""


def make_speech(
    settings: Settings, connect: Callable[[Stage], OpenAIClient], today: date
) -> SpeechToSpeech | None:
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
    if service.shutdown_notice(today) is not None:
        logs.event(
            _log,
            logging.WARNING,
            "model_shutdown",
            stage="agent",
            provider=service.name,
            model=service.model,
            ends=SHUTDOWNS[service.model].isoformat(),
        )
    return service

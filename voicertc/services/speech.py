"""The speech-to-speech services that sessions may choose: those that the settings name or have a key for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..providers.base import SpeechToSpeech
from ..providers.openai_address import at_openai
from ..settings import Settings, Stage
from .model_ends import warn_of_end

if TYPE_CHECKING:
    from ..providers.openai_client import OpenAIClient

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
        warn_of_end(service.model, "agent", service.name, fix="Set another agent.model.")
    return service

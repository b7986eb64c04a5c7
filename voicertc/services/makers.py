"""How the engines that come along are made, each from its context.

Each maker imports its provider itself: the OpenAI SDK takes a second of a start that may not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..agents.base import Agent
from ..providers.base import LanguageModel, SpeechToText, TextToSpeech
from ..providers.workers import PoolOptions
from ..settings import Stage
from .context import ProviderContext

Maker = Callable[[ProviderContext], Any]
"""Makes a ``SpeechToText``, a ``LanguageModel`` or an ``Agent``, or a ``TextToSpeech``, by its stage."""


def _openai_live(context: ProviderContext) -> SpeechToText:
    from ..providers.openai_live import OpenAILiveOptions, OpenAILiveSpeechToText

    options = OpenAILiveOptions(language=context.language, **_model(context))
    return OpenAILiveSpeechToText(options, context.client().options)


def _openai_file(context: ProviderContext) -> SpeechToText:
    from ..providers.openai_stt import OpenAISpeechToText, OpenAISpeechToTextOptions

    limits = context.settings.limits
    options = OpenAISpeechToTextOptions(
        language=context.language,
        # Its own error is told apart from silence only if it comes before the conversation gives up.
        timeout=0.9 * limits.final_timeout,
        max_turn=limits.max_turn,
        **_model(context),
    )
    return OpenAISpeechToText(options, context.client())


def _pocketsphinx(context: ProviderContext) -> SpeechToText:
    from ..providers.pocketsphinx import PocketsphinxOptions, PocketsphinxRecognizer

    workers = context.settings.stt.workers
    return PocketsphinxRecognizer(PocketsphinxOptions(pool=PoolOptions(workers=workers)))


def _openai_responses(context: ProviderContext) -> LanguageModel:
    from ..providers.openai_responses import OpenAIResponses, OpenAIResponsesOptions

    return OpenAIResponses(OpenAIResponsesOptions(**_language(context)), context.client())


def _openai_chat(context: ProviderContext) -> LanguageModel:
    from ..providers.openai_chat import OpenAIChat, OpenAIChatOptions

    return OpenAIChat(OpenAIChatOptions(**_language(context)), context.client())


def _offline(context: ProviderContext) -> Agent:
    from ..agents.offline import OfflineAgent

    return OfflineAgent(language=context.language or "en")


def _openai_reader(context: ProviderContext) -> TextToSpeech:
    from ..providers.openai_reader import OpenAIReaderOptions, OpenAIReaderVoice

    return OpenAIReaderVoice(OpenAIReaderOptions(**_model(context)), context.client().options)


def _openai_speech(context: ProviderContext) -> TextToSpeech:
    from ..providers.openai_tts import OpenAITextToSpeech, OpenAITextToSpeechOptions

    options = OpenAITextToSpeechOptions(rate_hz=context.settings.tts.rate_hz, **_model(context))
    return OpenAITextToSpeech(options, context.client())


def _espeak(context: ProviderContext) -> TextToSpeech:
    from ..providers.espeak import EspeakOptions, EspeakVoice

    return EspeakVoice(EspeakOptions(pool=PoolOptions(workers=context.settings.tts.workers)))


def _model(context: ProviderContext) -> dict[str, Any]:
    """Name the model, unless it is the engine's own choice."""
    return {"model": context.model} if context.model else {}


def _language(context: ProviderContext) -> dict[str, Any]:
    """Return what the operator may say of a language model."""
    llm = context.settings.llm
    bounds = {"temperature": llm.temperature, "max_output_tokens": llm.max_output_tokens}
    return {**bounds, **_model(context)}


MAKERS: Mapping[Stage, Mapping[str, Maker]] = {
    "stt": {"openai-live": _openai_live, "openai-file": _openai_file, "pocketsphinx": _pocketsphinx},
    "llm": {"openai-responses": _openai_responses, "openai-chat": _openai_chat, "offline": _offline},
    "tts": {"openai-reader": _openai_reader, "openai-speech": _openai_speech, "espeak": _espeak},
}
"""The makers by stage and engine; ``openai`` itself is decided by ``Settings.engines``."""

LOCAL = ("pocketsphinx", "offline", "espeak")
"""The engines that run on this machine."""

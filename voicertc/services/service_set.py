"""Which service hears, thinks and speaks: from the settings to started providers.

A provider is added by one file in ``providers`` and one line in the tables below.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast

from . import logs
from .agents.base import Agent
from .audio.vad import SpeechModel, VadOptions, VoiceActivity
from .errors import ProviderUnavailable
from .providers.base import Provider, SpeechToText, TextToSpeech
from .providers.unavailable import Unavailable
from .providers.workers import PoolOptions
from .session.setup import Services
from .settings import Settings
from .settings.settings import Stage

if TYPE_CHECKING:
    from .providers.openai_client import OpenAIClient

_log = logging.getLogger(__name__)

_P = TypeVar("_P", SpeechToText, TextToSpeech, Agent)

_OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Service:
    """One line for the operator: ``stage`` is hearing, thinking or speaking; ``detail`` a short phrase."""

    stage: str
    name: str
    detail: str


class _Detector:
    """webrtcvad and the shared neural model, as the sessions' ``SpeechDetector``."""

    def __init__(self, model: SpeechModel, options: VadOptions) -> None:
        self._model = model
        self._options = options

    def attend(self) -> VoiceActivity:
        """Begin to listen to a call."""
        return VoiceActivity(self._model, self._options)


class ServiceSet:
    """The providers of one process. ``start`` once, before the first call; ``close`` after the last."""

    def __init__(self, settings: Settings, agent: Agent | None = None) -> None:
        self.settings = settings
        self._agent = agent
        self._started: list[Provider | Agent] = []
        self._clients: dict[tuple[str, str], OpenAIClient] = {}
        self.lines: tuple[Service, ...] = ()
        """What is in use, known after ``start``."""

    async def start(self) -> Services:
        """Start all; a speech service that cannot start is replaced by one that says so when used.

        Raises ``ProviderUnavailable`` for what no call can do without: the speech detector.
        """
        detector = _Detector(SpeechModel(), self.settings.vad_options())
        try:
            # All at once: what takes time is child processes loading their models.
            async with asyncio.TaskGroup() as group:
                ears = group.create_task(self._start(_RECOGNIZERS[self.settings.engine("stt")], "hearing"))
                mind = group.create_task(self._start(self._agent_maker(), "thinking"))
                mouth = group.create_task(self._start(_VOICES[self.settings.engine("tts")], "speaking"))
        except BaseException:
            await self.close()
            raise
        (recognizer, hearing), (agent, thinking), (voice, speaking) = (
            ears.result(),
            mind.result(),
            mouth.result(),
        )
        self.lines = (hearing, thinking, speaking)
        return Services(recognizer, agent, voice, detector)

    async def close(self) -> None:
        """Close all, last started first; may be called twice."""
        while self._started:
            await self._started.pop().close()

    def client(self, stage: Stage) -> OpenAIClient:
        """Return the pool of connections to a stage's server; stages with the same access share one."""
        from .providers.openai_client import OpenAIClient, OpenAIOptions

        key, base_url = self.settings.openai_access(stage)
        base_url = base_url or _OPENAI
        access = (base_url, key.reveal() if key else "")
        if access not in self._clients:
            self._clients[access] = OpenAIClient(OpenAIOptions(api_key=key, base_url=base_url))
        return self._clients[access]

    def _agent_maker(self) -> Callable[[ServiceSet], Agent]:
        agent = self._agent
        return (lambda _: agent) if agent is not None else _AGENTS[self.settings.engine("llm")]

    async def _start(self, make: Callable[[ServiceSet], _P], stage: str) -> tuple[_P, Service]:
        try:
            provider = make(self)
            self._started.append(provider)  # even if it fails: what it began must be freed
            await provider.start()
        except ProviderUnavailable as error:
            logs.event(_log, logging.ERROR, "provider_unavailable", provider=error.provider, fix=error.fix)
            line = Service(stage, error.provider, f"NOT AVAILABLE: {error.message}. {error.fix}")
            return cast(_P, Unavailable(error)), line
        return provider, Service(stage, provider.name, self._detail(provider.name, _STAGES[stage]))

    def _detail(self, name: str, stage: Stage) -> str:
        """Return what an operator wants to know of a provider beside its name."""
        if name in _LOCAL:
            return "on this machine"
        if name != "openai":
            return "your agent"
        from .providers.openai_models import shutdown_notice

        model = str(getattr(self.settings, stage).model)
        _, base_url = self.settings.openai_access(stage)
        if base_url is not None:
            return f"{model} at {base_url}"
        notice = shutdown_notice(model, datetime.now(UTC).date())
        return f"{model} ({notice})" if notice else model


# Each maker imports its provider itself: the OpenAI SDK takes a second of a start that may not need it.


def _openai_agent(services: ServiceSet) -> Agent:
    from .agents.chat import ChatAgent
    from .providers.openai_chat import OpenAIChat, OpenAIChatOptions

    llm = services.settings.llm
    return ChatAgent(OpenAIChat(OpenAIChatOptions(model=llm.model), services.client("llm")))


def _openai_recognizer(services: ServiceSet) -> SpeechToText:
    from .providers.openai_stt import OpenAISpeechToText, OpenAISpeechToTextOptions

    stt, limits = services.settings.stt, services.settings.limits
    options = OpenAISpeechToTextOptions(
        model=stt.model,
        language=stt.language,
        # Its own error is told apart from silence only if it comes before the conversation gives up.
        timeout=0.9 * limits.final_timeout,
        max_turn=limits.max_turn,
    )
    return OpenAISpeechToText(options, services.client("stt"))


def _openai_voice(services: ServiceSet) -> TextToSpeech:
    from .providers.openai_tts import OpenAITextToSpeech, OpenAITextToSpeechOptions

    tts = services.settings.tts
    options = OpenAITextToSpeechOptions(model=tts.model, rate_hz=tts.rate_hz)
    return OpenAITextToSpeech(options, services.client("tts"))


def _pocketsphinx(services: ServiceSet) -> SpeechToText:
    from .providers.pocketsphinx import PocketsphinxOptions, PocketsphinxRecognizer

    workers = services.settings.stt.workers
    return PocketsphinxRecognizer(PocketsphinxOptions(pool=PoolOptions(workers=workers)))


def _espeak(services: ServiceSet) -> TextToSpeech:
    from .providers.espeak import EspeakOptions, EspeakVoice

    return EspeakVoice(EspeakOptions(pool=PoolOptions(workers=services.settings.tts.workers)))


def _offline_agent(services: ServiceSet) -> Agent:
    from .agents.offline import OfflineAgent

    return OfflineAgent(language=services.settings.stt.language or "en")


_RECOGNIZERS: dict[str, Callable[[ServiceSet], SpeechToText]] = {
    "openai": _openai_recognizer,
    "pocketsphinx": _pocketsphinx,
}
_AGENTS: dict[str, Callable[[ServiceSet], Agent]] = {"openai": _openai_agent, "offline": _offline_agent}
_VOICES: dict[str, Callable[[ServiceSet], TextToSpeech]] = {"openai": _openai_voice, "espeak": _espeak}
_STAGES: dict[str, Stage] = {"hearing": "stt", "thinking": "llm", "speaking": "tts"}
_LOCAL = ("pocketsphinx", "espeak", "offline")

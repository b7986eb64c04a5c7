"""The providers of one process: made from the settings, started together, closed together."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from .. import logs
from ..agents.base import Agent
from ..audio.vad import SpeechModel, VadOptions, VoiceActivity
from ..errors import ProviderUnavailable
from ..providers.base import Provider, SpeechToSpeech
from ..providers.openai_address import OPENAI_URL
from ..providers.phrasebook import Phrasebook
from ..providers.unavailable import Unavailable
from ..session.setup import Services
from ..settings import Settings, Stage
from .speech import make_speech
from .stages import MadeStage

if TYPE_CHECKING:
    from ..providers.openai_client import OpenAIClient

_log = logging.getLogger(__name__)

_TITLES: dict[Stage, str] = {"stt": "hearing", "llm": "thinking", "tts": "speaking"}


@dataclass(frozen=True, slots=True)
class Service:
    """One line for the operator: ``stage`` is hearing, thinking, speaking, or answering if one does all that;
    ``text``: by whom, in order."""

    stage: str
    text: str


class _Detector:
    """webrtcvad and the shared neural model, as the sessions' ``SpeechDetector``."""

    def __init__(self, model: SpeechModel, options: VadOptions) -> None:
        self._model = model
        self._options = options

    def attend(self) -> VoiceActivity:
        """Begin to listen to a call."""
        return VoiceActivity(self._model, self._options)


class ServiceSet:
    """The providers of one process. ``start`` once, before the first call; ``close`` after the last.

    ``agent`` thinks instead of what the settings name. ``today`` decides which models are about to end.
    """

    def __init__(self, settings: Settings, agent: Agent | None = None, *, today: date | None = None) -> None:
        self.settings = settings
        self._agent = agent
        self._today = today or datetime.now(UTC).date()
        self._started: list[Provider | Agent] = []
        self._clients: dict[tuple[str, str], OpenAIClient] = {}
        self.lines: tuple[Service, ...] = ()
        """What is in use, known after ``start``."""

    async def start(self) -> Services:
        """Start all; a stage that cannot start is replaced by one that says so when used.

        Raises ``ProviderUnavailable`` for what no call can do without: the speech detector.
        """
        detector = _Detector(SpeechModel(), self.settings.vad_options())
        try:
            # All at once: what takes time is child processes loading their models.
            async with asyncio.TaskGroup() as group:
                ears = group.create_task(self._stage("stt"), name="services/hearing")
                mind = group.create_task(self._mind(), name="services/thinking")
                mouth = group.create_task(self._stage("tts"), name="services/speaking")
        except BaseException:
            await self.close()
            raise
        (recognizer, hearing), (agent, thinking), (voice, speaking) = (
            ears.result(),
            mind.result(),
            mouth.result(),
        )
        speech, answering = await self._speech()
        self.lines = (*answering, hearing, thinking, speaking)
        clauses = Phrasebook() if self.settings.tts.cache else None
        return Services(recognizer, agent, voice, detector, clauses=clauses, speech=speech)

    async def close(self) -> None:
        """Close all, last started first; may be called twice."""
        while self._started:
            await self._started.pop().close()

    def client(self, stage: Stage) -> OpenAIClient:
        """Return the pool of connections to a stage's server; stages with the same access share one."""
        from ..providers.openai_client import OpenAIClient, OpenAIOptions

        key, base_url = self.settings.openai_access(stage)
        base_url = base_url or OPENAI_URL
        access = (base_url, key.reveal() if key else "")
        if access not in self._clients:
            self._clients[access] = OpenAIClient(OpenAIOptions(api_key=key, base_url=base_url))
        return self._clients[access]

    async def _speech(self) -> tuple[dict[str, SpeechToSpeech], tuple[Service, ...]]:
        """Make and start what hears and answers by itself; return its line if the operator has chosen it."""
        chosen = self.settings.agent.engine
        service = make_speech(self.settings, self.client)
        if service is None:
            return {}, ()
        try:
            await self._start(service)
        except ProviderUnavailable as error:
            logs.event(_log, logging.ERROR, "provider_unavailable", provider=chosen, fix=error.fix)
            text = f"{chosen} NOT AVAILABLE: {error.message}. {error.fix}"
            return {}, (Service("answering", text),)
        line = Service("answering", f"{service.name}; the cascade stands in:")
        return {service.name: service}, (line,) if chosen == service.name else ()

    async def _mind(self) -> tuple[Any, Service]:
        agent = self._agent
        if agent is None:
            return await self._stage("llm")
        try:
            await self._start(agent)
        except ProviderUnavailable as error:
            return self._unavailable("llm", error.provider, error)
        return agent, Service(_TITLES["llm"], f"{agent.name} (your agent)")

    async def _stage(self, stage: Stage) -> tuple[Any, Service]:
        """Make and start a stage's engines; return what does the work, and its line."""
        try:
            made = MadeStage(stage, self.settings, self.client, self._today)
            await self._start(made.provider)
        except ProviderUnavailable as error:
            return self._unavailable(stage, self.settings.engines(stage)[0], error)
        return made.provider, Service(_TITLES[stage], made.text)

    async def _start(self, provider: Provider | Agent) -> None:
        self._started.append(provider)  # even if it fails: what it began must be freed
        await provider.start()

    def _unavailable(
        self, stage: Stage, name: str, error: ProviderUnavailable
    ) -> tuple[Unavailable, Service]:
        logs.event(_log, logging.ERROR, "provider_unavailable", provider=name, fix=error.fix)
        text = f"{name} NOT AVAILABLE: {error.message}. {error.fix}"
        return Unavailable(error), Service(_TITLES[stage], text)

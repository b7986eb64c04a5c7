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
from ..providers.plan_b.address import Address
from ..providers.plan_b.chain import Chain
from ..providers.unavailable import Unavailable
from ..session.setup import Services
from ..settings import Settings, Stage
from .speech import detail, look_at, make_speech
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
        self._addresses: dict[str, Address] = {}
        self._looking: asyncio.Task[None] | None = None
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

    def look(self) -> None:
        """Probe once what was started, in the background: a wrong key is logged before a call needs it."""
        for provider in self._started:
            chain = getattr(provider, "chain", None)
            if isinstance(chain, Chain):
                chain.look()
            elif provider.name == self.settings.agent.engine and self._looking is None:
                self._looking = asyncio.create_task(look_at(provider), name="services/look")

    async def close(self) -> None:
        """Close all, last started first; may be called twice."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        while self._started:
            await self._started.pop().close()

    def client(self, stage: Stage) -> OpenAIClient:
        """Return the pool of connections to a stage's server; stages with the same access share one."""
        from ..providers.openai_client import OpenAIClient, OpenAIOptions

        key, base_url = self.settings.openai_access(stage)
        base_url = base_url or OPENAI_URL
        access = (base_url, key.reveal() if key else "")
        if access not in self._clients:
            address = self._addresses.setdefault(base_url, Address())
            options = OpenAIOptions(api_key=key, base_url=base_url, address=address)
            self._clients[access] = OpenAIClient(options)
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
            return {}, (Service("answering", _unavailable("speech", chosen, error)),)
        line = Service("answering", f"{detail(service, self.settings)}; the cascade stands in:")
        return {service.name: service}, (line,) if chosen == service.name else ()

    async def _mind(self) -> tuple[Any, Service]:
        agent = self._agent
        if agent is None:
            return await self._stage("llm")
        try:
            await self._start(agent)
        except ProviderUnavailable as error:
            text = _unavailable("llm", error.provider, error)
            return Unavailable(error), Service(_TITLES["llm"], text)
        return agent, Service(_TITLES["llm"], f"{agent.name} (your agent)")

    async def _stage(self, stage: Stage) -> tuple[Any, Service]:
        """Make and start a stage's engines; return what does the work, and its line."""
        try:
            made = MadeStage(stage, self.settings, self.client, self._today)
            await self._start(made.provider)
        except ProviderUnavailable as error:
            text = _unavailable(stage, self.settings.engines(stage)[0], error)
            return Unavailable(error), Service(_TITLES[stage], text)
        return made.provider, Service(_TITLES[stage], made.text)

    async def _start(self, provider: Provider | Agent) -> None:
        self._started.append(provider)  # even if it fails: what it began must be freed
        await provider.start()


def _unavailable(stage: str, name: str, error: ProviderUnavailable) -> str:
    """Log that a stage has nobody who does its work; return its line for the operator."""
    logs.event(
        _log,
        logging.ERROR,
        "provider_unavailable",
        stage=stage,
        provider=name,
        reason=error.message,
        fix=error.fix,
    )
    return f"{name} NOT AVAILABLE: {error.message}. {error.fix}"

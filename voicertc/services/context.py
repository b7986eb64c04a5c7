"""What a maker of a provider is told: the settings of its stage, and how to reach OpenAI or the like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..providers.openai_address import at_openai
from ..providers.secret import Secret
from ..settings import Settings, Stage

if TYPE_CHECKING:
    from ..providers.openai_client import OpenAIClient


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What an entry point (groups ``voicertc.stt``, ``voicertc.llm``, ``voicertc.tts``) is called with.

    It returns a provider that has not been started: ``SpeechToText``, ``LanguageModel`` or ``TextToSpeech``,
    quickly and without touching a network: what takes time, or may fail, belongs into its ``start``.
    """

    stage: Stage
    """``stt``, ``llm`` or ``tts``."""
    engine: str
    """The name the operator has chosen it by; the provider's ``name`` should be the same."""
    settings: Settings
    """All that the operator has chosen; ``settings.tts`` and the like are the stage's own keys."""
    model: str | None = None
    """The model that the operator wants of this very engine, or ``None`` for its default."""
    connect: Callable[[Stage], OpenAIClient] | None = field(default=None, repr=False)
    """Gives the pool of connections to a stage's server; use ``client``."""

    @property
    def language(self) -> str | None:
        """ISO 639-1 code of what callers speak, or ``None`` if they speak several."""
        return self.settings.stt.language

    @property
    def api_key(self) -> Secret | None:
        """The stage's own key; OpenAI's common one is for engines of OpenAI's only."""
        key: Secret | None = getattr(self.settings, self.stage).api_key
        return key

    @property
    def base_url(self) -> str | None:
        """The stage's own address of a server."""
        url: str | None = getattr(self.settings, self.stage).base_url
        return url

    @property
    def is_openai(self) -> bool:
        """Whether ``client`` speaks to OpenAI itself."""
        return at_openai(self.settings.openai_access(self.stage)[1])

    def client(self) -> OpenAIClient:
        """Return the pool of connections to the stage's OpenAI, or compatible server; stages share it."""
        assert self.connect is not None, "made without a pool"
        return self.connect(self.stage)

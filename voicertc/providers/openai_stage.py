"""What the three OpenAI providers share: a name, a place in the pool, a start that touches no network."""

from __future__ import annotations

from datetime import date

import openai

from ..errors import ProviderUnavailable
from .openai_access import NAME, rehearsal
from .openai_client import OpenAIClient
from .openai_models import shutdown_notice


class OpenAIStage:
    """A user of the shared pool. ``start`` and ``close`` may each be called twice."""

    def __init__(self, client: OpenAIClient, model: str) -> None:
        self.client = client
        self.model = model
        self._is_started = False

    @property
    def name(self) -> str:
        """``openai``, whatever server it is."""
        return NAME

    async def start(self) -> None:
        """Take a place in the pool; raise ``ProviderUnavailable`` if OpenAI is meant and there is no key."""
        if self._is_started:
            return
        if self.client.options.is_openai and not self.client.options.api_key:
            raise ProviderUnavailable(
                "OpenAI needs an API key",
                provider=self.name,
                fix="Set OPENAI_API_KEY, or OPENAI_BASE_URL to a compatible server that needs none.",
            )
        self.client.acquire()
        self._is_started = True
        async with rehearsal() as api:
            await self._rehearse(api)

    async def close(self) -> None:
        """Leave the pool; the last to leave closes it."""
        if self._is_started:
            self._is_started = False
            await self.client.release()

    async def _rehearse(self, api: openai.AsyncOpenAI) -> None:
        """Send this stage's kind of request to nobody."""

    def shutdown_notice(self, today: date) -> str | None:
        """Return a warning for start-up if OpenAI has announced the end of the model, else ``None``."""
        return shutdown_notice(self.model, today) if self.client.options.is_openai else None


def sendable(text: str) -> str:
    """Return ``text`` as any server takes it: half a surrogate pair and control characters replaced.

    A model's stray token may hold them; as JSON they are refused, or the request cannot even be encoded.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(char if char.isprintable() or char.isspace() else " " for char in whole)

"""What providers by OpenAI's HTTP API share: a place in its pool, a start that touches no network."""

from __future__ import annotations

import openai

from .openai_access import rehearsal
from .openai_client import OpenAIClient
from .plan_b.address import Address
from .plan_b.rate_limits import RateLimits


class OpenAIStage:
    """A user of the shared pool. ``start`` and ``close`` may each be called twice."""

    name: str
    """What the settings call it, and what its errors carry."""
    endpoint: str
    """What it asks for, as the path under the API's root: an allowance is counted for each."""

    def __init__(self, client: OpenAIClient, model: str) -> None:
        self.client = client
        self.model = model
        self._is_started = False

    @property
    def rate_limits(self) -> RateLimits:
        """What is left of the account's allowance."""
        return self.client.rate_limits(self.endpoint)

    @property
    def address(self) -> Address:
        """Where its server is."""
        return self.client.options.address

    async def start(self) -> None:
        """Take a place in the pool; raise ``ProviderUnavailable`` if OpenAI is meant and there is no key."""
        if self._is_started:
            return
        self.client.options.demand_key(self.name)
        self.client.acquire(self.name)
        self._is_started = True
        async with rehearsal() as api:
            await self._rehearse(api)

    async def close(self) -> None:
        """Leave the pool; the last to leave closes it."""
        if self._is_started:
            self._is_started = False
            await self.client.release()

    async def probe(self) -> None:
        """Ask for something that costs nothing; raise ``ProviderError`` if that fails."""
        await self.client.probe(self.model, self.name)

    async def _rehearse(self, api: openai.AsyncOpenAI) -> None:
        """Send this stage's kind of request to nobody."""


def sendable(text: str) -> str:
    """Return ``text`` as any server takes it: half a surrogate pair and control characters replaced.

    A model's stray token may hold them; as JSON they are refused, or the request cannot even be encoded.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(char if char.isprintable() or char.isspace() else " " for char in whole)

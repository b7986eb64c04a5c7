"""One connection pool to OpenAI, or to a server that speaks its HTTP protocol, for all three stages.

    OpenAISpeechToText ─┐
    OpenAIChat ─────────┼─ OpenAIClient ── keep-alive pool ── https://api.openai.com/v1
    OpenAITextToSpeech ─┘

Rules for a conversation, which are not the SDK's: one retry, at once, before the first byte and never after
it, if there is time; a service that asks us to wait longer than ``RETRY_WITHIN`` has failed. Every wait has a
deadline. What an answer's headers say of the account's allowance is kept for each endpoint. The SDK
builds the requests and its errors; bodies are read as bytes, because building its object for each token costs
four times the CPU of the token itself (177 against 38 µs, openai 3.51).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai

from ..errors import ProviderCrashed, ProviderError
from ..logs import event
from .openai_access import OpenAIOptions, make_api
from .openai_errors import LIBRARY_ERRORS, in_band_error, is_forbidden, may_repeat_key, quote, translate
from .patience import Patience
from .plan_b.blame import NotDescribed
from .plan_b.rate_limits import RateLimits

__all__ = ["Negotiable", "OpenAIClient", "OpenAIOptions", "OpenStream", "StreamedResponse"]

RETRY_WITHIN = 0.25
"""Seconds: a retry that cannot begin by then comes too late for a conversation."""

_WARM_BEFORE_EXPIRY = 15.0
"""Seconds before idle connections expire at which a new turn, which may last that long, renews them."""
_WARM_CONNECTIONS = 2
"""The language model's and the voice's work side by side; the recognizer's is free again by then."""

_PROBE_TIMEOUT = 4.0
"""Seconds for a probe: connecting and one small answer."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class StreamedResponse(Protocol):
    """What this module needs of the SDK's response: what it is, and its body as it arrives."""

    @property
    def headers(self) -> httpx2.Headers:
        """The response's headers."""

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""


class Negotiable(Protocol):
    """What a request asks for that a server may not have."""

    def yields_to(self, error: Exception) -> bool:
        """Ask for less, if that is what ``error`` demands; only then is the request sent again."""


OpenStream = Callable[[openai.AsyncOpenAI], AbstractAsyncContextManager[StreamedResponse]]
"""Sends one request and opens its answer: ``lambda api: api.….with_streaming_response.create(…)``."""


class OpenAIClient:
    """The shared pool. Each user calls ``acquire`` once and ``release`` once.

    The connections exist from the first ``acquire`` to the last ``release``, all within one event loop.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self.options = options
        self._api: openai.AsyncOpenAI | None = None
        self._users = 0
        self._last_answer: float | None = None
        self._warming: asyncio.Task[None] | None = None
        self._rate_limits: dict[str, RateLimits] = {}

    def acquire(self, provider: str) -> None:
        """Make the pool if this is its first user; the network is not touched.

        ``provider``: the user's name, for the ``ProviderUnavailable`` of a pool that cannot be made.
        """
        if self._users == 0:
            try:
                self._api = make_api(self.options, self._answered)
            except LIBRARY_ERRORS as error:
                self._raise(error, provider)
        self._users += 1

    async def release(self) -> None:
        """Close the pool if this was its last user; requests under way fail."""
        assert self._users > 0, "released more often than acquired"
        self._users -= 1
        if self._users:
            return
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        api, self._api = self._api, None
        if api is not None:
            await api.close()

    def warm(self, model: str) -> None:
        """Open connections in the background, if those we have are about to expire.

        Called when a turn begins, so that it does not end in a wait for TLS. It asks for the description of
        ``model``, which costs nothing; what comes of it does not matter. A pool that is closed stays so.
        """
        if self._api is None:
            return
        loop = asyncio.get_running_loop()
        fresh_for = self.options.keep_alive - _WARM_BEFORE_EXPIRY
        is_fresh = self._last_answer is not None and loop.time() - self._last_answer < fresh_for
        is_warming = self._warming is not None and not self._warming.done()
        if not is_fresh and not is_warming:
            self._warming = loop.create_task(self._warm(self._api, model), name="openai/warm")

    def rate_limits(self, endpoint: str) -> RateLimits:
        """Return what is left of the allowance of an endpoint (``responses``, ``audio/speech``, …).

        Its times are the event loop's. OpenAI counts by model; a process asks an endpoint for one model only.
        """
        return self._rate_limits.setdefault(endpoint, RateLimits())

    async def probe(self, model: str, provider: str, *, timeout: float = _PROBE_TIMEOUT) -> None:
        """Ask for the description of ``model``, which costs nothing; raise ``provider``'s error if it fails.

        Raises ``NotDescribed`` where the answer does not say whether requests would work: a compatible server
        may describe no models, and a key may be good for everything but this.
        """

        async def ask(api: openai.AsyncOpenAI) -> None:
            try:
                await api.models.retrieve(model)
            except openai.APIStatusError as error:
                is_missing = error.status_code in {404, 405} and not self.options.is_openai
                if is_missing or is_forbidden(error):
                    raise self._not_described(error, provider) from None
                raise

        patience = Patience(provider, first=timeout, idle=timeout)
        await self.call(ask, patience, _NothingToDrop())

    async def call(
        self,
        send: Callable[[openai.AsyncOpenAI], Awaitable[_T]],
        patience: Patience,
        wish: Negotiable,
    ) -> _T:
        """Send a request and return its whole answer, within the first ``patience``; retry it once.

        ``patience`` knows who asks; ``wish``: what gives way when the server refuses it. Raises
        ``ProviderError``.
        """
        retries = 1
        while True:
            try:
                answer = await patience.wait(send(self._ready(patience.provider)))
            except LIBRARY_ERRORS as error:
                if wish.yields_to(error):
                    continue
                pause = self._pause_before_retry(error, retries, patience)
            else:
                self._last_answer = asyncio.get_running_loop().time()
                return answer
            retries -= 1
            await patience.wait(asyncio.sleep(pause))

    async def stream(
        self,
        open_stream: OpenStream,
        patience: Patience,
        wish: Negotiable,
        *,
        refuse: tuple[str, ...] = (),
    ) -> AsyncGenerator[bytes, None]:
        """Send a request and yield the answer's body as it arrives; retry once while nothing has arrived.

        ``wish``: what gives way when the server refuses it. ``refuse``: beginnings of content types that mean
        the answer is something else. Raises ``ProviderError``.
        """
        retries = 1
        while True:
            has_begun = False
            try:
                async with aclosing(self._once(open_stream, patience, refuse)) as body:
                    async for piece in body:
                        has_begun = True
                        yield piece
                return
            except LIBRARY_ERRORS as error:
                if not has_begun and wish.yields_to(error):
                    continue
                pause = self._pause_before_retry(error, 0 if has_begun else retries, patience)
            retries -= 1
            await patience.wait(asyncio.sleep(pause))

    async def _once(
        self, open_stream: OpenStream, patience: Patience, refuse: tuple[str, ...]
    ) -> AsyncGenerator[bytes, None]:
        """One attempt; raises the library's exceptions as they are."""
        api = self._ready(patience.provider)
        async with AsyncExitStack() as stack:
            response = await patience.wait(stack.enter_async_context(open_stream(api)))
            pieces = response.iter_bytes()
            content_type = response.headers.get("content-type", "").lower()
            if content_type.startswith(refuse):
                raise await self._wrong_content(content_type, pieces, patience)
            while (piece := await patience.wait(anext(pieces, None))) is not None:
                yield piece
            self._last_answer = asyncio.get_running_loop().time()

    async def _wrong_content(
        self, content_type: str, pieces: AsyncIterator[bytes], patience: Patience
    ) -> ProviderError:
        """Say what came instead of the answer: an error body, or a web page of a proxy in between."""
        provider, body = patience.provider, await patience.wait(anext(pieces, b""))
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        if isinstance(told, dict) and isinstance(told.get("error"), dict):
            return in_band_error(told["error"], provider=provider, key=self._key)
        said = quote(body.decode("utf-8", "replace"), self._key)
        return ProviderCrashed(f"{provider} answered with {content_type}: {said}", provider=provider)

    async def _warm(self, api: openai.AsyncOpenAI, model: str) -> None:
        """Use as many connections at once as a reply needs, so that they are open afterwards."""
        try:
            async with asyncio.timeout(self.options.connect_timeout + RETRY_WITHIN):
                lookups = [api.models.retrieve(model) for _ in range(_WARM_CONNECTIONS)]
                await asyncio.gather(*lookups, return_exceptions=True)
        except TimeoutError:
            event(_log, logging.DEBUG, "openai_warm_up_timed_out")
        self._last_answer = asyncio.get_running_loop().time()

    async def _answered(self, response: httpx2.Response) -> None:
        """Note that there is an answer, and what its headers say of the allowance; also a refusal's."""
        self.options.address.heard(asyncio.get_running_loop().time())
        if any(name.startswith("x-ratelimit-") for name in response.headers):
            root = urlsplit(self.options.base_url).path.rstrip("/") + "/"
            endpoint = response.request.url.path.removeprefix(root)
            self.rate_limits(endpoint).read(response.headers, asyncio.get_running_loop().time())

    def _not_described(self, error: openai.APIStatusError, provider: str) -> NotDescribed:
        asked = quote(error.request.url.path, self._key)
        return NotDescribed(
            f"{asked} is answered with HTTP {error.status_code}; if {provider} fails in calls, "
            "check the model's name and the base URL, which usually ends in /v1",
            provider=provider,
        )

    def _pause_before_retry(self, error: Exception, retries: int, patience: Patience) -> float:
        """Return the seconds until the request may be sent again, or raise what ``error`` means."""
        failure = translate(error, provider=patience.provider, key=self._key)
        pause = failure.retry_in
        # With less time left than the pause and an answer take, the reason is worth more than a second try.
        has_time = patience.left > RETRY_WITHIN
        if retries and has_time and pause is not None and pause <= RETRY_WITHIN:
            reason = failure.error.message
            event(_log, logging.DEBUG, "openai_retried", provider=patience.provider, reason=reason)
            return pause
        self._raise(error, patience.provider)

    def _raise(self, error: Exception, provider: str) -> NoReturn:
        """Raise our own error for ``error``, and forget the original if it would print a key."""
        cause = None if may_repeat_key(error, self._key) else error
        raise translate(error, provider=provider, key=self._key).error from cause

    def _ready(self, provider: str) -> openai.AsyncOpenAI:
        if self._api is None:
            raise ProviderError(f"{provider} is closed", provider=provider)
        return self._api

    @property
    def _key(self) -> str:
        return self.options.api_key.reveal() if self.options.api_key else ""


class _NothingToDrop:
    """The wish of a request that asks for nothing but itself."""

    def yields_to(self, error: Exception) -> bool:
        """Nothing can give way."""
        return False

"""Where OpenAI, or a server that speaks its protocol, is; and the SDK's clients for it.

The SDK reads ``OPENAI_…`` variables behind everybody's back and loads most of itself when first used; here it
is kept from both.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlsplit

import httpx2
import openai

from ..errors import ProviderUnavailable
from .openai_address import OPENAI_URL, at_openai, shown_address
from .plan_b.address import Address
from .secret import Secret

Answered = Callable[[httpx2.Response], Awaitable[None]]
"""Told an answer's status and headers, before its body is read."""


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """Where the service is, and how it is reached."""

    api_key: Secret | None = None
    """The account's key; a compatible server without authentication needs none."""
    base_url: str = OPENAI_URL
    """Root of the API; any server that speaks the same protocol will do."""
    organization: str | None = None
    """Organization to bill, if the key belongs to several."""
    project: str | None = None
    """Project to bill, if the key belongs to several."""
    connect_timeout: float = 2.5
    """Seconds for name, TCP and TLS: three round trips of a bad line, once lost and sent again."""
    keep_alive: float = 55.0
    """Seconds an idle connection is kept: below the 60 after which load balancers drop it unasked."""
    max_connections: int = 128
    """Requests at a time; a call has at most three, so this is more than one process can hold."""
    address: Address = field(default_factory=Address, compare=False, repr=False)
    """What is known of the server's address, shared by all that are told of the same one."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a URL here, where the operator sees it."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"base_url is not an http(s) URL: {shown_address(self.base_url)!r}")
        if parts.query or parts.fragment:
            raise ValueError(f"base_url has a query or a fragment: {shown_address(self.base_url)!r}")

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI itself (or one of its regions), whose own fields may be sent."""
        return at_openai(self.base_url)

    def demand_key(self, provider: str) -> None:
        """Raise ``ProviderUnavailable`` if OpenAI is meant and there is no key."""
        if self.is_openai and not self.api_key:
            raise ProviderUnavailable(
                "OpenAI needs an API key",
                provider=provider,
                fix="Set OPENAI_API_KEY, or OPENAI_BASE_URL to a compatible server that needs none.",
            )


def make_api(options: OpenAIOptions, answered: Answered) -> openai.AsyncOpenAI:
    """Make the SDK's client on its aiohttp transport: 24 µs of CPU per piece of a stream, not 64.

    ``answered`` is told the head of every answer.
    """
    hidden = [] if options.api_key else ["Authorization"]
    if not options.is_openai:
        hidden += ["OpenAI-Organization", "OpenAI-Project"]

    async def hide(request: httpx2.Request) -> None:
        # Left to itself the SDK sends what OPENAI_… variables hold to whatever server base_url names.
        for name in hidden:
            request.headers.pop(name, None)

    limits = httpx2.Limits(
        max_connections=options.max_connections,
        max_keepalive_connections=options.max_connections,
        keepalive_expiry=options.keep_alive,
    )
    return openai.AsyncOpenAI(
        api_key=options.api_key.reveal() if options.api_key else "none",
        base_url=options.base_url,
        organization=options.organization,
        project=options.project,
        max_retries=0,
        # Patience measures the rest: a timeout of the SDK's would count bytes that say nothing.
        timeout=httpx2.Timeout(None, connect=options.connect_timeout),
        http_client=openai.DefaultAioHttpClient(
            verify=tls_context(), limits=limits, event_hooks={"request": [hide], "response": [answered]}
        ),
    )


@cache
def tls_context() -> ssl.SSLContext:
    """Read the certificate authorities once: it takes 20 ms, and every pool and proxy wants them."""
    return httpx2.create_ssl_context()


@asynccontextmanager
async def rehearsal() -> AsyncGenerator[openai.AsyncOpenAI, None]:
    """Give an API that answers every request with an empty object and touches no network.

    The SDK loads and inspects its request types when they are first used: 80 ms per endpoint in which no
    other call would hear or say anything. A stage sends its kind of request here once, at the start.
    """
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={}))
    async with openai.AsyncOpenAI(
        api_key="none",
        base_url="http://rehearsal.invalid",
        http_client=httpx2.AsyncClient(transport=transport),
    ) as api:
        yield api

"""One WebSocket to OpenAI's Realtime API, and the pool of settings and TLS that all of a provider's share.

    client = RealtimeClient(access, "openai-live")
    client.start()
    socket = await client.open({"intent": "transcription"}, {"type": "transcription", …})
    socket.listen(on_event, on_lost)          # at once: this also answers pings
    await socket.send({"type": "input_audio_buffer.append", "audio": …})

``open`` comes back when the service has said ``session.updated``: what is sent before that is lost without a
word. Events are handed on as they come, in the reader's task; whoever takes them must not block, and keeps
its own bounds. A socket ends once, by ``close`` or by ``on_lost``, and is never opened again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yarl

from ..errors import ProviderCrashed, ProviderError, ProviderTimeout
from ..logs import event as log_event
from .openai_access import OpenAIOptions, tls_context
from .openai_errors import LIBRARY_ERRORS, may_repeat_key, translate
from .openai_events import Event, nested
from .openai_socket_errors import realtime_error, refused_handshake
from .openai_socket_line import configure, hang_up, next_event
from .plan_b.address import Address

OnEvent = Callable[[Event], None]
OnLost = Callable[[ProviderError], None]

MAX_MESSAGE = 16 << 20
"""Bytes of a message; OpenAI's own bound for audio is 15 MiB."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SocketTimes:
    """The deadlines of a socket, in seconds."""

    ready: float = 2.5
    """From the handshake to ``session.updated``: two round trips and what the service needs to set up."""
    send: float = 2.0
    """For one message to leave: a line that takes nothing for so long is dead."""
    heartbeat: float = 20.0
    """Between two pings of an idle line, and twice what an answer to one may take: middle-boxes forget a
    silent connection after 30 to 60 s, and a half-open one is found out no other way."""
    close: float = 0.5
    """For the service's goodbye, which is of no use to us."""


class RealtimeClient:
    """Opens sockets for one provider. ``start`` once, ``close`` once, all within one event loop."""

    def __init__(self, access: OpenAIOptions, provider: str, times: SocketTimes | None = None) -> None:
        self.access = access
        self.provider = provider
        self.times = times or SocketTimes()
        self._http: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Touch no network yet; raise ``ProviderUnavailable`` if OpenAI is meant and there is no key."""
        self.access.demand_key(self.provider)
        if self._http is None:
            connector = aiohttp.TCPConnector(ssl=tls_context(), limit=0)
            self._http = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # every wait has a deadline of its own
            )

    async def close(self) -> None:
        """Cut what is still open; may be called twice."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def open(self, query: Mapping[str, str], session: Mapping[str, Any]) -> RealtimeSocket:
        """Connect and configure; return a socket that may be used at once, and must be listened to at once.

        ``query``: ``{"intent": "transcription"}`` or ``{"model": …}``. ``session``: that of a
        ``session.update``. Raises ``ProviderError``; ``SessionRefused`` names the field that is not taken.
        """
        line = await self._connect(query)
        key = self._key
        try:
            async with asyncio.timeout(self.times.ready):
                effective = await configure(line, session, self.provider, key)
                return RealtimeSocket(line, effective, self.provider, key, self.times, self.access.address)
        except TimeoutError:
            failure: ProviderError = ProviderTimeout(
                f"{self.provider} did not set up a session within {self.times.ready:g} s",
                provider=self.provider,
            )
        except ProviderError as error:
            failure = error
        except LIBRARY_ERRORS as error:
            failure = translate(error, provider=self.provider, key=key).error
        except BaseException:
            await hang_up(line, self.times.close)
            raise
        await hang_up(line, self.times.close)
        raise failure

    async def _connect(self, query: Mapping[str, str]) -> aiohttp.ClientWebSocketResponse:
        """Do the handshake within ``connect_timeout``."""
        if self._http is None:
            raise ProviderError(f"{self.provider} is closed", provider=self.provider)
        key = self._key
        url = socket_url(self.access.base_url, query)
        try:
            async with asyncio.timeout(self.access.connect_timeout):
                line = await self._http.ws_connect(
                    url,
                    headers={"Authorization": f"Bearer {key}"} if key else {},
                    proxy=_proxy_to(self.access.base_url),
                    heartbeat=self.times.heartbeat,
                    timeout=aiohttp.ClientWSTimeout(ws_close=self.times.close),
                    max_msg_size=MAX_MESSAGE,
                )
            self.access.address.heard(asyncio.get_running_loop().time())
            return line
        except aiohttp.WSServerHandshakeError as error:
            self.access.address.heard(asyncio.get_running_loop().time())
            failure = refused_handshake(error, provider=self.provider, key=key)
        except LIBRARY_ERRORS as error:
            failure = translate(error, provider=self.provider, key=key).error
            if not may_repeat_key(error, key):
                raise failure from error
        # Outside of the handlers: aiohttp's exception holds our headers, and must not hang on to ours.
        raise failure

    @property
    def _key(self) -> str:
        return self.access.api_key.reveal() if self.access.api_key else ""


class RealtimeSocket:
    """An open, configured socket. ``session``: the service's own view of its configuration.

    Owned by whoever opened it; any task may ``send``. ``opened_at`` is the loop's time.
    """

    def __init__(
        self,
        line: aiohttp.ClientWebSocketResponse,
        session: Mapping[str, Any],
        provider: str,
        key: str,
        times: SocketTimes,
        address: Address,
    ) -> None:
        self.session = session
        self.provider = provider
        self.opened_at = asyncio.get_running_loop().time()
        self.lost: ProviderError | None = None
        self._line = line
        self._key = key
        self._times = times
        self._address = address
        address.heard(self.opened_at)
        self._told: ProviderError | None = None
        self._is_closed = False
        self._reader: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything may still come of it."""
        return self.lost is None and not self._is_closed

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return asyncio.get_running_loop().time() - self.opened_at

    def listen(self, on_event: OnEvent, on_lost: OnLost) -> None:
        """Begin to hand on events. ``on_lost`` is called once, if the socket ends without ``close``.

        Both are called in the reader's task and must not block. ``error`` events are handed on as well:
        ``error_in`` says what they mean.
        """
        assert self._reader is None, "listened to twice"
        reading = self._read(on_event, on_lost)
        self._reader = asyncio.create_task(reading, name=f"{self.provider}/socket")

    async def send(self, event: Event) -> None:
        """Send one event; raise ``ProviderError`` if the socket has ended or takes nothing any more."""
        if self.lost is not None:
            raise self.lost
        if self._is_closed:
            raise ProviderError(f"{self.provider} was closed", provider=self.provider)
        try:
            async with asyncio.timeout(self._times.send):
                await self._line.send_str(json.dumps(event, ensure_ascii=False))
        except LIBRARY_ERRORS as error:
            failure = translate(error, provider=self.provider, key=self._key).error
            self._lose(failure)
            await hang_up(self._line, 0.0)  # which wakes the reader, who tells the owner
            raise failure from error

    def error_in(self, event: Event) -> ProviderError:
        """Translate an ``error`` event, or any that has an ``error`` object in it."""
        return realtime_error(nested(event, "error"), provider=self.provider, key=self._key)

    async def close(self) -> None:
        """Hang up; ``on_lost`` is not called any more. May be called twice, not from ``on_event``."""
        self._is_closed = True
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        await hang_up(self._line, self._times.close)

    async def _read(self, on_event: OnEvent, on_lost: OnLost) -> None:
        """The reader's task: ends when the socket does."""
        try:
            while True:
                event = await next_event(self._line, self.provider, self._told)
                self._address.heard(asyncio.get_running_loop().time())
                # Only the very last event explains an end: most errors are about one request.
                self._told = self.error_in(event) if event.get("type") == "error" else None
                on_event(event)
        except ProviderError as error:
            failure = error
        except LIBRARY_ERRORS as error:
            failure = translate(error, provider=self.provider, key=self._key).error
        except Exception:  # a bug of ours: it ends this socket, and shows
            log_event(_log, logging.ERROR, "openai_socket_failed", exc_info=True, provider=self.provider)
            failure = ProviderCrashed(f"{self.provider} could not be understood", provider=self.provider)
        failure = self._lose(failure)
        await hang_up(self._line, 0.0)
        if not self._is_closed:
            on_lost(failure)

    def _lose(self, failure: ProviderError) -> ProviderError:
        """Note why the socket has ended, unless that is known."""
        if self.lost is None:
            self.lost = failure
        return self.lost


def socket_url(base_url: str, query: Mapping[str, str]) -> yarl.URL:
    """Return the Realtime endpoint's address under the API's root ``base_url`` (http or https)."""
    root = yarl.URL(base_url)
    scheme = "wss" if root.scheme == "https" else "ws"
    return (root.with_scheme(scheme) / "realtime").with_query(query)


def _proxy_to(base_url: str) -> str | None:
    """Return the proxy that the environment names for this server, as the HTTP pool finds it by itself."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    return None if proxy_bypass(host) else getproxies().get(parts.scheme)

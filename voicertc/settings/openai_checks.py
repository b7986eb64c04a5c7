"""What is wrong with the addresses of OpenAI, or of servers like it, and with their keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from operator import attrgetter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..addresses import machine_addresses, machine_names
from ..providers.openai_address import shown_address
from ..providers.secret import Secret
from .mistakes import Mistake

if TYPE_CHECKING:
    from .settings import Settings

KEYS = ("openai.api_key", "stt.api_key", "llm.api_key", "tts.api_key")
URLS = ("openai.base_url", "stt.base_url", "llm.base_url", "tts.base_url")

_HEADER_TEXT = re.compile(r"[ -~]+")
_PORTS = {"http": 80, "https": 443}


def base_urls(settings: Settings) -> Iterator[Mistake]:
    """Yield what is wrong with the base URLs."""
    for key in URLS:
        url: str | None = attrgetter(key)(settings)
        if url is not None:
            yield from _base_url(key, url, settings)


def openai_keys(settings: Settings) -> Iterator[Mistake]:
    """Yield what is wrong with the keys, never the keys themselves."""
    for key in KEYS:
        secret: Secret | None = attrgetter(key)(settings)
        if secret and secret.reveal().startswith("["):
            yield key, "is one key, no list: leave the brackets out"
        elif secret and not _HEADER_TEXT.fullmatch(secret.reveal()):
            yield key, "has a character that no HTTP header can carry"


def _base_url(key: str, url: str, settings: Settings) -> Iterator[Mistake]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # the port is no number, or a bracket is missing
        host, port = None, None
    shown, own = shown_address(url), key.replace("base_url", "api_key")
    if not host or parts.scheme not in _PORTS:
        yield key, f"{shown!r} must be an address like https://api.openai.com/v1"
    elif "?" in url or "#" in url:
        yield key, f"{shown!r} must end with its path, for each request adds its own; a key goes into {own}"
    elif parts.username is not None and attrgetter(own)(settings):
        yield (
            key,
            f"{shown!r} has a user, and there is {own}: requests can carry only one; leave the other out",
        )
    elif port == settings.server.port and _is_this_machine(host, settings.server.host):
        yield key, f"{shown} is this very server, which would call itself; name the server that does the work"


def _is_this_machine(host: str, listens_on: str) -> bool:
    if host in (*machine_names(), listens_on, "0.0.0.0", "::"):
        return True
    return _is_address(host) and (ip_address(host).is_loopback or ip_address(host) in machine_addresses())


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

"""What types cannot say: the bounds of every number, and choices that contradict each other.

Each check names the keys it reads; it is skipped when one of them is already known to be wrong, so that one
mistake is not told twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from operator import attrgetter
from typing import TYPE_CHECKING

from ..audio.sounds import find_problem
from ..audio.synthesis import AMBIENT, THINKING
from ..errors import SettingsError
from ..rtc.ice import announced_addresses
from ..rtc.turn_credentials import needs_credential
from .engines import STAGES, find_engine_problem
from .mistakes import Mistake
from .openai_checks import KEYS, URLS, base_urls, openai_keys

if TYPE_CHECKING:
    from .settings import Settings

BOUNDS: dict[str, tuple[float, float]] = {
    "server.port": (0, 65_535),
    "rtc.udp_port": (0, 65_535),
    "rtc.turn_ttl": (60, 604_800),
    "rtc.connect_timeout": (1, 120),
    "rtc.pause_after": (1, 120),
    "rtc.close_after": (1, 600),
    "stt.workers": (1, 64),
    "stt.first_timeout": (0.1, 60),
    "llm.temperature": (0, 2),  # OpenAI: /v1/responses, temperature
    "llm.max_output_tokens": (16, 100_000),  # OpenAI: /v1/responses refuses fewer than 16
    "llm.first_timeout": (0.1, 60),
    "tts.first_timeout": (0.1, 60),
    "tts.rate_hz": (8_000, 48_000),
    "tts.speed": (0.25, 1.5),  # OpenAI Realtime: session.audio.output.speed
    "tts.workers": (1, 64),
    "vad.start_threshold": (0, 1),
    "vad.suspect_threshold": (0, 1),
    "vad.stop_threshold": (0, 1),
    "vad.hangover": (0, 2),
    "vad.gate_mode": (0, 3),
    "turn_detection.silence": (0.1, 10),
    "turn_detection.prefix_padding": (0, 2),
    "turn_detection.eager_silence": (0.1, 10),
    "interruptions.min_speech": (0, 5),
    "interruptions.min_confidence": (0, 1),
    "interruptions.resume_after": (0, 10),
    "audio.bit_rate": (6_000, 128_000),  # RFC 6716 §2.1.1: Opus begins at 6 kbit/s
    "audio.thinking_volume": (0, 1),
    "audio.ambient_volume": (0, 1),
    "limits.max_calls": (1, 10_000),
    "limits.max_requests": (1, 10_000),
    "limits.max_turn": (1, 300),
    "limits.final_timeout": (0.5, 60),
    "limits.reply_timeout": (1, 120),
}
"""The least and the greatest value of every number, both allowed, in the key's own unit."""

MIN_API_KEY_CHARS = 16
"""With fewer, a key could be guessed; 32 random hexadecimal digits are what one should be."""

_API_KEY = re.compile(r"[!-+\--~]+")
"""Visible ASCII, for it travels in a header; no comma, which separates the keys of a list."""
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(?::\d+)?")
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_ICE_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
_ICE_URL = re.compile(rf"stuns?:{_ICE_HOST}|turns?:{_ICE_HOST}(?:\?transport=(?:udp|tcp))?")
"""RFC 7064 §3.1, RFC 7065 §3.1; browsers refuse the whole call if one is written wrongly."""
_HEADER_TEXT = re.compile(r"[ -~]+")
_AGENT = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


def find_mistakes(settings: Settings, wrong: frozenset[str]) -> Iterator[Mistake]:
    """Yield what is wrong with ``settings``; ``wrong`` are keys whose values are already known to be."""
    out_of_bounds = dict(_out_of_bounds(settings, wrong))
    yield from out_of_bounds.items()
    wrong = wrong.union(out_of_bounds)
    for keys, check in _CHECKS:
        if wrong.isdisjoint(keys):
            yield from check(settings)


def _out_of_bounds(settings: Settings, wrong: frozenset[str]) -> Iterator[Mistake]:
    for key, (low, high) in BOUNDS.items():
        value: float | None = attrgetter(key)(settings)
        if value is None or key in wrong:
            continue
        if not low <= value <= high:  # in this order, so that "nan" is caught too
            yield key, f"{value:g} is not within {low:g} to {high:g}"


def _tls(settings: Settings) -> Iterator[Mistake]:
    server = settings.server
    if server.tls_cert and not server.tls_key:
        yield "server.tls_cert", "needs server.tls_key, the certificate's private key"
    if server.tls_key and not server.tls_cert:
        yield "server.tls_key", "needs server.tls_cert, the certificate it belongs to"
    if server.tls == "self-signed" and (server.tls_cert or server.tls_key):
        yield "server.tls", "self-signed makes a certificate; leave server.tls_cert and server.tls_key out"
    for key, path in (("server.tls_cert", server.tls_cert), ("server.tls_key", server.tls_key)):
        if path and not path.is_file():
            yield key, f"there is no file {path}"


def _static_dir(settings: Settings) -> Iterator[Mistake]:
    path = settings.server.static_dir
    if path and not path.is_dir():
        yield "server.static_dir", f"there is no directory {path}"


def _journal_dir(settings: Settings) -> Iterator[Mistake]:
    path = settings.journal.dir
    if path and path.exists() and not path.is_dir():
        yield "journal.dir", f"{path} is a file, not a directory"


def _base_path(settings: Settings) -> Iterator[Mistake]:
    path = settings.server.base_path
    if not _BASE_PATH.fullmatch(path):
        yield "server.base_path", f"{path!r} must begin with a slash and end without one, like /voice"


def _trusted_proxies(settings: Settings) -> Iterator[Mistake]:
    for proxy in settings.server.trusted_proxies:
        try:
            ip_network(proxy, strict=False)
        except ValueError:
            yield "server.trusted_proxies", f"{proxy!r} is neither an address nor a network like 10.0.0.0/8"


def _api_keys(settings: Settings) -> Iterator[Mistake]:
    for number, key in enumerate(settings.server.api_keys, start=1):
        if len(key.reveal()) < MIN_API_KEY_CHARS:
            problem = f"is too short to be safe; {MIN_API_KEY_CHARS} characters are the least"
            yield "server.api_keys", f"entry {number} {problem}, and openssl rand -hex 16 makes a good one"
        elif not _API_KEY.fullmatch(key.reveal()):
            problem = "has a character that no HTTP header can carry; use letters, digits and hyphens"
            yield "server.api_keys", f"entry {number} {problem}"


def _cors_origins(settings: Settings) -> Iterator[Mistake]:
    for origin in settings.server.cors_origins or ():
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            problem = "must be an origin like https://app.example.com, without a path, or *"
            yield "server.cors_origins", f"{origin!r} {problem}"


def _rtc(settings: Settings) -> Iterator[Mistake]:
    if settings.rtc.announced_address is not None:
        try:
            announced_addresses(settings.rtc.announced_address)
        except ValueError as error:
            yield "rtc.announced_address", str(error)
    elif settings.rtc.pause_after >= settings.rtc.close_after:
        yield "rtc.pause_after", "must be shorter than rtc.close_after: a client is away before it is gone"


def _client_ice_servers(settings: Settings) -> Iterator[Mistake]:
    for number, server in enumerate(settings.rtc.client_ice_servers, start=1):
        for url in server.urls:
            if not _ICE_URL.fullmatch(url):
                problem = "must be like stun:host:3478, turn:host:3478?transport=udp or turns:host:5349"
                yield "rtc.client_ice_servers", f"entry {number}: {url!r} {problem}"
        if server.credential is not None or server.username is not None:
            if not all(_HEADER_TEXT.fullmatch(text or "") for text in (server.username, server.credential)):
                problem = "needs both username and credential, in plain ASCII"
                yield "rtc.client_ice_servers", f"entry {number}: {problem}"
        elif needs_credential(server) and not settings.rtc.turn_secret:
            problem = "a TURN server needs username and credential, or rtc.turn_secret"
            yield "rtc.client_ice_servers", f"entry {number}: {problem}"


def _vad(settings: Settings) -> Iterator[Mistake]:
    try:
        settings.vad_options()
    except SettingsError as error:
        for mistake in error.mistakes:
            yield "vad", mistake


def _agent_import(settings: Settings) -> Iterator[Mistake]:
    name = settings.agent.import_
    if name is not None and not _AGENT.fullmatch(name):
        yield "agent.import", f"{name!r} must be module:attribute, like my_module:my_agent"


def _sounds(settings: Settings) -> Iterator[Mistake]:
    audio = settings.audio
    for key, choice, names in (
        ("audio.thinking_sound", audio.thinking_sound, THINKING),
        ("audio.ambient_sound", audio.ambient_sound, AMBIENT),
    ):
        if problem := find_problem(choice, names):
            yield key, problem


def _engines(settings: Settings) -> Iterator[Mistake]:
    for stage in STAGES:
        if problem := find_engine_problem(stage, getattr(settings, stage).engine):
            yield f"{stage}.engine", problem


def _first_timeouts(settings: Settings) -> Iterator[Mistake]:
    """A fall-back that is asked when nobody waits any more might as well not be there."""
    limits = settings.limits
    last = {"stt": "final_timeout", "llm": "reply_timeout", "tts": "reply_timeout"}
    for stage in STAGES:
        patience: float = getattr(settings, stage).first_timeout
        if len(settings.engines(stage)) > 1 and patience >= getattr(limits, last[stage]):
            problem = f"must be shorter than limits.{last[stage]}, or no other engine has time to stand in"
            yield f"{stage}.first_timeout", problem


def _language(settings: Settings) -> Iterator[Mistake]:
    language = settings.stt.language
    if language is not None and not _LANGUAGE.fullmatch(language):
        yield "stt.language", f"{language!r} must be an ISO 639-1 code, like en"


_VAD = tuple(key for key in BOUNDS if key.startswith("vad."))
_ENGINES = tuple(f"{stage}.engine" for stage in STAGES)
_FIRST_TIMEOUTS = tuple(f"{stage}.first_timeout" for stage in STAGES)

_CHECKS: tuple[tuple[tuple[str, ...], Callable[[Settings], Iterator[Mistake]]], ...] = (
    (("server.tls", "server.tls_cert", "server.tls_key"), _tls),
    (("server.static_dir",), _static_dir),
    (("server.base_path",), _base_path),
    (("server.trusted_proxies",), _trusted_proxies),
    (("server.api_keys",), _api_keys),
    (("server.cors_origins",), _cors_origins),
    (("server.host", "server.port", *URLS, *KEYS), base_urls),
    (KEYS, openai_keys),
    (("rtc.announced_address", "rtc.pause_after", "rtc.close_after"), _rtc),
    (("rtc.client_ice_servers", "rtc.turn_secret"), _client_ice_servers),
    (_VAD, _vad),
    (_ENGINES, _engines),
    ((*_ENGINES, *_FIRST_TIMEOUTS, "limits.final_timeout", "limits.reply_timeout"), _first_timeouts),
    (("stt.language",), _language),
    (("agent.import",), _agent_import),
    (("audio.thinking_sound", "audio.ambient_sound"), _sounds),
    (("journal.dir",), _journal_dir),
)
"""Each check with the keys it reads."""

"""Logging: one set-up on the standard library's, and the two shapes a line can have.

A message is a fixed event name; what belongs to it follows as key=value, the call and the session first:

    text  2026-11-20T09:15:02.413Z INFO    turn_answered call=call_7 session=sess_2 latency_ms=412
    json  {"time": "2026-11-20T09:15:02.413Z", "level": "INFO", "event": "turn_answered", "call": …}

The endpoint binds the call and the session once (``bind``); every line written by a task of that call then
carries them. Nobody but ``setup`` touches handlers, and only ``voicertc serve`` calls it: an application that
embeds voicertc keeps its own logging, and sees the event names as ordinary messages.

Keys never reach a line: ``setup`` is told the ones in use and anything that looks like one is masked too.
Spoken words are wrapped in ``Spoken`` and show only where the operator opted in, or at DEBUG.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TextIO

__all__ = ["LoggingOptions", "Spoken", "audio_event", "bind", "event", "setup"]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_AUDIO = logging.getLogger("voicertc.audio_events")
"""A logger of its own, so that ``setup`` can switch its events on and off without a global flag."""

_KEY_SHAPED = re.compile(r"\b(?:sk|ek|rk)[-_][A-Za-z0-9_-]{12,}|(?<=Bearer )[A-Za-z0-9._~+/=-]+")
"""OpenAI's secret, ephemeral and restricted keys, and what follows ``Bearer``."""

_USER_INFO = re.compile(r"(?<=://)[^\s?#\"']+(?=@)")
"""User and password in an address, of a proxy or a base URL: the password may be a key. An address with an @
in its path loses more than it must."""

_PLAIN = re.compile(r"[^\s\"'=\\\x00-\x1f\x7f]+")

_bound: ContextVar[Mapping[str, str]] = ContextVar("voicertc_log_fields", default={})  # noqa: B039 (read only)


@dataclass(frozen=True, slots=True)
class LoggingOptions:
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level written; info is one line per call and per turn. Libraries are written from warning."""
    format: Literal["text", "json"] = "text"
    """Lines for people (text) or one JSON object per line for a log collector (json)."""
    log_transcripts: bool = False
    """Whether spoken words are written above debug; off, because they are personal data."""
    log_audio_events: bool = False
    """Whether each start and stop of speech and playout is written; off, because there are many."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Words somebody said, as the value of a log field: shown only to who opted in, else counted."""

    text: str


def event(
    logger: logging.Logger,
    level: int,
    name: str,
    /,
    *,
    exc_info: BaseException | bool | None = None,
    **fields: object,
) -> None:
    """Log that ``name`` happened, with ``fields`` as key=value; a field that is ``None`` is left out."""
    logger.log(level, name, exc_info=exc_info, extra={"voicertc_fields": fields}, stacklevel=2)


def audio_event(name: str, /, **fields: object) -> None:
    """Log something of the sound itself (speech began, playout ran dry): only with ``log_audio_events``."""
    _AUDIO.info(name, extra={"voicertc_fields": fields}, stacklevel=2)


@contextmanager
def bind(*, call: str | None = None, session: str | None = None) -> Iterator[None]:
    """Put ``call`` and ``session`` on every line written inside, also by tasks created inside."""
    named = {"call": call, "session": session}
    token = _bound.set({**_bound.get(), **{key: value for key, value in named.items() if value is not None}})
    try:
        yield
    finally:
        _bound.reset(token)


def setup(options: LoggingOptions, *, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Send all logging of this process to ``stream`` (standard error); a second call replaces the first.

    ``secrets``: keys in use, masked wherever they appear.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Output)]:
        root.removeHandler(handler)
    output = _Output(sys.stderr if stream is None else stream)
    masked = tuple(sorted((secret for secret in secrets if secret), key=len, reverse=True))
    shape = _JsonLines if options.format == "json" else _TextLines
    output.setFormatter(shape(shows_spoken=options.log_transcripts, secrets=masked))
    root.addHandler(output)
    level = _LEVELS[options.level]
    # Libraries' INFO (an access line per request, ICE states) drowns ours: only who debugs wants it.
    root.setLevel(logging.INFO if level == logging.DEBUG else max(level, logging.WARNING))
    logging.getLogger("voicertc").setLevel(level)
    _AUDIO.setLevel(level if options.log_audio_events else logging.CRITICAL)
    logging.captureWarnings(True)


class _Output(logging.StreamHandler[TextIO]):
    """Our one handler, told from an embedder's by its type."""


class _Lines(logging.Formatter):
    """What both shapes share: the fields of a record in order, spoken words and keys hidden."""

    def __init__(self, *, shows_spoken: bool, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._shows_spoken = shows_spoken
        self._secrets = secrets

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        given: Mapping[str, object] = getattr(record, "voicertc_fields", {})
        fields = {**_bound.get(), **given}
        return {key: self._shown(value, record) for key, value in fields.items() if value is not None}

    def _shown(self, value: object, record: logging.LogRecord) -> object:
        if not isinstance(value, Spoken):
            return value
        if self._shows_spoken or record.levelno <= logging.DEBUG:
            return value.text
        return f"({len(value.text.split())} words)"

    def _masked(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return _USER_INFO.sub("***", _KEY_SHAPED.sub("***", line))

    def _traceback(self, record: logging.LogRecord) -> str | None:
        # ``exc_text`` is not set: it is a cache that other handlers would print unmasked.
        return self.formatException(record.exc_info) if record.exc_info else None


class _TextLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        words = [_time(record), f"{record.levelname:<7}", _message(record, escape=True)]
        words += [f"{key}={_text(value)}" for key, value in self._fields(record).items()]
        line = " ".join(words)
        traceback = self._traceback(record)
        return self._masked(line if traceback is None else f"{line}\n{traceback}")


class _JsonLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "event": _message(record, escape=False),
            "logger": record.name,
        }
        for key, value in self._fields(record).items():
            line[f"{key}_" if key in line else key] = value
        traceback = self._traceback(record)
        if traceback is not None:
            line["traceback"] = traceback
        return self._masked(json.dumps(line, ensure_ascii=False, default=str))


def _time(record: logging.LogRecord) -> str:
    """ISO 8601 in UTC with milliseconds: lines of several machines sort by it."""
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _message(record: logging.LogRecord, *, escape: bool) -> str:
    """The event name; a library's free text is prefixed by its logger's name and kept on one line."""
    text = record.getMessage()
    if record.name.partition(".")[0] != "voicertc":
        text = f"{record.name}: {text}"
    return text.replace("\r", "\\r").replace("\n", "\\n") if escape else text


def _text(value: object) -> str:
    """``value`` as one word; quoted like JSON if it is none, so that a client cannot forge a line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)

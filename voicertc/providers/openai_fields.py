"""Fields of a request that some servers do not know: sent until refused, then never again.

Servers that speak OpenAI's protocol differ in what they accept, and there is no way to ask them. A refusal
names the field; without it the request goes out once more, at once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from openai.types.audio.speech_create_params import Voice

from ..logs import event
from .openai_errors import fields_named_by
from .openai_socket_errors import SessionRefused

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class OptionalFields:
    """What one adapter has learnt of its server. Shared by all its requests, for the life of the process."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._refused: set[str] = set()

    def of_request(self, fields: Mapping[str, object]) -> RequestFields:
        """Return those of ``fields`` that have a value and were not refused before."""
        kept = {name: value for name, value in fields.items() if value not in (None, "")}
        return RequestFields(self, {name: kept[name] for name in kept if name not in self._refused})

    def learn(self, name: str) -> None:
        """Note that the server does not know the field ``name``."""
        if name not in self._refused:
            event(_log, logging.WARNING, "openai_field_refused", endpoint=self._endpoint, field=name)
        self._refused.add(name)


class SessionField:
    """A field of a Realtime session that some models do not take: sent until refused, then never again.

    ``is_sent``: whether sessions have it; whoever makes them asks.
    """

    def __init__(self, name: str, *, is_sent: bool = True) -> None:
        self.is_sent = is_sent
        self._name = name

    async def open(self, open_once: Callable[[bool], Awaitable[_T]]) -> _T:
        """Open a session; where the field may be what is refused, without it, and so from then on.

        ``open_once`` opens a session with the field, or without.
        """
        if self.is_sent:
            try:
                return await open_once(True)
            except SessionRefused as refusal:
                if not refusal.may_be_about(self._name):
                    raise
        opened = await open_once(False)
        if self.is_sent:
            event(_log, logging.INFO, "openai_field_refused", endpoint="realtime", field=self._name)
        self.is_sent = False
        return opened


class UnknownVoices:
    """The voices a server has turned out not to have: clients ask any server for OpenAI's names."""

    def __init__(self, most: int = 256) -> None:
        self._names: set[str] = set()
        self._most = most  # names come from clients, who must not fill the memory with them

    def choose(self, asked: str, default: str) -> str:
        """Return ``asked`` if it may exist, else ``default``."""
        return default if asked == "default" or asked in self._names else asked

    def note(self, name: str) -> None:
        """Remember that there is no such voice."""
        if len(self._names) < self._most:
            self._names.add(name)


class RequestFields:
    """The optional fields of one request; ``current`` grows smaller with each refusal."""

    def __init__(self, learnt: OptionalFields, current: dict[str, object]) -> None:
        self.current = current
        self._learnt = learnt

    def yields_to(self, error: Exception) -> bool:
        """Whether ``error`` refuses one of the fields; it is dropped then, so the request may be repeated."""
        name = next((name for name in fields_named_by(error) if name in self.current), None)
        if name is None:
            return False
        del self.current[name]
        self._learnt.learn(name)
        return True


def voice_field(name: str) -> Voice:
    """Return a voice as OpenAI takes it: its own by name, one of the account's own by id."""
    return {"id": name} if name.startswith("voice_") else name


def language_field(transcriber: str, language: str | None) -> dict[str, object]:
    """Return what tells a transcriber what is spoken: newer ones take a list."""
    if not language:
        return {}
    is_listed = transcriber.startswith(("gpt-transcribe", "gpt-live-transcribe"))
    return {"languages": [language]} if is_listed else {"language": language}


def least_effort(model: str) -> str | None:
    """Return the ``reasoning_effort`` with which an OpenAI model answers soonest, ``None`` if it takes none.

    A reasoning model thinks for seconds by default, which no conversation survives. ``none`` came with
    gpt-5.1; gpt-5 knows ``minimal`` at least; what is older refuses the field or does not reason.
    """
    version = re.match(r"gpt-(\d+)(?:\.(\d+))?", model)
    if version is None or "chat-latest" in model:
        return None
    major, minor = int(version[1]), int(version[2] or 0)
    if (major, minor) >= (5, 1):
        return "none"
    return "minimal" if major == 5 else None

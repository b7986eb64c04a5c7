"""What an engine in a worker process has to be, and what it is given; see ``worker_main`` for the exchange.

Engines import this and the standard library, so that a worker is up in a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .worker_messages import CANCEL, Message, Pipe


class Cancelled(Exception):
    """The server does not want the answer any more; raised out of ``Request`` and caught in ``serve``."""


class EngineUnavailable(Exception):
    """An engine cannot be loaded; ``fix`` says in one line what the operator has to do."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class RequestRefused(Exception):
    """The request is wrong (a grammar that does not parse): it fails, the worker is as good as before."""


class Request:
    """One request as its engine sees it: what is asked, what more comes, where the answer goes."""

    def __init__(self, first: Message, pipe: Pipe) -> None:
        self.first = first
        self._pipe = pipe

    def receive(self) -> Message:
        """Wait for the next message of this request. Raises ``Cancelled``."""
        message = self._pipe.receive()
        if message is None:
            raise Cancelled
        if message.kind == CANCEL:
            self._pipe.unread(message)
            raise Cancelled
        return message

    @property
    def is_cancelled(self) -> bool:
        """Whether going on is pointless; asking costs a few microseconds."""
        return self._pipe.is_cancelled()

    def send(self, kind: str, body: bytes = b"", *, last: bool = False, **fields: object) -> None:
        """Send a part of the answer; ``last``: the worker is free for the next request."""
        self._pipe.send(Message(kind, self.first.request, {**fields, "last": last}, body))


class Engine(Protocol):
    """What an engine is to the worker; made with the options of the ``load`` message."""

    def facts(self) -> Mapping[str, object]:
        """What the provider wants to know of the loaded engine (its voices, its version)."""

    def serve(self, request: Request) -> None:
        """Answer one request; ``Cancelled`` passes through and leaves the engine ready for the next."""

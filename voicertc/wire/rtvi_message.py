"""The envelope of RTVI, the protocol of Pipecat's clients: ``{label, type, id?, data?}`` as JSON text."""

from __future__ import annotations

from collections.abc import Iterable

from .fields import write_message

LABEL = "rtvi-ai"
"""Messages without it are not for us."""

Message = dict[str, object]


def message(kind: str, data: object = None, *, id: str | None = None) -> Message:
    """Return a message of a ``type``; ``id`` is that of the client's message which it answers."""
    envelope: Message = {"label": LABEL, "type": kind}
    if id is not None:
        envelope["id"] = id
    return envelope if data is None else envelope | {"data": data}


def text_message(kind: str, text: str) -> Message:
    """Return a message whose data is nothing but a text."""
    return message(kind, {"text": text})


def refusal(why: str, id: str | None) -> Message:
    """Return what tells a client that it cannot have what it asked for in its message ``id``."""
    return failure(why) if id is None else message("error-response", {"error": why}, id=id)


def failure(why: str, *, is_fatal: bool = False) -> Message:
    """Return what tells of an error that answers no message; a fatal one ends the call."""
    return message("error", {"error": why, "fatal": is_fatal})


def write(messages: Iterable[Message]) -> list[str]:
    """Return messages as they are sent."""
    return [write_message(entry) for entry in messages]

"""The flight recorder: every event and what came of it, one JSON line each, replayable as a test.

    {"voicertc": "0.1.0", "id_prefix": …, "options": …, "session": …}      the header
    {"now": 4.02, "event": {"_": "SpeechStarted", "at": 3.94}, "commands": [{"_": "HoldReply", …}]}

Replaying a journal within one version gives the same commands, byte for byte; a difference is a bug or a
change of behaviour. A journal holds spoken words: writing it to disk is opt-in. It is plain ASCII: half a
surrogate pair, as some models stream them, cannot be written otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from types import ModuleType
from typing import Any

from . import commands, events, facts, items, options, replies
from .commands import Command
from .conversation import Conversation
from .events import Event
from .options import ConversationOptions, SessionOptions

_TAG = "_"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay went another way: ``line`` counts from 1, the header included."""

    line: int
    recorded: str
    replayed: str


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found; ``items`` is the history at its end."""

    version: str
    n_events: int
    seconds: float
    items: tuple[items.Item, ...]
    differences: tuple[Difference, ...]


def header_line(version: str, conversation: Conversation, id_prefix: str) -> str:
    """Return a journal's first line; call it before the first event."""
    header = {
        "voicertc": version,
        "id_prefix": id_prefix,
        "options": encode(conversation.options),
        "session": encode(conversation.session),
    }
    return json.dumps(header, separators=(",", ":"))


def entry_line(now: float, event: Event, ordered: Iterable[Command]) -> str:
    """Return the line of one handled event."""
    entry = {"now": now, "event": encode(event), "commands": [encode(command) for command in ordered]}
    return json.dumps(entry, separators=(",", ":"))


def replay(lines: Iterable[str]) -> ReplayReport:
    """Feed a journal's events to a new conversation and compare what it orders.

    Raises ``ValueError`` with the line's number when a line is no journal entry.
    """
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())
    try:
        number, line = next(numbered)
    except StopIteration:
        raise ValueError("line 1: the journal is empty") from None
    header = _parse(number, line)
    try:
        conversation = Conversation(
            _as(decode(header["options"]), ConversationOptions),
            _as(decode(header["session"]), SessionOptions),
            id_prefix=str(header["id_prefix"]),
        )
        version = str(header["voicertc"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"line {number}: no journal header: {error}") from error
    differences = []
    n_events, now = 0, 0.0
    for number, line in numbered:
        entry = _parse(number, line)
        try:
            now, event = float(entry["now"]), decode(entry["event"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"line {number}: no journal entry: {error}") from error
        replayed = entry_line(now, event, conversation.handle(event, now))
        if replayed != line:
            differences.append(Difference(number, line, replayed))
        n_events += 1
    return ReplayReport(version, n_events, now, conversation.items, tuple(differences))


def encode(value: object) -> Any:
    """Return ``value`` (dataclasses, enums, tuples, plain JSON) as JSON; dataclasses carry their name."""
    if is_dataclass(value) and not isinstance(value, type):
        encoded = {_TAG: type(value).__name__}
        encoded.update((field.name, encode(getattr(value, field.name))) for field in fields(value))
        return encoded
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [encode(entry) for entry in value]
    return value


def decode(value: Any) -> Any:
    """Return what ``encode`` was given; lists become tuples, enum values their members where one is due."""
    if isinstance(value, list):
        return tuple(decode(entry) for entry in value)
    if not isinstance(value, dict):
        return value
    kind = _CLASSES.get(str(value.get(_TAG)))
    if kind is None:
        raise ValueError(f"unknown kind {value.get(_TAG)!r}")
    members = {name: decode(entry) for name, entry in value.items() if name != _TAG}
    for name, entry in members.items():
        if name in _ENUMS and isinstance(entry, str):
            members[name] = _ENUMS[name](entry)
    return kind(**members)


def _parse(number: int, line: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}: not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ValueError(f"line {number}: not a JSON object")
    return parsed


def _as(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}")
    return value


def _dataclasses_of(module: ModuleType) -> dict[str, type[Any]]:
    return {
        name: kind
        for name, kind in vars(module).items()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
    }


_CLASSES: dict[str, type[Any]] = {
    name: kind
    for module in (events, commands, facts, items, options, replies)
    for name, kind in _dataclasses_of(module).items()
}
_ENUMS: dict[str, type[Enum]] = {
    "role": items.Role,
    "kind": items.Kind,
    "status": items.Status,
    "modality": items.Modality,
    "output": items.Modality,
    "cause": replies.Cause,
    "outcome": replies.Outcome,
    "state": facts.State,
}
"""By field name: in this package a field of this name always holds this enum; a test checks it."""

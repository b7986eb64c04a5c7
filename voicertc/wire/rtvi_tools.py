"""The functions that an RTVI client runs for the agent, from the call to its result.

    llm-function-call-started … in-progress ──> the client's handler ──> llm-function-call-result ──> stopped

The client is told to run them when the reply that calls them has ended, not before: its result asks for the
next reply, and there may be only one at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..core import facts
from ..core.items import Item, Kind
from ..core.replies import Outcome
from .fields import MAX_LEVELS, levels_of
from .rtvi_message import Message, message

_MAX_OPEN = 64
"""Calls without a result that are remembered: a client need not have a handler for each."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that waits for its result."""

    reply_id: str
    name: str


class FunctionCalls:
    """The calls of one client's session that are under way. Owned by its wire."""

    def __init__(self) -> None:
        self._open: dict[str, _Call] = {}

    def is_open(self, call_id: str) -> bool:
        """Whether this call waits for its result."""
        return call_id in self._open

    def is_last(self, call_id: str) -> bool:
        """Whether all other calls of the same reply have their results."""
        reply_id = self._open[call_id].reply_id
        return not any(call.reply_id == reply_id for other, call in self._open.items() if other != call_id)

    def began(self, item: Item) -> list[Message]:
        """Tell that there will be a call."""
        return [message("llm-function-call-started", {"function_name": item.name})]

    def reply_ended(self, fact: facts.ReplyEnded) -> list[Message]:
        """Have the client run what the reply called; nobody waits for what a cancelled one did."""
        calls = [item for item in fact.items if item.kind is Kind.FUNCTION_CALL]
        if fact.outcome is Outcome.CANCELLED:
            return [_cancelled(call) for call in calls]
        return [self._called(fact.reply_id, call) for call in calls]

    def answered(self, item: Item) -> list[Message]:
        """Tell that a call has its result, whoever gave it."""
        call = self._open.pop(item.call_id or "", None)
        if call is None:
            return []
        told = {
            "tool_call_id": item.call_id,
            "function_name": call.name,
            "cancelled": False,
            "result": _parsed(item.text),
        }
        return [message("llm-function-call-stopped", told)]

    def _called(self, reply_id: str, item: Item) -> Message:
        assert item.call_id is not None, "function calls have a call_id"
        self._open[item.call_id] = _Call(reply_id, item.name or "")
        if len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]
        arguments = _parsed(item.arguments)
        told = {
            "tool_call_id": item.call_id,
            "function_name": item.name,
            # An object always: a handler is given it as it is.
            "arguments": arguments if isinstance(arguments, dict) else {},
        }
        return message("llm-function-call-in-progress", told)


def _cancelled(item: Item) -> Message:
    told = {"tool_call_id": item.call_id, "function_name": item.name, "cancelled": True}
    return message("llm-function-call-stopped", told)


def _parsed(text: str | None) -> object:
    """Return the value of JSON text; what is none, or could not be written again, is a text itself."""
    try:
        value: object = json.loads(text or "")
        if levels_of(value) > MAX_LEVELS:
            return text
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value

"""What Chat Completions is sent: a conversation and its functions, as JSON that every server takes.

A call and its answer are two messages there: the assistant's ``tool_calls``, and right behind them a message
of the role ``tool`` for each. OpenAI refuses a request in which one of them has no counterpart.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.options import Tool
from .base import AnsweredCall, AnswerRequest, Message
from .openai_stage import sendable

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME = 64
_OBJECT = {"type": "object", "properties": {}}
"""What every schema begins with: OpenAI refuses one without, and templates of open models look for both."""


def written_messages(messages: Sequence[Message]) -> list[dict[str, object]]:
    """Return ``messages`` as the field of that name."""
    return [written for message in messages for written in _written(message)]


def written_tools(request: AnswerRequest) -> dict[str, object]:
    """Return the fields that offer functions; none if there are none, since OpenAI refuses an empty list."""
    if not request.tools:
        return {}
    fields: dict[str, object] = {"tools": [_tool(tool) for tool in request.tools]}
    match request.tool_choice.mode:
        case "auto":  # what a server does unasked, so those that do not know the field are not asked
            pass
        case "function":
            fields["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice.name}}
        case mode:
            fields["tool_choice"] = mode
    return fields


def _written(message: Message) -> Iterator[dict[str, object]]:
    written: dict[str, object] = {"role": message.role.value, "content": sendable(message.text)}
    if not message.calls:
        yield written
        return
    calls = [{"id": _id(call), "type": "function", "function": _function(call)} for call in message.calls]
    yield written | {"content": written["content"] or None, "tool_calls": calls}
    for call in message.calls:
        yield {"role": "tool", "tool_call_id": _id(call), "content": sendable(call.output)}


def _id(call: AnsweredCall) -> str:
    """The call's id as nine letters and digits: Mistral takes no other, OpenAI 40 characters at most."""
    return hashlib.sha256(call.call_id.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def _function(call: AnsweredCall) -> dict[str, str]:
    """What was called. The client may have made it up: a server fails on arguments that it cannot read."""
    name = _NOT_IN_NAMES.sub("_", call.name)[:_MAX_NAME]
    return {"name": name, "arguments": sendable(call.arguments) if is_object(call.arguments) else "{}"}


def is_object(text: str) -> bool:
    """Whether ``text`` is a JSON object (RFC 8259, so without NaN)."""
    try:
        return isinstance(json.loads(text, parse_constant=_refuse), dict)
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _tool(tool: Tool) -> dict[str, object]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = sendable(tool.description)
    function["parameters"] = _OBJECT | json.loads(tool.parameters)
    return {"type": "function", "function": function}

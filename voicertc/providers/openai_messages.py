"""A conversation and its functions as JSON, for both protocols of OpenAI's language models.

                    Chat Completions                          Responses
    instructions    a message of the role ``system``          the field ``instructions``
    a call          in its message's ``tool_calls``           an item ``function_call``
    its answer      a message of the role ``tool``            an item ``function_call_output``
    a function      ``{"type", "function": {"name", …}}``     ``{"type", "name", …}``

OpenAI refuses a request in which a call has no answer right behind it, or an answer no call.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from ..core.items import Role
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
    tools: list[dict[str, object]] = [{"type": "function", "function": _tool(tool)} for tool in request.tools]
    return _offered(request, tools, {"function": {"name": request.tool_choice.name}})


def written_input(messages: Sequence[Message]) -> dict[str, object]:
    """Return ``messages`` as the fields ``instructions`` and ``input``; Responses wants some input."""
    first, *rest = messages
    if first.role is Role.SYSTEM and rest:
        return {
            "instructions": sendable(first.text),
            "input": [item for each in rest for item in _items(each)],
        }
    return {"input": [item for message in messages for item in _items(message)]}


def written_functions(request: AnswerRequest) -> dict[str, object]:
    """Return the fields that offer functions, as Responses wants them.

    Not ``strict``, which is what it would take them for: clients' schemas need not be of that kind.
    """
    tools = [{"type": "function", **_tool(tool), "strict": False} for tool in request.tools]
    return _offered(request, tools, {"name": request.tool_choice.name})


def _offered(
    request: AnswerRequest, tools: list[dict[str, object]], chosen: Mapping[str, object]
) -> dict[str, object]:
    """Return the fields of ``tools`` and the choice of them; ``chosen`` names the only one allowed."""
    if not tools:
        return {}
    match request.tool_choice.mode:
        case "auto":  # what a server does unasked, so those that do not know the field are not asked
            return {"tools": tools}
        case "function":
            return {"tools": tools, "tool_choice": {"type": "function", **chosen}}
        case mode:
            return {"tools": tools, "tool_choice": mode}


def _written(message: Message) -> Iterator[dict[str, object]]:
    written: dict[str, object] = {"role": message.role.value, "content": sendable(message.text)}
    if not message.calls:
        yield written
        return
    calls = [{"id": _id(call), "type": "function", "function": _function(call)} for call in message.calls]
    yield written | {"content": written["content"] or None, "tool_calls": calls}
    for call in message.calls:
        yield {"role": "tool", "tool_call_id": _id(call), "content": sendable(call.output)}


def _items(message: Message) -> Iterator[dict[str, object]]:
    """The message as items of Responses: what was said, what was called, what that gave back."""
    if message.text or not message.calls:
        yield {"role": message.role.value, "content": sendable(message.text)}
    for call in message.calls:
        yield {"type": "function_call", "call_id": _id(call), **_function(call)}
    for call in message.calls:
        yield {"type": "function_call_output", "call_id": _id(call), "output": sendable(call.output)}


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
    function: dict[str, object] = {"name": tool.name}
    if tool.description:
        function["description"] = sendable(tool.description)
    function["parameters"] = _OBJECT | json.loads(tool.parameters)
    return function

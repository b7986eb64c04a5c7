"""What /responses takes as its input: messages, function calls, and what the functions gave back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .openai_refusals import RefusedError, unknown, wrong_type
from .openai_tool_rules import check_name, check_text

_ROLES = ("user", "assistant", "system", "developer")
_FIELDS = {
    "message": {"type", "role", "content", "id", "status", "phase"},
    "function_call": {"type", "id", "call_id", "name", "arguments", "status"},
    "function_call_output": {"type", "id", "call_id", "output", "status"},
}
_REQUIRED = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
}
_MAX_ID = 64


def check_input(items: object) -> None:
    """Refuse what is neither a text nor a list of items that fit together."""
    if isinstance(items, str):
        return
    if not isinstance(items, list):
        raise wrong_type("input", "one of an array of objects or string")
    if not items:
        message = "Invalid 'input': empty array. Expected an array with minimum length 1."
        raise RefusedError(message, param="input", code="empty_array")
    for index, item in enumerate(items):
        _check_item(item, f"input[{index}]")
    _check_pairs(items)


def chat_messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return instructions and input as Chat Completions would have them, for a scenario's ``replies``."""
    items = body.get("input") or []
    messages = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    if isinstance(items, str):
        return [*messages, {"role": "user", "content": items}]
    return messages + [_chat_message(item) for item in items]


def _chat_message(item: Mapping[str, Any]) -> dict[str, Any]:
    match item.get("type", "message"):
        case "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        case "function_call_output":
            return {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
        case _:
            return {"role": item.get("role"), "content": "".join(_texts(item.get("content")))}


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        yield str(part.get("text") or part.get("refusal") or "")


def _check_item(item: object, where: str) -> None:
    if not isinstance(item, dict):
        raise wrong_type(where, "an object")
    kind = item.get("type", "message")
    if kind not in _FIELDS:
        message = f"Invalid value: '{kind}'. Supported values are: {', '.join(_FIELDS)}."
        raise RefusedError(message, param=where, code="invalid_value")
    for name in _REQUIRED[kind]:
        if name not in item:
            message = f"Missing required parameter: '{where}.{name}'."
            raise RefusedError(message, param=f"{where}.{name}", code="missing_required_parameter")
    if extra := sorted(set(item) - _FIELDS[kind]):
        raise unknown(f"{where}.{extra[0]}")
    if kind == "message":
        _check_message(item, where)
        return
    check_text(item["call_id"], f"{where}.call_id", most=_MAX_ID)
    if kind == "function_call":
        check_name(item["name"], f"{where}.name")
        _check_string(item, "arguments", where)
    else:
        _check_string(item, "output", where)


def _check_message(item: Mapping[str, Any], where: str) -> None:
    role, content = item["role"], item["content"]
    if role not in _ROLES:
        message = f"Invalid value: '{role}'. Supported values are: {', '.join(_ROLES)}."
        raise RefusedError(message, param=f"{where}.role", code="invalid_value")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise wrong_type(f"{where}.content", "one of an array of objects or string")
    known = ("output_text", "refusal") if role == "assistant" else ("input_text",)
    for index, part in enumerate(content):
        at = f"{where}.content[{index}]"
        if not isinstance(part, dict) or part.get("type") not in known:
            kind = part.get("type") if isinstance(part, dict) else part
            message = f"Invalid value: '{kind}'. Supported values are: {', '.join(known)}."
            raise RefusedError(message, param=at, code="invalid_value")
        _check_string(part, "refusal" if part["type"] == "refusal" else "text", at)


def _check_pairs(items: Sequence[Mapping[str, Any]]) -> None:
    """Every call has its answer behind it, every answer its call before it."""
    called: set[str] = set()
    open_calls: list[str] = []
    for item in items:
        if item.get("type") == "function_call":
            called.add(item["call_id"])
            open_calls.append(item["call_id"])
        elif item.get("type") == "function_call_output":
            call_id = item["call_id"]
            if call_id not in called:
                message = f"No tool call found for function call output with call_id {call_id}."
                raise RefusedError(message, param="input")
            open_calls = [each for each in open_calls if each != call_id]
    if open_calls:
        raise RefusedError(f"No tool output found for function call {open_calls[0]}.", param="input")


def _check_string(fields: Mapping[str, Any], name: str, where: str) -> None:
    if not isinstance(fields.get(name), str):
        raise wrong_type(f"{where}.{name}", "a string")

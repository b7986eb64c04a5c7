"""What OpenAI refuses of functions: bad names and schemas; of /chat/completions also all else about them.

That is a choice of none of them, and calls without an answer; for /responses see ``openai_responses_rules``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .openai_refusals import RefusedError, unknown, wrong_type

MAX_TOOLS = 128

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_MAX_NAME = 64
_MAX_ID = 40
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_FUNCTION_FIELDS = {"name", "description", "parameters", "strict"}


def check_tools(body: Mapping[str, Any]) -> None:
    """Refuse the fields of a request that offer functions."""
    tools = body.get("tools")
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in body:
                message = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                raise RefusedError(message, param=name)
        return
    if not isinstance(tools, list):
        raise wrong_type("tools", "an array of objects")
    if not tools:
        raise _empty("tools")
    if len(tools) > MAX_TOOLS:
        message = f"Invalid 'tools': array too long. Expected an array with maximum length {MAX_TOOLS}."
        raise RefusedError(message, param="tools", code="array_above_max_length")
    for index, tool in enumerate(tools):
        _check_tool(tool, f"tools[{index}]")
    _check_choice(body.get("tool_choice", "auto"), {tool["function"]["name"] for tool in tools})


def check_calls(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse calls that are not answered at once, and answers to what was not called."""
    awaited: list[str] = []
    for index, message in enumerate(messages):
        where = f"messages.[{index}]"
        if message["role"] == "tool":
            if message["tool_call_id"] not in awaited:
                raise RefusedError(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                    "with 'tool_calls'.",
                    param=f"{where}.role",
                )
            awaited.remove(message["tool_call_id"])
            continue
        _refuse_unanswered(awaited, where)
        if "tool_calls" in message:
            awaited = _ids_called(message["tool_calls"], f"messages[{index}].tool_calls")
    _refuse_unanswered(awaited, f"messages.[{len(messages)}]")


def check_function(function: Mapping[str, Any], where: str, known: set[str]) -> None:
    """Refuse the description of a function: a field that is not ``known``, a bad name or schema."""
    if extra := sorted(set(function) - known):
        raise unknown(f"{where}.{extra[0]}")
    check_name(function.get("name"), f"{where}.name")
    if not isinstance(function.get("description", ""), str):
        raise wrong_type(f"{where}.description", "a string")
    if "parameters" in function:
        schema, name = function["parameters"], function["name"]
        kind = schema.get("type") if isinstance(schema, dict) else None
        wrong = _wrong_with(schema, ()) if kind == "object" else None
        if kind != "object":
            wrong = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'"
        if wrong:
            message = f"Invalid schema for function '{name}': {wrong}."
            raise RefusedError(message, param=f"{where}.parameters", code="invalid_function_parameters")


def check_name(name: object, where: str) -> None:
    """Refuse what cannot be a function's name."""
    text = check_text(name, where, most=_MAX_NAME)
    if not _NAME.fullmatch(text):
        message = f"Invalid '{where}': string does not match pattern. Expected '^[a-zA-Z0-9_-]+$'."
        raise RefusedError(message, param=where, code="invalid_value")


def check_text(value: object, where: str, *, most: int) -> str:
    """Refuse what is no text of at most so many characters; return it."""
    if not isinstance(value, str):
        raise wrong_type(where, "a string")
    if len(value) > most:
        message = f"Invalid '{where}': string too long. Expected a string with maximum length {most}."
        raise RefusedError(message, param=where, code="string_above_max_length")
    return value


def _refuse_unanswered(awaited: Sequence[str], where: str) -> None:
    if awaited:
        raise RefusedError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(awaited),
            param=f"{where}.role",
        )


def _ids_called(calls: object, where: str) -> list[str]:
    if not isinstance(calls, list):
        raise wrong_type(where, "an array of objects")
    if not calls:
        raise _empty(where)
    ids: list[str] = []
    for index, call in enumerate(calls):
        at = f"{where}[{index}]"
        _check_object(call, at, {"id", "type", "function"})
        _check_object(call["function"], f"{at}.function", {"name", "arguments"})
        check_text(call["id"], f"{at}.id", most=_MAX_ID)
        check_name(call["function"]["name"], f"{at}.function.name")
        if not isinstance(call["function"]["arguments"], str):
            raise wrong_type(f"{at}.function.arguments", "a string")
        if call["id"] in ids:
            raise RefusedError(f"Duplicate value for '{at}.id'.", param=f"{at}.id", code="invalid_value")
        ids.append(call["id"])
    return ids


def _check_tool(tool: object, where: str) -> None:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise wrong_type(where, "a function tool")
    _check_object(tool, where, {"type", "function"})
    function = tool["function"]
    if not isinstance(function, dict):
        raise wrong_type(f"{where}.function", "an object")
    check_function(function, f"{where}.function", _FUNCTION_FIELDS)


def _wrong_with(schema: object, path: tuple[str, ...]) -> str | None:
    """Say what is wrong with a part of a schema, or ``None``: of JSON Schema, what tools get wrong."""
    if not isinstance(schema, dict):
        return f"In context={path}, {schema!r} is not of type 'object', 'boolean'"
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if any(each is not None and each not in _TYPES for each in kinds):
        return f"In context={path}, {kind!r} is not valid under any of the given schemas"
    if "array" in kinds and "items" not in schema:
        return f"In context={path}, array schema missing items"
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        return f"In context={path}, {properties!r} is not of type 'object'"
    if path == () and "properties" not in schema:
        return "In context=(), object schema missing properties"
    parts = [((*path, "properties", name), part) for name, part in properties.items()]
    if "items" in schema:
        parts.append(((*path, "items"), schema["items"]))
    return next((wrong for where, part in parts if (wrong := _wrong_with(part, where))), None)


def _check_choice(choice: object, names: set[str]) -> None:
    if choice in ("none", "auto", "required"):
        return
    if not isinstance(choice, dict) or choice.get("type") != "function":
        message = f"Invalid value: '{choice}'. Supported values are: none, auto, required."
        raise RefusedError(message, param="tool_choice", code="invalid_value")
    _check_object(choice, "tool_choice", {"type", "function"})
    _check_object(choice["function"], "tool_choice.function", {"name"})
    if choice["function"]["name"] not in names:
        message = f"Tool choice '{choice['function']['name']}' not found in 'tools' parameter."
        raise RefusedError(message, param="tool_choice")


def _check_object(value: object, where: str, fields: set[str]) -> None:
    """Refuse what is no object with exactly these fields."""
    if not isinstance(value, dict):
        raise wrong_type(where, "an object")
    if extra := sorted(set(value) - fields):
        raise unknown(f"{where}.{extra[0]}")
    if missing := sorted(fields - set(value)):
        name = f"{where}.{missing[0]}"
        message = f"Missing required parameter: '{name}'."
        raise RefusedError(message, param=name, code="missing_required_parameter")


def _empty(where: str) -> RefusedError:
    message = f"Invalid '{where}': empty array. Expected an array with minimum length 1."
    return RefusedError(message, param=where, code="empty_array")

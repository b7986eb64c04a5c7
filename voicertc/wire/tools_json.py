"""Function tools as OpenAI Realtime writes them ⇄ ``Tool`` and ``ToolChoice``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Literal

from ..core.options import Tool, ToolChoice
from ..errors import ClientError
from .fields import MAX_LEVELS, Fields, array, identifier, levels_of, record, string

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What language models are told a function's name may be."""
_MAX_TOOLS = 128
"""As OpenAI's models have it."""
_MODES: tuple[Literal["auto", "none", "required"], ...] = ("auto", "none", "required")


def read_tools(
    fields: Fields, tools: tuple[Tool, ...], choice: ToolChoice
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return what ``tools`` and ``tool_choice`` say; what is absent stays as it is.

    An empty list and ``null`` take all tools away. A function that must be called has to be among them.
    """
    tools = fields.read("tools", _tools, absent=tools, null=())
    chosen = fields.read("tool_choice", _tool_choice, absent=choice, null=ToolChoice())
    if chosen.mode != "function" or any(tool.name == chosen.name for tool in tools):
        return tools, chosen
    if "tool_choice" not in fields:
        return tools, ToolChoice()  # it was chosen from tools that have been taken away
    path = fields.path("tool_choice.name")
    raise ClientError(f"{path} is none of the tools: {chosen.name!a}.", code="invalid_value", param=path)


def render_tools(tools: Sequence[Tool]) -> list[dict[str, object]]:
    """Return the tools as clients are shown them."""
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": json.loads(tool.parameters),
        }
        for tool in tools
    ]


def render_tool_choice(choice: ToolChoice) -> object:
    """Return the choice as clients are shown it."""
    return {"type": "function", "name": choice.name} if choice.mode == "function" else choice.mode


def _tools(value: object, path: str) -> tuple[Tool, ...]:
    tools = tuple(array(_tool)(value, path))
    if len(tools) > _MAX_TOOLS:
        message = f"{path} must have at most {_MAX_TOOLS} entries."
        raise ClientError(message, code="invalid_value", param=path)
    names = [tool.name for tool in tools]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        message = f"{path} has two tools of the name {doubled!a}."
        raise ClientError(message, code="invalid_value", param=path)
    return tools


def _tool(value: object, path: str) -> Tool:
    fields = record(value, path)
    _need_function(fields)
    return Tool(
        fields.need("name", _name),
        fields.read("description", string, absent="", null=""),
        _schema(fields.section("parameters"), fields.path("parameters")),
    )


def _schema(fields: Fields, path: str) -> str:
    schema = dict(fields.pairs())
    if levels_of(schema) > MAX_LEVELS:
        raise ClientError(f"{path} must have at most {MAX_LEVELS} levels.", code="invalid_value", param=path)
    try:
        # 1e999 is read as infinity, which is no JSON; half a surrogate pair could not be sent on to anybody.
        text = json.dumps(schema, allow_nan=False, ensure_ascii=False)
        text.encode()
    except ValueError as error:
        message = f"{path} holds what cannot be written as JSON."
        raise ClientError(message, code="invalid_value", param=path) from error
    return text


def _name(value: object, path: str) -> str:
    name = identifier(value, path)
    if not _NAME.fullmatch(name):
        message = f"{path} must have 1 to 64 letters, digits, underscores and dashes."
        raise ClientError(message, code="invalid_value", param=path)
    return name


def _tool_choice(value: object, path: str) -> ToolChoice:
    if isinstance(value, dict):
        fields = record(value, path)
        _need_function(fields)
        return ToolChoice("function", fields.need("name", identifier))
    for mode in _MODES:
        if mode == value:
            return ToolChoice(mode)
    message = f'{path} must be "auto", "none", "required" or {{"type": "function", "name": …}}.'
    raise ClientError(message, code="invalid_value", param=path)


def _need_function(fields: Fields) -> None:
    kind = fields.need("type", string)
    if kind == "mcp":
        path = fields.path("type")
        message = "MCP tools are not run by this server; offer functions."
        raise ClientError(message, code="not_supported", param=path)
    if kind != "function":
        path = fields.path("type")
        raise ClientError(f'{path} must be "function".', code="invalid_value", param=path)

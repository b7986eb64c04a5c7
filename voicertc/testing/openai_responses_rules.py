"""What /responses refuses: models, input items, limits, functions.

Fields and values are those of the ``openai`` package's request types; refusals as people have quoted them in
public. Text alone is understood: pictures, files and the service's own tools are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from openai.types.responses import ServiceTier, response_create_params
from openai.types.responses.response_text_config_param import ResponseTextConfigParam
from openai.types.shared import ReasoningEffort
from openai.types.shared_params import Reasoning

from .openai_chat_rules import CHAT_MODELS
from .openai_refusals import RefusedError, check_fields, check_model, unknown, unsupported, wrong_type
from .openai_responses_items import check_input
from .openai_tool_rules import MAX_TOOLS, check_function

_FIELDS = {*response_create_params.ResponseCreateParamsBase.__annotations__, "stream"}
_TIERS = get_args(get_args(ServiceTier)[0])
_EFFORTS = get_args(get_args(ReasoningEffort)[0])
_SAMPLING = ("temperature", "top_p", "top_logprobs")
_LEAST_TOKENS = 16
_MAX_CACHE_KEY = 64
_FUNCTION_FIELDS = {"type", *["name", "description", "parameters", "strict"]}
_HIGHEST_TEMPERATURE = 2


def check_responses(body: Mapping[str, Any]) -> None:
    """Refuse a body that /responses refuses."""
    check_fields(body, _FIELDS, required=("model", "input"))
    check_model(body["model"], CHAT_MODELS)
    _check_type(body, "instructions", str, "a string")
    for name in ("stream", "store", "parallel_tool_calls"):
        _check_type(body, name, bool, "a boolean")
    check_input(body["input"])
    _check_limits(body)
    _check_tools(body)
    _check_model_fields(body["model"], body)


def _check_limits(body: Mapping[str, Any]) -> None:
    _check_type(body, "max_output_tokens", int, "an integer")
    limit = body.get("max_output_tokens")
    if limit is not None and limit < _LEAST_TOKENS:
        raise RefusedError(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{_LEAST_TOKENS}, but got {limit} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    temperature = body.get("temperature")
    _check_type(body, "temperature", (int, float), "a decimal")
    if temperature is not None and not 0 <= temperature <= _HIGHEST_TEMPERATURE:
        message = f"Invalid 'temperature': decimal out of range, got {temperature}."
        raise RefusedError(message, param="temperature", code="decimal_out_of_range")
    _check_type(body, "prompt_cache_key", str, "a string")
    if len(body.get("prompt_cache_key") or "") > _MAX_CACHE_KEY:
        message = f"Invalid 'prompt_cache_key': string too long. Expected at most {_MAX_CACHE_KEY}."
        raise RefusedError(message, param="prompt_cache_key", code="string_above_max_length")
    _check_choice_of("service_tier", body.get("service_tier"), _TIERS)
    if "stream_options" in body and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise RefusedError(message, param="stream_options")


def _check_tools(body: Mapping[str, Any]) -> None:
    """Functions are flat here: what Chat Completions calls ``function`` is the tool itself."""
    _check_type(body, "tools", list, "an array of objects")
    tools = body.get("tools") or []
    if len(tools) > MAX_TOOLS:
        message = f"Invalid 'tools': array too long. Expected an array with maximum length {MAX_TOOLS}."
        raise RefusedError(message, param="tools", code="array_above_max_length")
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if not isinstance(tool, dict) or tool.get("type") != "function":
            raise wrong_type(where, "a function tool")
        for name in ("name", "parameters"):
            if name not in tool:
                message = f"Missing required parameter: '{where}.{name}'."
                raise RefusedError(message, param=f"{where}.{name}", code="missing_required_parameter")
        check_function(tool, where, _FUNCTION_FIELDS)
        if tool.get("strict") and tool["parameters"].get("additionalProperties") is not False:
            raise RefusedError(
                f"Invalid schema for function '{tool['name']}': In context=(), 'additionalProperties' is "
                "required to be supplied and to be false.",
                param=f"{where}.parameters",
                code="invalid_function_parameters",
            )
    _check_tool_choice(body.get("tool_choice", "auto"), {tool["name"] for tool in tools})


def _check_tool_choice(choice: object, names: set[str]) -> None:
    if choice in ("none", "auto") or (choice == "required" and names):
        return
    if choice == "required":
        message = "Tool choice 'required' must be specified with 'tools' parameter."
        raise RefusedError(message, param="tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "function":
        message = f"Invalid value: '{choice}'. Supported values are: none, auto, required."
        raise RefusedError(message, param="tool_choice", code="invalid_value")
    if "name" not in choice:
        message = "Missing required parameter: 'tool_choice.name'."
        raise RefusedError(message, param="tool_choice.name", code="missing_required_parameter")
    if extra := sorted(set(choice) - {"type", "name"}):
        raise unknown(f"tool_choice.{extra[0]}")
    if choice["name"] not in names:
        message = f"Tool choice '{choice['name']}' not found in 'tools' parameter."
        raise RefusedError(message, param="tool_choice")


def _check_model_fields(model: str, body: Mapping[str, Any]) -> None:
    """What depends on whether a model thinks: gpt-5 and later do, unless their effort is ``none``."""
    for name, known in (("reasoning", Reasoning), ("text", ResponseTextConfigParam)):
        _check_type(body, name, dict, "an object")
        if extra := sorted(set(body.get(name) or {}) - set(known.__annotations__)):
            raise unknown(f"{name}.{extra[0]}")
    reasoning, text = body.get("reasoning") or {}, body.get("text") or {}
    if model.startswith("gpt-4"):
        if "effort" in reasoning:
            raise unsupported("reasoning.effort")
        _check_choice_of("text.verbosity", text.get("verbosity"), ("medium",))
        return
    lacking = "none" if model == "gpt-5-mini" else "minimal"
    efforts = [effort for effort in _EFFORTS if effort != lacking]
    _check_choice_of("reasoning.effort", reasoning.get("effort"), efforts)
    _check_choice_of("text.verbosity", text.get("verbosity"), ("low", "medium", "high"))
    if reasoning.get("effort") != "none":
        for name in _SAMPLING:
            if body.get(name) is not None:
                raise unsupported(name)


def _check_type(body: Mapping[str, Any], name: str, kind: type | tuple[type, ...], expected: str) -> None:
    value = body.get(name)
    is_number = kind is not bool and isinstance(value, bool)
    if value is not None and (is_number or not isinstance(value, kind)):
        raise wrong_type(name, expected)


def _check_choice_of(name: str, value: object, known: tuple[str, ...] | list[str]) -> None:
    if value is not None and value not in known:
        message = f"Invalid value: '{value}'. Supported values are: {', '.join(known)}."
        raise RefusedError(message, param=name, code="invalid_value")

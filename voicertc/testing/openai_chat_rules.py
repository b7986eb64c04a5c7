"""What /chat/completions refuses: models, messages, limits; of functions see ``openai_tool_rules``.

Fields, values and types are those of the ``openai`` package's request types; the rules that no type tells
(which model takes which field) are written out here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

from openai.types.chat import ChatCompletionMessageParam, completion_create_params
from openai.types.shared import ReasoningEffort
from pydantic import TypeAdapter, ValidationError

from .openai_refusals import (
    RefusedError,
    check_fields,
    check_model,
    check_value,
    unknown,
    unsupported,
    wrong_type,
)
from .openai_tool_rules import check_calls, check_tools

CHAT_MODELS = ("gpt-6-luna", "gpt-6-sol", "gpt-5.6-luna", "gpt-5.1", "gpt-5-mini", "gpt-4.1", "gpt-4o-mini")

_FIELDS = {*completion_create_params.CompletionCreateParamsBase.__annotations__, "stream"}
_MESSAGE_FIELDS = {
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "function_call",
    "tool_calls",
    "tool_call_id",
}
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs")
_TAKE_TOOLS_THINKING = ("gpt-5.1", "gpt-5-mini")
"""Of the models that think, those that take functions here while they do; from gpt-5.4 on they do not."""


def check_chat(body: Mapping[str, Any]) -> None:
    """Refuse a body that /chat/completions refuses."""
    check_fields(body, _FIELDS, required=("model", "messages"))
    _check_messages(body["messages"])
    model = body["model"]
    check_model(model, CHAT_MODELS)
    if "stream_options" in body and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise RefusedError(message, param="stream_options")
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise RefusedError(f"Invalid '{name}': integer below minimum value.", param=name)
    check_tools(body)
    if model.startswith("gpt-4"):
        if "reasoning_effort" in body:
            raise unsupported("reasoning_effort")
        return
    _check_reasoning(model, body)


@cache
def _message_type() -> TypeAdapter[ChatCompletionMessageParam]:
    return TypeAdapter(ChatCompletionMessageParam)


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects")
    if not messages:
        raise RefusedError("Invalid 'messages': empty array.", param="messages", code="empty_array")
    for index, message in enumerate(messages):
        try:
            _message_type().validate_python(message)
        except ValidationError as error:
            raise wrong_type(f"messages.[{index}]", "a chat message") from error
        if extra := sorted(set(message) - _MESSAGE_FIELDS):
            raise unknown(f"messages[{index}].{extra[0]}")
        if message.get("content") is None and "tool_calls" not in message:
            raise wrong_type(f"messages.[{index}].content", "a string")
    check_calls(messages)


def _check_reasoning(model: str, body: Mapping[str, Any]) -> None:
    """The rules of models that think: gpt-5 and later."""
    if "max_tokens" in body:
        raise unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    has_none = model != "gpt-5-mini"
    efforts = set(get_args(get_args(ReasoningEffort)[0]))
    efforts -= {"minimal"} if has_none else {"none"}
    effort = body.get("reasoning_effort", "medium")
    check_value(body, "reasoning_effort", sorted(efforts))
    if effort != "none":
        for name in _SAMPLING:
            if name in body:
                raise RefusedError(
                    f"Unsupported value: '{name}' does not support {body[name]} with this model.",
                    param=name,
                    code="unsupported_value",
                )
        if "tools" in body and model not in _TAKE_TOOLS_THINKING:
            message = (
                f"Function tools with reasoning_effort are not supported for {model} in "
                "/v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to "
                "'none'."
            )
            raise RefusedError(message, param="reasoning_effort")

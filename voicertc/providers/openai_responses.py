"""Answering by OpenAI's Responses, its own protocol for language models: functions at any effort.

``POST /responses`` with ``stream: true`` and ``store: false``: the service keeps nothing, the history is our
own. What does not change within a call (instructions, functions) comes first and has a key, so that the
service finds it in its cache. Compatible servers are better spoken to by ``openai_chat``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import openai

from .base import AnswerRequest, Message
from .openai_client import OpenAIClient, StreamedResponse
from .openai_fields import RequestFields, least_effort
from .openai_language_model import Ask, OpenAILanguageModel, OpenAILanguageOptions
from .openai_messages import written_functions, written_input
from .openai_response import MAX_OUTPUT_TOKENS, ResponseEvents

_LEAST_LIMIT = 16
"""Tokens below which OpenAI takes no limit; a smaller one is kept here, by counting pieces."""


@dataclass(frozen=True, slots=True)
class OpenAIResponsesOptions(OpenAILanguageOptions):
    """How OpenAI answers."""

    verbosity: str | None = "low"
    """How much it says, of what it could: a listener wants little. ``None`` leaves it to the model."""


class OpenAIResponses(OpenAILanguageModel):
    """OpenAI's language models. One object serves all calls; each answer is a request of its own."""

    name = "openai-responses"
    endpoint = "responses"
    options: OpenAIResponsesOptions

    def __init__(self, options: OpenAIResponsesOptions, client: OpenAIClient) -> None:
        super().__init__(options, client)

    def _ask(self, messages: Sequence[Message], request: AnswerRequest) -> Ask:
        limit = self.options.limit(request)
        fixed = {**written_functions(request), **written_input(messages)}
        fields = self._optional.of_request(
            self._fields(max(limit, _LEAST_LIMIT), _cache_key(self.model, fixed))
        )

        def send(api: openai.AsyncOpenAI) -> AbstractAsyncContextManager[StreamedResponse]:
            return self._send(api, fixed, fields)

        return Ask(send, fields, ResponseEvents(limit if limit < _LEAST_LIMIT else None).read)

    def _send(
        self, api: openai.AsyncOpenAI, fixed: Mapping[str, object], fields: RequestFields
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        return api.responses.with_streaming_response.create(
            model=self.model,
            stream=True,
            store=False,  # does not yield to a refusal: what is said in a call stays in it
            extra_body={**fixed, **fields.current},
        )

    def _fields(self, limit: int, cache_key: str) -> dict[str, object]:
        """What a server may refuse. Models that do not think know no verbosity either."""
        options, effort = self.options, self.options.effort()
        thinks = least_effort(self.model) is not None
        return {
            MAX_OUTPUT_TOKENS: limit,
            "reasoning": {"effort": effort} if effort else None,
            "text": {"verbosity": options.verbosity} if options.verbosity and thinks else None,
            "temperature": options.sampling(effort),
            "service_tier": options.service_tier,
            "prompt_cache_key": cache_key,
            **options.extra,
        }


def _cache_key(model: str, fixed: Mapping[str, object]) -> str:
    """Name what requests have in common at their beginning; nothing that was said goes into it."""
    beginning = [model, fixed.get("instructions"), fixed.get("tools")]
    return hashlib.sha256(json.dumps(beginning).encode()).hexdigest()[:32]

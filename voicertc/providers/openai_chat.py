"""Answering by OpenAI's Chat Completions, the one protocol that every language model server speaks.

``POST /chat/completions`` with ``stream: true``: server-sent events, a few words each. What a model thinks
(``reasoning_content``, ``<think>``) is never said. In what servers differ, see ``ChatDialect``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import cast

import openai
from openai.types.chat import ChatCompletionMessageParam

from ..core.items import Role
from ..errors import ProviderError
from ..logs import event
from .base import AnswerRequest, Message
from .openai_client import OpenAIClient, StreamedResponse
from .openai_deltas import read_chunk
from .openai_dialects import ChatDialect, likely_dialect
from .openai_fields import RequestFields, least_effort
from .openai_language_model import Ask, OpenAILanguageModel, OpenAILanguageOptions
from .openai_messages import written_messages, written_tools
from .patience import Patience

_LOADING = 180.0
"""Seconds a server may take to load a model: tens of gigabytes from a disk."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenAIChatOptions(OpenAILanguageOptions):
    """How OpenAI, or a compatible server, answers.

    OpenAI's models take functions here only if they do not think: where there are some, they are told not to,
    whatever ``reasoning_effort`` says.
    """

    dialect: ChatDialect | None = None
    """What the server understands; ``None`` goes by its address and the model's name."""


class OpenAIChat(OpenAILanguageModel):
    """A language model. One object serves all calls; each answer is a request of its own."""

    name = "openai-chat"
    endpoint = "chat/completions"
    options: OpenAIChatOptions

    def __init__(self, options: OpenAIChatOptions, client: OpenAIClient) -> None:
        super().__init__(options, client)
        self.dialect = options.dialect or likely_dialect(client.options, options.model)

    async def start(self) -> None:
        """Take a place in the pool; a server that loads models when asked is asked, in the background."""
        was_started = self._is_started
        await super().start()
        if self.dialect.loads_on_demand and not was_started:
            self._in_background(self._load(), "loading")

    def _ask(self, messages: Sequence[Message], request: AnswerRequest) -> Ask:
        sent, tools = written_messages(messages), written_tools(request)
        fields = self._optional.of_request(self._fields(request))

        def send(api: openai.AsyncOpenAI) -> AbstractAsyncContextManager[StreamedResponse]:
            return self._send(api, sent, tools, fields)

        return Ask(send, fields, read_chunk)

    def _send(
        self,
        api: openai.AsyncOpenAI,
        messages: list[dict[str, object]],
        tools: Mapping[str, object],
        fields: RequestFields,
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        return api.chat.completions.with_streaming_response.create(
            model=self.model,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            stream=True,
            extra_body={**tools, **fields.current},
        )

    def _fields(self, request: AnswerRequest) -> dict[str, object]:
        """What a server may refuse."""
        options, dialect = self.options, self.dialect
        must_not_think = least_effort(self.model) == "none" and bool(request.tools)
        effort = "none" if must_not_think else options.effort()
        return {
            dialect.limit_field: options.limit(request),
            "stream_options": {"include_usage": True} if dialect.counts_if_asked else None,
            "reasoning_effort": effort,
            "temperature": options.sampling(effort),
            "service_tier": options.service_tier,
            **options.extra,
        }

    async def _load(self) -> None:
        """Have the model loaded, so that the first caller need not wait for it; what it says is nothing."""
        ask = self._ask([Message(Role.USER, "Hello.")], AnswerRequest(max_output_tokens=1))
        patience = Patience(self.name, first=_LOADING, idle=_LOADING)
        try:
            async with aclosing(self.client.stream(ask.send, patience, ask.fields)) as body:
                async for _ in body:
                    pass
        except ProviderError as error:
            event(_log, logging.WARNING, "openai_model_not_loaded", provider=self.name, reason=error.message)

"""Answering by OpenAI's Chat Completions, the one protocol that every language model server speaks.

``POST /chat/completions`` with ``stream: true``: server-sent events, a few words each. What a model thinks
(``reasoning_content``, ``<think>``) is never said. The answer is over when the model says so; what follows it
(token counts, ``[DONE]``) is read in the background: nobody should wait long for it with the last clause.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass, field
from typing import cast

import openai
from openai.types.chat import ChatCompletionMessageParam

from ..errors import ProviderCrashed, ProviderError
from ..logs import event
from .base import AnswerPiece, AnswerRequest, Message
from .openai_access import NAME
from .openai_client import OpenAIClient, StreamedResponse
from .openai_deltas import Answer, Delta, read_chunk
from .openai_errors import in_band_error
from .openai_fields import OptionalFields, RequestFields, least_effort
from .openai_messages import written_messages, written_tools
from .openai_stage import OpenAIStage
from .patience import Patience
from .sse import EventStream

_ENDING = 1.0
"""Seconds for what follows the last word; then the connection is given up."""
_COUNTING = 0.25
"""Seconds of those that an answer waits for its token counts, which come with the last word or never."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenAIChatOptions:
    """How OpenAI, or a compatible server, answers."""

    model: str = "gpt-6-luna"
    """The model: the fastest of its generation, when it does not think first."""
    reasoning_effort: str | None = "auto"
    """How long it thinks; ``auto`` is the least the model takes, ``None`` leaves it to the server. OpenAI's
    models take functions here only if they do not think: where there are some, they are told not to."""
    max_tokens: int = 800
    """Tokens of an answer at most, about five minutes of speech: a bound, not a wish. Clients may ask for
    fewer."""
    temperature: float | None = None
    """Sampling temperature; reasoning models refuse it, so it is sent only if set."""
    service_tier: str | None = None
    """``fast`` buys speed at twice the price."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Further fields of the request, for compatible servers."""
    first_token_timeout: float = 8.0
    """Seconds until the first word: leaves the voice a third of the 12 s that a reply may take."""
    idle_timeout: float = 5.0
    """Seconds between two words: by then the listener has heard all there was."""


class OpenAIChat(OpenAIStage):
    """A language model. One object serves all calls; each answer is a request of its own."""

    def __init__(self, options: OpenAIChatOptions, client: OpenAIClient) -> None:
        super().__init__(client, options.model)
        self.options = options
        self._optional = OptionalFields("chat/completions")
        self._endings: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Give up what is still being read, and leave the pool."""
        for ending in self._endings:
            ending.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)
        await super().close()

    async def stream(
        self, messages: Sequence[Message], request: AnswerRequest
    ) -> AsyncGenerator[AnswerPiece, None]:
        """Yield the answer as it comes; closing the generator cancels the model."""
        patience = Patience(NAME, first=self.options.first_token_timeout, idle=self.options.idle_timeout)
        answer = Answer()
        deltas = self._deltas(messages, request, patience)
        try:
            async for delta in deltas:
                text = answer.take(delta)
                if text or delta.calls:
                    patience.something_came()
                if text:
                    yield text
                if answer.finish:
                    break
        finally:
            if answer.finish:
                self._end_later(deltas, answer)
            else:
                await deltas.aclose()
        if not answer.finish:
            raise ProviderCrashed(f"{NAME} ended its answer in the middle", provider=NAME)
        for piece in answer.close(is_limited=request.max_output_tokens is not None):
            yield piece
        with suppress(TimeoutError):
            async with asyncio.timeout(_COUNTING):
                await answer.counted.wait()
        if answer.usage is not None:
            yield answer.usage

    async def _deltas(
        self, messages: Sequence[Message], request: AnswerRequest, patience: Patience
    ) -> AsyncGenerator[Delta, None]:
        """Send the request and yield what each event says, to the end of the body."""
        sent, tools = written_messages(messages), written_tools(request)
        fields = self._optional.of_request(self._fields(request))
        body = self.client.stream(
            lambda api: self._send(api, sent, tools, fields), patience, fields, refuse=("text/html",)
        )
        events = EventStream()
        async with aclosing(body):
            async for piece in body:
                for payload in _payloads(events, piece):
                    yield self._read(payload)

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

    async def _rehearse(self, api: openai.AsyncOpenAI) -> None:
        """Send a request to nobody."""
        message: dict[str, object] = {"role": "user", "content": "Hello."}
        async with self._send(api, [message], {}, self._optional.of_request(self._fields(AnswerRequest()))):
            pass

    def _fields(self, request: AnswerRequest) -> dict[str, object]:
        """What a server may refuse.

        A model of OpenAI's behind somebody else's address is a gateway: there, too, it must not think first.
        """
        options, least = self.options, least_effort(self.model)
        is_modern = self.client.options.is_openai or least is not None
        must_not_think = options.reasoning_effort == "auto" or (least == "none" and bool(request.tools))
        limit = min(options.max_tokens, request.max_output_tokens or options.max_tokens)
        return {
            "max_completion_tokens" if is_modern else "max_tokens": limit,
            "stream_options": {"include_usage": True},
            "reasoning_effort": least if must_not_think else options.reasoning_effort,
            "temperature": options.temperature,
            "service_tier": options.service_tier,
            **options.extra,
        }

    def _read(self, payload: bytes) -> Delta:
        """Read one event; raise what it says if it is an error."""
        if payload == b"[DONE]":
            return Delta(finish="done")
        try:
            told = json.loads(payload)
        except ValueError as error:
            raise ProviderCrashed(f"{NAME} sent an event that is no JSON", provider=NAME) from error
        if not isinstance(told, dict):
            return Delta()
        failure = told.get("error") or (told if told.get("object") == "error" else None)
        if failure:
            key = self.client.options.api_key
            raise in_band_error(failure, provider=NAME, key=key.reveal() if key else "")
        return read_chunk(told)

    def _end_later(self, deltas: AsyncGenerator[Delta, None], answer: Answer) -> None:
        """Read what follows the last word, so that the connection can be used again."""
        ending = asyncio.create_task(_end(deltas, answer), name="openai/ending")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


async def _end(deltas: AsyncGenerator[Delta, None], answer: Answer) -> None:
    try:
        async with aclosing(deltas), asyncio.timeout(_ENDING):
            async for delta in deltas:
                answer.note_usage(delta)
                if delta.finish:
                    answer.counted.set()
    except (ProviderError, TimeoutError) as error:
        event(_log, logging.DEBUG, "openai_ending_lost", reason=type(error).__name__)
    finally:
        answer.counted.set()
    event(_log, logging.DEBUG, "openai_answered", finish=answer.finish, tokens=answer.usage)


def _payloads(events: EventStream, piece: bytes) -> Iterator[bytes]:
    try:
        yield from events.feed(piece)
    except ValueError as error:
        raise ProviderCrashed(f"{NAME} sent {error}", provider=NAME) from error

"""Answering by OpenAI's Chat Completions, the one protocol that every language model server speaks.

``POST /chat/completions`` with ``stream: true``: server-sent events, a few words each. What a model thinks
(``reasoning_content``, ``<think>``) is never said. The answer is over when the model says so; what follows it
(token counts, ``[DONE]``) is read in the background, since nobody should wait for it with the last clause.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import Any, cast

import openai
from openai.types.chat import ChatCompletionMessageParam

from ..errors import ProviderCrashed, ProviderError
from ..logs import event
from .base import Message
from .openai_access import NAME
from .openai_client import OpenAIClient, StreamedResponse
from .openai_errors import in_band_error
from .openai_fields import OptionalFields, RequestFields, least_effort
from .openai_stage import OpenAIStage, sendable
from .patience import Patience
from .sse import EventStream
from .thoughts import ThoughtFilter

_ENDING = 1.0
"""Seconds for what follows the last word; then the connection is given up."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenAIChatOptions:
    """How OpenAI, or a compatible server, answers."""

    model: str = "gpt-6-luna"
    """The model: the fastest of its generation, when it does not think first."""
    reasoning_effort: str | None = "auto"
    """How long it thinks; ``auto`` is the least the model takes, ``None`` leaves it to the server."""
    max_tokens: int = 800
    """Tokens of an answer at most, about five minutes of speech: a bound, not a wish."""
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


@dataclass(frozen=True, slots=True)
class _Delta:
    """What one event says: words, and why the answer is over if it is."""

    text: str = ""
    finish: str = ""
    usage: Mapping[str, Any] | None = None


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

    async def stream(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """Yield the answer as it comes; closing the generator cancels the model."""
        patience = Patience(NAME, first=self.options.first_token_timeout, idle=self.options.idle_timeout)
        thoughts = ThoughtFilter()
        deltas = self._deltas(messages, patience)
        finish, is_silent = "", True
        try:
            async for delta in deltas:
                text = thoughts.feed(delta.text) + (thoughts.flush() if delta.finish else "")
                if text:
                    patience.something_came()
                    is_silent = False
                    yield text
                if delta.finish:
                    finish = delta.finish
                    break
        finally:
            if finish:
                self._end_later(deltas, finish)
            else:
                await deltas.aclose()
        if not finish:
            raise ProviderCrashed(f"{NAME} ended its answer in the middle", provider=NAME)
        if is_silent:
            raise _wordless(finish)

    async def _deltas(self, messages: Sequence[Message], patience: Patience) -> AsyncGenerator[_Delta, None]:
        """Send the request and yield what each event says, to the end of the body."""
        events = EventStream()
        async with aclosing(self._request(messages, patience)) as body:
            async for piece in body:
                for payload in _payloads(events, piece):
                    yield self._read(payload)

    def _request(self, messages: Sequence[Message], patience: Patience) -> AsyncGenerator[bytes, None]:
        sent = [{"role": message.role.value, "content": sendable(message.text)} for message in messages]
        fields = self._optional.of_request(self._fields())
        return self.client.stream(
            lambda api: self._send(api, sent, fields), patience, fields, refuse=("text/html",)
        )

    def _send(
        self, api: openai.AsyncOpenAI, messages: list[dict[str, str]], fields: RequestFields
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        return api.chat.completions.with_streaming_response.create(
            model=self.model,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            stream=True,
            extra_body=fields.current,
        )

    async def _rehearse(self, api: openai.AsyncOpenAI) -> None:
        """Send a request to nobody."""
        message = {"role": "user", "content": "Hello."}
        async with self._send(api, [message], self._optional.of_request(self._fields())):
            pass

    def _fields(self) -> dict[str, object]:
        """What a server may refuse.

        A model of OpenAI's behind somebody else's address is a gateway: there, too, it must not think first.
        """
        options, least = self.options, least_effort(self.model)
        is_modern = self.client.options.is_openai or least is not None
        return {
            "max_completion_tokens" if is_modern else "max_tokens": options.max_tokens,
            "stream_options": {"include_usage": True},
            "reasoning_effort": least if options.reasoning_effort == "auto" else options.reasoning_effort,
            "temperature": options.temperature,
            "service_tier": options.service_tier,
            **options.extra,
        }

    def _read(self, payload: bytes) -> _Delta:
        """Read one event; raise what it says if it is an error."""
        if payload == b"[DONE]":
            return _Delta(finish="done")
        try:
            told = json.loads(payload)
        except ValueError as error:
            raise ProviderCrashed(f"{NAME} sent an event that is no JSON", provider=NAME) from error
        if not isinstance(told, dict):
            return _Delta()
        failure = told.get("error") or (told if told.get("object") == "error" else None)
        if failure:
            key = self.client.options.api_key
            raise in_band_error(failure, provider=NAME, key=key.reveal() if key else "")
        return _delta(told)

    def _end_later(self, deltas: AsyncGenerator[_Delta, None], finish: str) -> None:
        """Read what follows the last word, so that the connection can be used again."""
        ending = asyncio.create_task(_end(deltas, finish), name="openai/ending")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


async def _end(deltas: AsyncGenerator[_Delta, None], finish: str) -> None:
    usage: Mapping[str, Any] = {}
    try:
        async with aclosing(deltas), asyncio.timeout(_ENDING):
            async for delta in deltas:
                usage = delta.usage or usage
    except (ProviderError, TimeoutError) as error:
        event(_log, logging.DEBUG, "openai_ending_lost", reason=type(error).__name__)
    counts = {"input_tokens": usage.get("prompt_tokens"), "output_tokens": usage.get("completion_tokens")}
    event(_log, logging.DEBUG, "openai_answered", finish=finish, **counts)


def _payloads(events: EventStream, piece: bytes) -> Iterator[bytes]:
    try:
        yield from events.feed(piece)
    except ValueError as error:
        raise ProviderCrashed(f"{NAME} sent {error}", provider=NAME) from error


def _delta(chunk: Mapping[str, Any]) -> _Delta:
    """Read a ``chat.completion.chunk``; whatever is not as it should be says nothing."""
    usage = chunk.get("usage")
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return _Delta(usage=usage if isinstance(usage, dict) else None)
    delta = choice.get("delta")
    words = delta if isinstance(delta, dict) else {}
    # A refusal is an answer too: the model says in its own words that it will not.
    said = [words.get(name) for name in ("content", "refusal")]
    return _Delta(
        text="".join(each for each in said if isinstance(each, str)),
        finish=str(choice.get("finish_reason") or ""),
        usage=usage if isinstance(usage, dict) else None,
    )


def _wordless(finish: str) -> ProviderError:
    if finish == "content_filter":
        return ProviderError(f"{NAME} withheld its answer (content_filter)", provider=NAME)
    return ProviderCrashed(f"{NAME} answered without words (finish_reason {finish})", provider=NAME)

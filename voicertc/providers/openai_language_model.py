"""What both protocols of OpenAI's language models have in common: one streamed answer, from request to count.

    messages ──ask──> POST, server-sent events ──read──> Delta ──Answer──> text, calls, CutShort, Usage

The answer is over when the model says so; what follows it (token counts, ``[DONE]``) is read in the
background: nobody should wait long for it with the last clause. What a model thinks is never said.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import openai

from ..core.items import Role
from ..errors import ProviderCrashed, ProviderError
from ..logs import event
from .base import AnswerPiece, AnswerRequest, Message
from .openai_client import OpenAIClient, OpenStream
from .openai_deltas import Answer, Delta
from .openai_errors import in_band_error
from .openai_fields import OptionalFields, RequestFields, least_effort
from .openai_stage import OpenAIStage
from .patience import Patience
from .sse import EventStream

_ENDING = 1.0
"""Seconds for what follows the last word; then the connection is given up."""
_COUNTING = 0.25
"""Seconds of those that an answer waits for its token counts, which come with the last word or never."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenAILanguageOptions:
    """How OpenAI, or a compatible server, answers."""

    model: str = "gpt-6-luna"
    """The model: the fastest of its generation, when it does not think first."""
    reasoning_effort: str | None = "auto"
    """How long it thinks; ``auto`` is the least the model takes, ``None`` leaves it to the server."""
    max_output_tokens: int = 800
    """Tokens of an answer at most, about five minutes of speech: a bound, not a wish. Clients may ask for
    fewer."""
    temperature: float | None = None
    """Sampling temperature, 0–2; ``None`` leaves it to the model. One that thinks takes none, and is sent
    none."""
    service_tier: str | None = None
    """``fast`` buys speed at twice the price."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Further fields of the request, for compatible servers."""
    first_token_timeout: float = 8.0
    """Seconds until the first word: leaves the voice a third of the 12 s that a reply may take."""
    idle_timeout: float = 5.0
    """Seconds between two words: by then the listener has heard all there was."""

    def effort(self) -> str | None:
        """Return the effort to ask for, or ``None`` to ask for none in particular."""
        return least_effort(self.model) if self.reasoning_effort == "auto" else self.reasoning_effort

    def limit(self, request: AnswerRequest) -> int:
        """Return the tokens that an answer may have: the smaller of both bounds."""
        return min(self.max_output_tokens, request.max_output_tokens or self.max_output_tokens)

    def sampling(self, effort: str | None) -> float | None:
        """Return the temperature to ask for: a model of OpenAI's that thinks refuses any."""
        thinks = least_effort(self.model) is not None and effort != "none"
        return None if thinks else self.temperature


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: ``send`` opens its answer, ``fields`` yield to refusals, ``read`` reads an event."""

    send: OpenStream
    fields: RequestFields
    read: Callable[[Mapping[str, Any]], Delta]


class OpenAILanguageModel(OpenAIStage):
    """A language model. One object serves all calls; each answer is a request of its own."""

    options: OpenAILanguageOptions

    def __init__(self, options: OpenAILanguageOptions, client: OpenAIClient) -> None:
        super().__init__(client, options.model)
        self.options = options
        self._optional = OptionalFields(self.endpoint)
        self._endings: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Give up what is still being read, and leave the pool."""
        for ending in self._endings:
            ending.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)
        await super().close()

    def warm(self) -> None:
        """Have a connection open."""
        self.client.warm(self.model)

    async def stream(
        self, messages: Sequence[Message], request: AnswerRequest
    ) -> AsyncGenerator[AnswerPiece, None]:
        """Yield the answer as it comes; closing the generator cancels the model."""
        options = self.options
        patience = Patience(self.name, first=options.first_token_timeout, idle=options.idle_timeout)
        answer = Answer(self.name)
        async with aclosing(self._said(messages, request, patience, answer)) as texts:
            async for text in texts:
                yield text
        if not answer.finish:
            raise ProviderCrashed(f"{self.name} ended its answer in the middle", provider=self.name)
        for piece in answer.close(is_limited=request.max_output_tokens is not None):
            yield piece
        with suppress(TimeoutError):
            async with asyncio.timeout(_COUNTING):
                await answer.counted.wait()
        if answer.usage is not None:
            yield replace(answer.usage, provider=self.name)

    def _ask(self, messages: Sequence[Message], request: AnswerRequest) -> Ask:
        """Make the request in the protocol's words."""
        raise NotImplementedError

    async def _rehearse(self, api: openai.AsyncOpenAI) -> None:
        """Send a request to nobody."""
        async with self._ask([Message(Role.USER, "Hello.")], AnswerRequest()).send(api):
            pass

    async def _said(
        self, messages: Sequence[Message], request: AnswerRequest, patience: Patience, answer: Answer
    ) -> AsyncGenerator[str, None]:
        """Yield the text, until the model has come to an end; ``answer`` takes the rest."""
        deltas = self._deltas(self._ask(messages, request), patience)
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
                self._in_background(_end(deltas, answer), "ending")
            else:
                await deltas.aclose()

    async def _deltas(self, ask: Ask, patience: Patience) -> AsyncGenerator[Delta, None]:
        """Send the request and yield what each event says, to the end of the body."""
        body = self.client.stream(ask.send, patience, ask.fields, refuse=("text/html",))
        events = EventStream()
        async with aclosing(body):
            async for piece in body:
                for payload in self._payloads(events, piece):
                    yield self._read(payload, ask.read)

    def _payloads(self, events: EventStream, piece: bytes) -> Iterator[bytes]:
        try:
            yield from events.feed(piece)
        except ValueError as error:
            raise ProviderCrashed(f"{self.name} sent {error}", provider=self.name) from error

    def _read(self, payload: bytes, read: Callable[[Mapping[str, Any]], Delta]) -> Delta:
        """Read one event; raise what it says if it is an error."""
        if payload == b"[DONE]":
            return Delta(finish="done")
        try:
            told = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise ProviderCrashed(f"{self.name} sent an event that is no JSON", provider=self.name) from error
        delta = read(told) if isinstance(told, dict) else Delta()
        if delta.failure:
            key = self.client.options.api_key
            raise in_band_error(delta.failure, provider=self.name, key=key.reveal() if key else "")
        return delta

    def _in_background(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Run what no answer waits for; ``close`` ends it."""
        task = asyncio.create_task(work, name=f"{self.name}/{what}")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)


async def _end(deltas: AsyncGenerator[Delta, None], answer: Answer) -> None:
    """Read what follows the last word, so that the connection can be used again."""
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

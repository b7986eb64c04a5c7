"""A language model of one's own for voicertc: it repeats what it is told, and asks for the weather.

A real one would send the messages and the tools to a service, in the service's own form.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from voicertc.core.replies import CutShort, ToolCall, Usage
from voicertc.errors import ProviderCrashed, ProviderTimeout
from voicertc.providers.base import AnswerPiece, AnswerRequest, LanguageModel, Message
from voicertc.providers.until_closed import UntilClosed
from voicertc.services import ProviderContext

Think = Callable[[Sequence[Message], AnswerRequest], AsyncGenerator[str | ToolCall, None]]
"""Makes the words of an answer, and calls behind them."""


async def parrot(messages: Sequence[Message], request: AnswerRequest) -> AsyncGenerator[str | ToolCall, None]:
    """Repeat what was said last; where it is about the weather, and a function tells that, call it."""
    last = messages[-1]
    may_call = request.tool_choice.mode != "none" and "get_weather" in [tool.name for tool in request.tools]
    if may_call and not last.calls and "weather" in last.text:
        yield ToolCall("get_weather", '{"city": "Oslo"}')
        return
    said = last.calls[-1].output if last.calls else last.text
    for word in ("You", "said:", *said.split()):
        yield f"{word} "


class ParrotModel:
    """``LanguageModel`` that repeats. One object serves all calls; ``think`` is replaced by tests."""

    name = "parrot"

    def __init__(self, think: Think = parrot, timeout: float = 2.0) -> None:
        self._think, self._timeout = think, timeout
        self._until_closed = UntilClosed(self.name)

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """End the answers that are being given."""
        self._until_closed.close()

    def stream(
        self, messages: Sequence[Message], request: AnswerRequest
    ) -> AsyncGenerator[AnswerPiece, None]:
        """Answer, unless the model is closed before the end."""
        return self._until_closed(self._answer(messages, request))

    async def _answer(
        self, messages: Sequence[Message], request: AnswerRequest
    ) -> AsyncGenerator[AnswerPiece, None]:
        n_pieces = 0
        async with aclosing(self._think(messages, request)) as pieces:
            while (piece := await self._next(pieces)) is not None:
                if n_pieces == request.max_output_tokens:
                    yield CutShort("max_output_tokens")
                    break
                yield piece
                n_pieces += 1
        yield Usage(input_tokens=sum(len(each.text.split()) for each in messages), output_tokens=n_pieces)

    async def _next(self, pieces: AsyncGenerator[str | ToolCall, None]) -> str | ToolCall | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await anext(pieces)
        except StopAsyncIteration:
            return None
        except TimeoutError as error:
            raise ProviderTimeout(f"It thought for {self._timeout:g} s.", provider=self.name) from error
        except ValueError as error:
            raise ProviderCrashed("It lost its thread.", provider=self.name) from error


def make_model(context: ProviderContext) -> LanguageModel:
    """Make the model: the entry point."""
    return ParrotModel()

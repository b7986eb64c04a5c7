"""An answer as it comes, by either protocol: words, function calls in pieces, token counts.

event ──read──> Delta ──Answer.take──> text, at once
                      └─ Answer.close ─> calls and CutShort, when the model has come to an end

``read`` is ``read_chunk`` for Chat Completions, ``openai_response.ResponseEvents.read`` for Responses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.replies import CutShort, ToolCall, Usage
from ..errors import ProviderCrashed, ProviderError
from .openai_messages import is_object
from .thoughts import ThoughtFilter

_CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_MAX_CALLED = 1 << 18
"""Pieces and characters of an answer's function calls, all told: far more than a bound of tokens allows."""


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a function call: ``id`` and ``name`` come with the first, ``index`` tells calls apart."""

    index: int | None
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event says.

    ``finish`` is why the answer is over, if it is, in the server's words; ``cut_short`` is the ``CutShort``
    reason if the model had to stop. ``failure``: the server's ``error`` object, instead of all that.
    """

    text: str = ""
    calls: tuple[CallPiece, ...] = ()
    finish: str = ""
    cut_short: str = ""
    usage: Usage | None = None
    failure: object = None


class Answer:
    """One answer of ``provider``'s, put together.

    ``counted`` is set as soon as ``usage`` is known, or will never be.
    """

    def __init__(self, provider: str) -> None:
        self.finish = ""
        self.cut_short = ""
        self.usage: Usage | None = None
        self.counted = asyncio.Event()
        self._thoughts = ThoughtFilter()
        self._provider = provider
        self._calls = _Calls(provider)
        self._is_silent = True

    def take(self, delta: Delta) -> str:
        """Take what an event says and return what is to be said of it."""
        text = self._thoughts.feed(delta.text) + (self._thoughts.flush() if delta.finish else "")
        self._is_silent = self._is_silent and not text
        self._calls.feed(delta.calls)
        self.finish, self.cut_short = delta.finish, delta.cut_short
        self.note_usage(delta)
        return text

    def note_usage(self, delta: Delta) -> None:
        """Take the token counts alone: of what comes behind the end."""
        if delta.usage is not None:
            self.usage = delta.usage
            if self.finish:  # servers that count as they go have more to say before
                self.counted.set()

    def close(self, *, is_limited: bool) -> Iterator[ToolCall | CutShort]:
        """Yield what the answer holds besides text; raise ``ProviderError`` if it is broken or holds nothing.

        ``is_limited``: the client has set a limit. If that left no room for a word, it is what was wanted.
        """
        calls = self._calls.whole(is_cut=bool(self.cut_short))
        if self._is_silent and not calls and not (self.cut_short == "max_output_tokens" and is_limited):
            raise self._wordless()
        yield from calls
        if self.cut_short:
            yield CutShort(self.cut_short)

    def _wordless(self) -> ProviderError:
        provider = self._provider
        if self.cut_short == "content_filter":
            return ProviderError(f"{provider} withheld its answer (content_filter)", provider=provider)
        return ProviderCrashed(f"{provider} answered without words ({self.finish})", provider=provider)


class _Calls:
    """Puts function calls together. Servers differ in which pieces carry an index, an id, both or none."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._calls: list[_Call] = []
        self._size = 0

    def feed(self, pieces: Iterable[CallPiece]) -> None:
        """Take the pieces of one event."""
        for piece in pieces:
            self._size += 1 + len(piece.name) + len(piece.arguments)
            if self._size > _MAX_CALLED:
                raise self._broken("a function call that does not end")
            call = self._call_of(piece)
            call.id = call.id or piece.id
            call.name = call.name or piece.name
            call.arguments.append(piece.arguments)

    def whole(self, *, is_cut: bool) -> list[ToolCall]:
        """Return the calls in order; one that was ``is_cut`` in the middle is left out."""
        calls: list[ToolCall] = []
        for call in self._calls:
            # A function without parameters is called with nothing at all by some servers, with {} by OpenAI.
            arguments = "".join(call.arguments).strip() or ("" if is_cut else "{}")
            if call.name and is_object(arguments):
                calls.append(ToolCall(call.name, arguments))
            elif not is_cut:
                raise self._broken(
                    "arguments that are no JSON object" if call.name else "a function without name"
                )
        return calls

    def _call_of(self, piece: CallPiece) -> _Call:
        """Return the call that a piece belongs to: of those with its index, the last."""
        calls = [call for call in self._calls if piece.index is None or call.index == piece.index]
        if calls:
            last = calls[-1]
            is_named_anew = last.id != piece.id if last.id and piece.id else piece.index is None
            if not piece.name or not is_named_anew:
                return last
        self._calls.append(_Call(piece.index))
        return self._calls[-1]

    def _broken(self, what: str) -> ProviderCrashed:
        """Say what is wrong with a call, not what it says: arguments are private."""
        return ProviderCrashed(f"{self._provider} called {what}", provider=self._provider)


class _Call:
    """One function call, as far as it has come."""

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


def read_chunk(chunk: Mapping[str, Any]) -> Delta:
    """Read a ``chat.completion.chunk``; whatever is not as it should be says nothing."""
    failure = chunk.get("error") or (chunk if chunk.get("object") == "error" else None)
    if failure:
        return Delta(failure=failure)
    usage = usage_of(chunk.get("usage"), "prompt", "completion")
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return Delta(usage=usage)
    delta = object_of(choice.get("delta"))
    pieces, finish = delta.get("tool_calls"), text_of(choice.get("finish_reason"))
    return Delta(
        # A refusal is an answer too: the model says in its own words that it will not.
        text=text_of(delta.get("content")) + text_of(delta.get("refusal")),
        calls=tuple(_piece(object_of(piece)) for piece in pieces) if isinstance(pieces, list) else (),
        finish=finish,
        cut_short=_CUT_SHORT.get(finish, ""),
        usage=usage,
    )


def usage_of(usage: object, read: str, written: str) -> Usage | None:
    """Read a ``usage`` object, whose counts are called ``{read}_tokens`` and ``{written}_tokens``."""
    counts = object_of(usage)
    if not isinstance(counts.get(f"{read}_tokens"), int):
        return None
    details = object_of(counts.get(f"{read}_tokens_details"))
    return Usage(
        _count(counts.get(f"{read}_tokens")),
        _count(counts.get(f"{written}_tokens")),
        _count(details.get("cached_tokens")),
    )


def object_of(value: object) -> Mapping[str, Any]:
    """Return ``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str:
    """Return ``value`` if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def _piece(piece: Mapping[str, Any]) -> CallPiece:
    function, index = object_of(piece.get("function")), piece.get("index")
    return CallPiece(
        index=index if isinstance(index, int) else None,
        id=text_of(piece.get("id")),
        name=text_of(function.get("name")),
        arguments=text_of(function.get("arguments")),
    )


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) else 0

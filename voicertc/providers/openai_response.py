"""A response of OpenAI's ``/responses`` as it comes: typed events, which become what Chat's chunks become.

    response.created … output_item.added … output_text.delta … output_item.done … response.completed

An item is a message, a function call or a thought; ``output_index`` tells them apart. Items may come by
turns. What the final ``done`` of an item says has mostly been said by its deltas before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.replies import Usage
from .openai_deltas import CallPiece, Delta, object_of, text_of, usage_of

MAX_OUTPUT_TOKENS = "max_output_tokens"


class ResponseEvents:
    """Reads the events of one response, in order.

    ``most_pieces``: after so many deltas the answer counts as cut short by its limit, for limits that the
    service does not take; OpenAI sends a token in each.
    """

    def __init__(self, most_pieces: int | None = None) -> None:
        self._left = most_pieces
        self._part: tuple[object, object] | None = None
        self._named: set[int | None] = set()
        self._with_arguments: set[int | None] = set()

    def read(self, event: Mapping[str, Any]) -> Delta:
        """Read one event; whatever is not as it should be says nothing."""
        delta = self._read(event)
        if self._left is not None and (delta.text or delta.calls):
            self._left -= 1
            if self._left == -1:  # said once: what comes behind it is read for its token counts
                return Delta(finish=MAX_OUTPUT_TOKENS, cut_short=MAX_OUTPUT_TOKENS)
        return delta

    def _read(self, event: Mapping[str, Any]) -> Delta:
        response = object_of(event.get("response"))
        match event.get("type"):
            # A refusal is an answer too: the model says in its own words that it will not.
            case "response.output_text.delta" | "response.refusal.delta":
                return self._text(event)
            case "response.output_item.added" | "response.output_item.done":
                return self._item(event)
            case "response.function_call_arguments.delta":
                return self._arguments(event, text_of(event.get("delta")))
            case "response.function_call_arguments.done":
                return self._arguments(event, text_of(event.get("arguments")), is_whole=True)
            case "response.completed":
                return Delta(finish="completed", usage=_usage(response))
            case "response.incomplete":
                return _incomplete(response)
            case "response.failed":
                return Delta(failure=response.get("error") or {"message": "no reason given"})
            case "error":
                return Delta(failure=event.get("error") or {**event, "type": ""})
            case None:
                return Delta(failure=event.get("error"))
            case _:
                return Delta()

    def _text(self, event: Mapping[str, Any]) -> Delta:
        """A piece of text; between two messages, or two parts of one, there is a space."""
        text, part = text_of(event.get("delta")), (event.get("output_index"), event.get("content_index"))
        if not text:
            return Delta()
        is_next, self._part = self._part not in (None, part), part
        return Delta(text=" " + text if is_next else text)

    def _item(self, event: Mapping[str, Any]) -> Delta:
        """The beginning of a call, which has its name, or its end, which has all of it."""
        item = object_of(event.get("item"))
        if item.get("type") != "function_call":
            return Delta()
        index = _index(event)
        arguments = self._arguments(event, text_of(item.get("arguments")), is_whole=True)
        if index is not None and index in self._named:
            return arguments
        self._named.add(index)
        begun = CallPiece(index, text_of(item.get("call_id")), text_of(item.get("name")), "")
        return Delta(calls=(begun, *arguments.calls))

    def _arguments(self, event: Mapping[str, Any], arguments: str, *, is_whole: bool = False) -> Delta:
        """Arguments of a call; those that come as a whole say nothing new if there were pieces of them."""
        index = _index(event)
        if not arguments or (is_whole and index in self._with_arguments):
            return Delta()
        self._with_arguments.add(index)
        return Delta(calls=(CallPiece(index, "", "", arguments),))


def _incomplete(response: Mapping[str, Any]) -> Delta:
    reason = text_of(object_of(response.get("incomplete_details")).get("reason")) or "incomplete"
    is_ours = reason in (MAX_OUTPUT_TOKENS, "content_filter")
    return Delta(finish=reason, cut_short=reason if is_ours else "", usage=_usage(response))


def _usage(response: Mapping[str, Any]) -> Usage | None:
    return usage_of(response.get("usage"), "input", "output")


def _index(event: Mapping[str, Any]) -> int | None:
    index = event.get("output_index")
    return index if isinstance(index, int) else None

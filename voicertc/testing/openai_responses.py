"""What the fake answers at /responses, streamed and whole, in the order in which the real one sends it.

    created, in_progress ── item added, its pieces, its done … (items by turns) ── completed | incomplete

A token is what it is for Chat Completions (``openai_answers.chat_pieces``): a word, or a piece of a call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from .openai_answers import CREATED, chat_pieces, tokens, usage_of
from .openai_exchange import Exchange
from .openai_faults import FailInside
from .openai_responses_items import chat_messages
from .openai_scenario import Calls, Scenario

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}

Event = dict[str, Any]


async def respond(
    exchange: Exchange, scenario: Scenario, reply: Callable[[Sequence[Mapping[str, Any]]], Calls]
) -> web.StreamResponse:
    """Answer one request; ``reply`` chooses what to say to the messages, as Chat Completions has them."""
    body = exchange.record.fields
    answer = _Answer(body, scenario, reply(chat_messages(body)))
    if body.get("stream"):
        events = list(answer.events())
        lead = next((place for place, event in enumerate(events) if is_token(event)), len(events))
        return await exchange.send_events(
            events, lead=lead, is_token=is_token, failure=answer.failure, is_named=True
        )
    for _ in answer.events():
        pass
    await exchange.before_first_token()
    return exchange.whole(web.json_response(answer.response(answer.status)))


def is_token(event: Mapping[str, Any]) -> bool:
    """Whether an event is a piece of an answer; all others are sent together with the one before."""
    return str(event["type"]).endswith(".delta")


@dataclass(slots=True)
class _Item:
    """One item of an answer while it grows: ``value`` is what it looks like now, ``whole`` its last text."""

    index: int
    value: dict[str, Any]
    whole: str = ""
    text: list[str] = field(default_factory=list)

    def status(self, *, is_cut: bool) -> str:
        """How it ended; ``is_cut``: the answer was cut right behind it."""
        return "incomplete" if is_cut or "".join(self.text) != self.whole else "completed"


class _Answer:
    """One answer as a series of events; after the last one ``response`` has all of it."""

    def __init__(self, body: Mapping[str, Any], scenario: Scenario, said: Calls) -> None:
        self._body = body
        self._said = said
        self._scenario = scenario
        by_index = replace(scenario, call_index="counted", has_call_ids=True)
        pieces = chat_pieces(said.text, said.calls, by_index)
        limit = body.get("max_output_tokens") or len(pieces)
        self._pieces = pieces[:limit]
        self.reason = _REASONS.get("length" if len(pieces) > limit else scenario.finish_reason)
        self.status = "incomplete" if self.reason else "completed"
        self._items: list[_Item] = []
        self._numbers = itertools.count()

    def events(self) -> Iterator[Event]:
        """Yield every event of the stream."""
        yield self._event("response.created", response=self.response("in_progress"))
        yield self._event("response.in_progress", response=self.response("in_progress"))
        if self._scenario.thoughts:
            yield from self._thoughts()
        calls: dict[int, _Item] = {}
        message: _Item | None = None
        for piece in self._pieces:
            if "content" in piece:
                if message is None:
                    message = self._add(_message(), self._said.text)
                    yield from self._begin_message(message)
                yield self._message_event(
                    message, "response.output_text.delta", delta=piece["content"], logprobs=[]
                )
                message.text.append(piece["content"])
                continue
            if message is not None:
                yield from self._end_message(message)
                message = None
            yield from self._call(piece["tool_calls"][0], calls)
        if message is not None:
            yield from self._end_message(message)
        for item in calls.values():
            yield from self._end_call(item)
        yield self._event(f"response.{self.status}", response=self.response(self.status))

    def response(self, status: str, error: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the response object as it stands."""
        body, is_over = self._body, status in ("completed", "incomplete")
        return {
            "id": "resp_test",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": error,
            "incomplete_details": {"reason": self.reason} if status == "incomplete" else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": body.get("model"),
            "output": [item.value for item in self._items] if is_over else [],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "prompt_cache_key": body.get("prompt_cache_key"),
            "reasoning": {"effort": (body.get("reasoning") or {}).get("effort", "medium"), "summary": None},
            "service_tier": body.get("service_tier") or "default",
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": {"format": {"type": "text"}, **(body.get("text") or {})},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools", []),
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": self._usage() if is_over else None,
            "metadata": {},
        }

    def failure(self, fault: FailInside, sequence_number: int) -> Event:
        """Return what a fault says in the middle: an ``error`` event, or ``response.failed``."""
        error = {"code": fault.code or "server_error", "message": fault.message}
        if fault.as_response:
            response = self.response("failed", error)
            return {"type": "response.failed", "sequence_number": sequence_number, "response": response}
        place = {"sequence_number": sequence_number, "param": None}
        return {"type": "error", "code": fault.code, "message": fault.message, **place}

    def _thoughts(self) -> Iterator[Event]:
        item = self._add({"id": f"rs_test{len(self._items)}", "type": "reasoning", "summary": []})
        where = {"item_id": item.value["id"], "output_index": item.index, "summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        yield self._item_event("response.output_item.added", item)
        yield self._event("response.reasoning_summary_part.added", **where, part=part)
        for token in tokens(self._scenario.thoughts):
            yield self._event("response.reasoning_summary_text.delta", **where, delta=token)
        text = self._scenario.thoughts
        yield self._event("response.reasoning_summary_text.done", **where, text=text)
        yield self._event("response.reasoning_summary_part.done", **where, part=part | {"text": text})
        item.value["summary"] = [part | {"text": text}]
        yield self._item_event("response.output_item.done", item)

    def _begin_message(self, item: _Item) -> Iterator[Event]:
        yield self._item_event("response.output_item.added", item)
        yield self._message_event(item, "response.content_part.added", part=_part(""))

    def _end_message(self, item: _Item) -> Iterator[Event]:
        text = "".join(item.text)
        yield self._message_event(item, "response.output_text.done", text=text, logprobs=[])
        yield self._message_event(item, "response.content_part.done", part=_part(text))
        item.value.update(content=[_part(text)], status=item.status(is_cut=self._is_cut_behind(item)))
        yield self._item_event("response.output_item.done", item)

    def _call(self, piece: Mapping[str, Any], calls: dict[int, _Item]) -> Iterator[Event]:
        """One piece of a call of Chat Completions: its name, its arguments, or both."""
        item, function = calls.get(piece["index"]), piece["function"]
        if item is None:
            if not self._scenario.mixes_calls:
                for ended in calls.values():
                    yield from self._end_call(ended)
            item = calls[piece["index"]] = self._add(
                _function_call(piece["id"], function["name"]), self._said.calls[piece["index"]].arguments
            )
            yield self._item_event("response.output_item.added", item)
        if arguments := function["arguments"]:
            where = {"item_id": item.value["id"], "output_index": item.index}
            yield self._event("response.function_call_arguments.delta", **where, delta=arguments)
            item.text.append(arguments)

    def _end_call(self, item: _Item) -> Iterator[Event]:
        if item.value["status"] != "in_progress":
            return
        arguments = "".join(item.text)
        where = {"item_id": item.value["id"], "output_index": item.index}
        yield self._event(
            "response.function_call_arguments.done", **where, name=item.value["name"], arguments=arguments
        )
        item.value.update(arguments=arguments, status=item.status(is_cut=self._is_cut_behind(item)))
        yield self._item_event("response.output_item.done", item)

    def _is_cut_behind(self, item: _Item) -> bool:
        return self.reason is not None and item is self._items[-1]

    def _add(self, value: dict[str, Any], whole: str = "") -> _Item:
        item = _Item(len(self._items), value, whole)
        self._items.append(item)
        return item

    def _item_event(self, kind: str, item: _Item) -> Event:
        return self._event(kind, output_index=item.index, item=dict(item.value))

    def _message_event(self, item: _Item, kind: str, **fields: Any) -> Event:
        where = {"item_id": item.value["id"], "output_index": item.index, "content_index": 0}
        return self._event(kind, **where, **fields)

    def _event(self, kind: str, **fields: Any) -> Event:
        return {"type": kind, "sequence_number": next(self._numbers), **fields}

    def _usage(self) -> dict[str, Any]:
        body = {"messages": chat_messages(self._body), "tools": self._body.get("tools")}
        counted = usage_of(body, len(self._pieces), self._scenario.cached_tokens)
        return {
            "input_tokens": counted["prompt_tokens"],
            "input_tokens_details": {**counted["prompt_tokens_details"], "cache_write_tokens": 0},
            "output_tokens": counted["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": counted["total_tokens"],
        }


def _message() -> dict[str, Any]:
    return {"id": "msg_test", "type": "message", "status": "in_progress", "role": "assistant", "content": []}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _function_call(call_id: str, name: str) -> dict[str, Any]:
    return {
        "id": f"fc_{call_id}",
        "type": "function_call",
        "status": "in_progress",
        "call_id": call_id,
        "name": name,
        "arguments": "",
    }

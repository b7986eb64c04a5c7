"""The history as a language model takes it: whose turn it was, what was heard, which functions were called.

A model takes a call and its answer together, the answer right behind the call; in a history they may lie far
apart, or one of them may be missing. So a call is told where it was made, or where its answer came if
something was said before that, since the model has to go on from there. A call without an answer (the client
has given none yet, or never will) is told with ``NO_ANSWER``; an answer whose call a client has deleted is
left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.items import Item, Kind, Role, Status
from ..providers.base import AnsweredCall, Message

INTERRUPTED = " —"
"""Put behind an answer that was cut off."""
NO_ANSWER = "(There is no answer yet.)"
"""Stands in for what a function has not given back."""
SHORTENED = " … (the rest is left out)"
"""Put behind what a function gave back, if that was too long."""

_STEP = 16
"""Items by which the beginning of the history moves on: a prompt cache survives until it moves."""


def recent(history: Sequence[Item], *, max_items: int, max_chars: int) -> list[Item]:
    """Return the newest items that fit, and what they cannot do without; the beginning moves in steps.

    Never left out: what the system says, what the user said last, and calls whose answer is told.
    """
    left, start = max_chars, len(history)
    while start > max(0, len(history) - max_items):
        left -= _size(history[start - 1], max_chars)
        if left < 0 and start < len(history):
            break
        start -= 1
    if start:
        start = min(-(-start // _STEP) * _STEP, len(history) - 1)
    told_calls = {item.call_id for item in history[start:] if item.call_id}
    question = next((item for item in reversed(history) if item.role is Role.USER and _said(item)), None)
    return [
        item
        for index, item in enumerate(history)
        if index >= start or item.role is Role.SYSTEM or item.call_id in told_calls or item is question
    ]


def messages_from(items: Sequence[Item], *, max_chars: int) -> list[Message]:
    """Return what was said and called, neighbours of one role as one message.

    Of what a function gave back, at most half of ``max_chars`` is told.
    """
    calls = _calls_by_place(items, max_chars)
    messages: list[Message] = []
    is_answered = False  # what is called then was not called together with what has its answer
    for place, item in enumerate(items):
        if call := calls.get(place):
            add(messages, Message(Role.ASSISTANT, "", (call,)), is_apart=is_answered)
        elif text := _said(item):
            is_cut = item.role is Role.ASSISTANT and item.status is Status.INCOMPLETE
            add(messages, Message(item.role, text + INTERRUPTED if is_cut else text))
        elif item.kind is not Kind.FUNCTION_CALL_OUTPUT:
            continue
        is_answered = item.kind is Kind.FUNCTION_CALL_OUTPUT and place not in calls
    return messages


def add(messages: list[Message], message: Message, *, is_apart: bool = False) -> None:
    """Add ``message``, to the last one if both are one: nothing may come between a call and its answer."""
    last = messages[-1] if messages else None
    if last is None or last.role is not message.role or is_apart or (last.calls and message.text):
        messages.append(message)
        return
    gap = "\n\n" if message.role is Role.SYSTEM else " "
    text = gap.join(filter(None, (last.text, message.text)))
    messages[-1] = Message(last.role, text, last.calls + message.calls)


def _calls_by_place(items: Sequence[Item], max_chars: int) -> Mapping[int, AnsweredCall]:
    """Return the calls by the place in ``items`` at which each is told."""
    made = {item.call_id: place for place, item in enumerate(items) if item.kind is Kind.FUNCTION_CALL}
    answered = {
        item.call_id: place for place, item in enumerate(items) if item.kind is Kind.FUNCTION_CALL_OUTPUT
    }
    calls: dict[int, AnsweredCall] = {}
    for call_id, place in made.items():
        call, answer = items[place], answered.get(call_id)
        if not call_id or not call.name:
            continue
        output = NO_ANSWER
        if answer is not None:
            output = _shortened(items[answer].text or "", max_chars // 2)
            if any(item.role is not Role.SYSTEM and _said(item) for item in items[place:answer]):
                place = answer
        calls[place] = AnsweredCall(call_id, call.name, call.arguments or "{}", output)
    return calls


def _said(item: Item) -> str:
    """What was heard of an item."""
    return (item.text or "").strip() if item.kind is Kind.MESSAGE else ""


def _size(item: Item, max_chars: int) -> int:
    """Characters that an item takes."""
    text = item.text or ""
    if item.kind is Kind.FUNCTION_CALL_OUTPUT:
        text = _shortened(text, max_chars // 2)
    return len(text) + len(item.arguments or "")


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(0, most - len(SHORTENED))] + SHORTENED

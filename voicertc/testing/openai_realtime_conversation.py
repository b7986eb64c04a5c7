"""A Realtime session that answers: items, responses in the conversation and out of band, cancel and truncate.

An out-of-band response (``conversation: "none"``) is taken for the reading of a text (the scenario's
``realtime.reader``); one in the conversation for an answer to it (the scenario's ``replies``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..audio.pcm import PLAYOUT_RATE_HZ
from .openai_realtime_ear import Spawn
from .openai_realtime_items import Conversation, InputTokens, Item, client_item, counted
from .openai_realtime_record import CommittedTurn, ReceivedSocket
from .openai_realtime_response import Order, Response
from .openai_realtime_rules import check_response_limits, voice_is_fixed
from .openai_realtime_script import Course, Script
from .openai_realtime_session import TranscriptionSession, heard_item
from .openai_realtime_wire import Wire
from .openai_refusals import RefusedError
from .openai_scenario import Calls, Scenario


class ConversationSession(TranscriptionSession):
    """It hears as a transcription session does, and its turns become items of a conversation."""

    def __init__(
        self,
        wire: Wire,
        scenario: Scenario,
        script: Script,
        record: ReceivedSocket,
        spawn: Spawn,
        session: dict[str, Any],
    ) -> None:
        super().__init__(wire, scenario, script, record, spawn, session)
        self._script = script
        self._conversation = Conversation()
        self._active: dict[str, Response] = {}
        self._n_responses = 0
        self._speaks = False
        self._last_given: dict[bool, InputTokens] = {}
        self._answers |= {
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    def _has_spoken(self) -> bool:
        return self._speaks or any(response.has_sound for response in self._active.values())

    async def _add_turn(self, turn: CommittedTurn, course: Course) -> None:
        item = Item(heard_item(turn.item_id), turn.text, len(turn.samples) * 1000 / PLAYOUT_RATE_HZ)
        previous = self._conversation.add(item)
        await self._announce(turn, item.fields, previous, course)

    async def _create_item(self, event: Mapping[str, Any]) -> None:
        item = client_item(event["item"], self._new_id())
        if item.fields["type"] == "function_call_output" and not self._conversation.calls(
            item.fields["call_id"]
        ):
            message = f"Tool call ID '{item.fields['call_id']}' not found in conversation."
            raise RefusedError(message, code="invalid_tool_call_id", param="item.call_id")
        previous = self._conversation.add(item, event.get("previous_item_id"))
        for kind in ("conversation.item.added", "conversation.item.done"):
            await self._wire.send(kind, item=item.fields, previous_item_id=previous)

    async def _retrieve_item(self, event: Mapping[str, Any]) -> None:
        item = self._conversation.get(event["item_id"], "item_retrieve_invalid_item_id")
        await self._wire.send("conversation.item.retrieved", item=item.fields)

    async def _delete_item(self, event: Mapping[str, Any]) -> None:
        self._conversation.delete(event["item_id"])
        await self._wire.send("conversation.item.deleted", item_id=event["item_id"])

    async def _truncate_item(self, event: Mapping[str, Any]) -> None:
        where = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        self._conversation.truncate(**where)
        await self._wire.send("conversation.item.truncated", **where)

    async def _respond(self, event: Mapping[str, Any]) -> None:
        fields = event.get("response") or {}
        is_aside = fields.get("conversation", "auto") == "none"
        if not is_aside and (running := self._in_conversation()) is not None:
            message = (
                f"Conversation already has an active response in progress: {running.order.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise RefusedError(message, code="conversation_already_has_active_response")
        check_response_limits(fields, "response")
        voice = fields.get("audio", {}).get("output", {}).get("voice")
        if voice not in (None, self._session["audio"]["output"]["voice"]) and self._has_spoken():
            raise voice_is_fixed()
        items = self._given(fields)
        said = self._read(fields, items) if is_aside else self._reply(fields, items)
        order = self._order(fields, items, is_aside=is_aside)
        response = Response(
            self._wire,
            self._scenario,
            self._script.next_response(),
            order,
            None if is_aside else self._conversation,
        )
        self._active[order.id] = response
        self._spawn(self._run(response, said))

    async def _run(self, response: Response, said: Calls) -> None:
        await response.run(said)
        # Done before the last event is sent: the client may answer it with the next response.create.
        del self._active[response.order.id]
        self._speaks = self._speaks or response.has_sound
        await response.end()

    async def _cancel(self, event: Mapping[str, Any]) -> None:
        response_id = event.get("response_id")
        running = self._in_conversation() if response_id is None else self._active.get(response_id)
        if running is None:
            message = "Cancellation failed: no active response found"
            raise RefusedError(message, code="response_cancel_not_active")
        running.cancel()

    def _in_conversation(self) -> Response | None:
        return next((each for each in self._active.values() if not each.is_aside), None)

    def _given(self, fields: Mapping[str, Any]) -> list[Item]:
        """Return what a response is given: its own input, or the conversation."""
        if "input" not in fields:
            return list(self._conversation.items)
        return [
            self._conversation.get(each["id"], "item_reference_invalid_item_id")
            if each["type"] == "item_reference"
            else client_item(each, "item_of_input")
            for each in fields["input"]
        ]

    def _reply(self, fields: Mapping[str, Any], items: list[Item]) -> Calls:
        instructions = fields.get("instructions", self._session["instructions"])
        return self._script.reply(Conversation(items).messages(instructions))

    def _read(self, fields: Mapping[str, Any], items: list[Item]) -> Calls:
        text = items[-1].text() if fields.get("input") else fields.get("instructions", "")
        reading = self._scenario.realtime.reader(text_to_read(text))
        return Calls((), reading) if isinstance(reading, str) else Calls(reading)

    def _order(self, fields: Mapping[str, Any], items: list[Item], *, is_aside: bool) -> Order:
        session, output = self._session, self._session["audio"]["output"]
        instructions = fields.get("instructions", session["instructions"])
        tools = fields.get("tools", session["tools"])
        given = counted(items, instructions, tools)
        last = self._last_given.get(is_aside, InputTokens())
        # Only what is the same at the beginning is cached: out of band that is what comes before the input.
        self._last_given[is_aside] = counted([], instructions, tools) if is_aside else given
        cached = InputTokens(min(last.text, given.text), min(last.audio, given.audio))
        self._n_responses += 1
        return Order(
            id=f"resp_{self._record.connection}_{self._n_responses:04}",
            is_audio=fields.get("output_modalities", session["output_modalities"]) == ["audio"],
            voice=fields.get("audio", {}).get("output", {}).get("voice", output["voice"]),
            speed=output["speed"],
            limit=fields.get("max_output_tokens", session["max_output_tokens"]),
            metadata=fields.get("metadata"),
            given=given,
            cached=cached if self._scenario.realtime.caches else InputTokens(),
        )


def text_to_read(text: str) -> str:
    """Return the JSON string that ends ``text``, or all of it."""
    text = text.strip()
    for start, character in enumerate(text):
        if character == '"':
            try:
                found = json.loads(text[start:])
            except ValueError:
                continue
            return str(found)
    return text

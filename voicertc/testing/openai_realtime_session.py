"""One Realtime session: its configuration, and which client event does what."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .openai_realtime_ear import Ear, Spawn
from .openai_realtime_fields import check_event
from .openai_realtime_record import CommittedTurn, ReceivedSocket
from .openai_realtime_rules import updated
from .openai_realtime_script import Course, Script
from .openai_realtime_wire import Wire
from .openai_refusals import RefusedError
from .openai_scenario import Scenario

_Answer = Callable[[Mapping[str, Any]], Awaitable[None]]


class TranscriptionSession:
    """A session that only hears. The reader of its connection calls ``receive``, one event after another."""

    def __init__(
        self,
        wire: Wire,
        scenario: Scenario,
        script: Script,
        record: ReceivedSocket,
        spawn: Spawn,
        session: dict[str, Any],
    ) -> None:
        self._wire = wire
        self._scenario = scenario
        self._spawn = spawn
        self._session = session
        self._record = record
        self._ids = itertools.count(1)
        self._ear = Ear(wire, scenario, script, record, spawn, self._new_id)
        self._last_item_id: str | None = None
        self._answers: dict[str, _Answer] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
        }

    async def begin(self) -> None:
        """Tell the client what it has been given."""
        await self._wire.send("session.created", session=self._session)

    async def receive(self, event: object) -> None:
        """Do what the client asks, or refuse it."""
        event_id = event.get("event_id") if isinstance(event, dict) else None
        try:
            checked = check_event(event)
            if checked["type"] not in self._answers:
                message = f"'{checked['type']}' is not supported in {self._session['type']} sessions."
                raise RefusedError(message, code="invalid_event", param="type")
            await self._answers[checked["type"]](checked)
        except RefusedError as error:
            await self._wire.refuse(error, event_id)

    def _has_spoken(self) -> bool:
        return False

    def _new_id(self) -> str:
        return f"item_{self._record.connection}_{next(self._ids):04}"

    async def _add_turn(self, turn: CommittedTurn, course: Course) -> None:
        previous, self._last_item_id = self._last_item_id, turn.item_id
        await self._announce(turn, heard_item(turn.item_id), previous, course)

    async def _announce(
        self, turn: CommittedTurn, item: Mapping[str, Any], previous: str | None, course: Course
    ) -> None:
        place = {"previous_item_id": previous}
        await self._wire.send("input_audio_buffer.committed", course, item_id=turn.item_id, **place)
        await self._wire.send("conversation.item.added", course, item=item, **place)
        await self._wire.send("conversation.item.done", course, item=item, **place)

    async def _update(self, event: Mapping[str, Any]) -> None:
        session = updated(
            self._session,
            event["session"],
            has_spoken=self._has_spoken(),
            has_delay=self._scenario.realtime.has_delay,
        )
        if delay := self._scenario.realtime.update_delay:
            self._spawn(self._use_later(session, delay))
        else:
            await self._use(session)

    async def _use_later(self, session: dict[str, Any], delay: float) -> None:
        await asyncio.sleep(delay)
        await self._use(session)

    async def _use(self, session: dict[str, Any]) -> None:
        self._session = session
        self._ear.lose()
        self._ear.transcription = session["audio"]["input"]["transcription"]
        self._ear.turn_detection = session["audio"]["input"]["turn_detection"]
        await self._wire.send("session.updated", session=session)
        self._ear.is_ready = True

    async def _append(self, event: Mapping[str, Any]) -> None:
        await self._ear.append(event["audio"])

    async def _commit(self, event: Mapping[str, Any]) -> None:
        await self._ear.commit(self._add_turn)

    async def _clear(self, event: Mapping[str, Any]) -> None:
        self._ear.clear()
        await self._wire.send("input_audio_buffer.cleared")


def heard_item(item_id: str) -> dict[str, Any]:
    """Return the item of a turn that was heard; its transcript comes later."""
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_audio", "transcript": None}],
    }

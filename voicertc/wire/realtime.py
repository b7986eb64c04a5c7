"""One client's connection: its messages become core events, facts become its messages.

Owned by the endpoint, called by one task, never waits and never raises for anything that a client sends.
Several wires may belong to one session; an ``error`` goes to the one whose client caused it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import assert_never

from ..core import facts
from ..core.events import ClientErred, Origin, SessionUpdated
from ..core.facts import Fact, State
from ..core.items import Item
from ..core.options import SessionOptions
from ..errors import ClientError
from . import own_events as own
from . import server_events as render
from .client_events import Sent, Transport, read_event
from .fields import Fields, identifier, parse_message, record, string, write_message
from .flood import FLOOD_BURST, FLOOD_NOTICE, FLOOD_RATE, TokenBucket
from .item_json import render_item
from .received import Received
from .responses import Responses, ServerEvent
from .session_json import (
    apply_update,
    asks_for_engine,
    asks_for_sounds,
    read_subscriptions,
    render_session,
)

MAX_MESSAGE_BYTES = {"webrtc": 64 * 1024, "websocket": 21 * 1024 * 1024, "sideband": 1024 * 1024}
"""Larger messages are not even parsed. A data channel's limit is the network's; OpenAI's WebSocket takes
15 MiB of audio in one message, which base64 makes 20; without sound it may have as much as a sideband's."""
_WITH_SOUND = ("input_audio_buffer.append", "conversation.item.create")


class RealtimeWire:
    """OpenAI Realtime for one client: ``name`` is the wire's own within the session ``sess_…``.

    ``audio_time`` turns session time into the time of the audio that the client has sent, in seconds.
    """

    def __init__(
        self,
        *,
        name: str,
        session_id: str,
        transport: Transport,
        audio_time: Callable[[float], float] = lambda at: at,
    ) -> None:
        self.name = name
        self._session_id = session_id
        self._transport = transport
        self._part = session_id.rpartition("_")[2]
        self._event_numbers = count(1)
        self._responses = Responses(f"conv_{self._part}")
        self._audio_time = audio_time
        self._bucket = TokenBucket(rate=FLOOD_RATE, burst=FLOOD_BURST)
        self._flood_told_at: float | None = None
        self._updates = _UpdatesUnderWay()
        self._subscriptions: frozenset[str] = frozenset()
        self._shows_sounds = self._shows_engine = False
        self._shows_transcripts = True
        self._state: State | None = None
        self._state_is_due = False

    @property
    def wants_link(self) -> bool:
        """Whether the client wants to know how the call's packets fare."""
        return "voicertc.link" in self._subscriptions

    def opened(self, options: SessionOptions, state: State | None = None) -> list[str]:
        """Return the first messages of the connection; ``state`` is told to a client once it subscribes."""
        self._state = state
        return self._write([self._session("session.created", options)])

    def audio(self, reply_id: str, audio: bytes) -> list[str]:
        """Return what carries a reply's sound, coded as the session has it, to a client without RTP."""
        return self._write(self._responses.audio(reply_id, audio))

    def receive(self, text: str | bytes, options: SessionOptions, now: float) -> list[Received]:
        """Return what one message means: one event, or none if the client floods.

        ``options`` are the session's in force; ``now`` is any monotonic clock's, in seconds. A message that
        makes no sense is a ``ClientErred`` that names the client's own ``event_id`` if it can be read.
        """
        if self._transport == "webrtc" and not self._bucket.take(now):
            return self._flooded(now)
        origin = Origin(self.name)
        try:
            message = parse_message(self._checked(text))
            event_id = message.read("event_id", identifier, absent=None, null=None)
            origin = Origin(self.name, event_id)
            kind = message.need("type", string)
            if len(text) > MAX_MESSAGE_BYTES["sideband"] and kind not in _WITH_SOUND:
                raise _too_large(MAX_MESSAGE_BYTES["sideband"])
            current = self._updates.base(options)
            if kind == "session.update":
                return [self._update(message, current, options, origin)]
            return [read_event(kind, Sent(message, origin, current, self._transport))]
        except ClientError as error:
            return [ClientErred(error.code, error.message, error.param, origin)]

    def render(self, fact: Fact) -> list[str]:
        """Return what this client is told of ``fact``, in order; nothing if it is not its business."""
        return self._write(self._events(fact))

    # --- from the client ------------------------------------------------------------------------

    def _checked(self, text: str | bytes) -> str:
        limit = MAX_MESSAGE_BYTES[self._transport]
        if isinstance(text, bytes):
            raise ClientError("Messages must be text, not binary.", code="invalid_message")
        # ASCII, as sound is, is not encoded to be measured; nor is what is too long anyway.
        is_measured = text.isascii() or len(text) > limit
        if (len(text) if is_measured else len(text.encode("utf-8", "surrogatepass"))) > limit:
            raise _too_large(limit)
        return text

    def _flooded(self, now: float) -> list[Received]:
        told_at = self._flood_told_at
        if told_at is not None and now - told_at < FLOOD_NOTICE:
            return []
        self._flood_told_at = now
        message = "Too many messages; some have been dropped. Send fewer."
        return [ClientErred("rate_limit_exceeded", message, origin=Origin(self.name))]

    def _update(
        self, message: Fields, current: SessionOptions, in_force: SessionOptions, origin: Origin
    ) -> Received:
        session = message.need("session", record)
        merged = apply_update(current, session)
        wanted = read_subscriptions(session)
        if wanted is not None:
            self._state_is_due |= "voicertc.state" in wanted - self._subscriptions
            self._subscriptions = wanted
        self._shows_sounds |= asks_for_sounds(session)
        self._shows_engine |= asks_for_engine(session)
        self._updates.add(merged, in_force)
        return SessionUpdated(merged, origin)

    # --- to the client --------------------------------------------------------------------------

    def _events(self, fact: Fact) -> list[ServerEvent]:
        # Longer than a function should be, so that mypy can check that no fact is forgotten.
        match fact:
            case facts.StateChanged():
                return self._state_changed(fact)
            case facts.SessionChanged():
                return self._session_changed(fact)
            case facts.TurnStarted():
                return [render.turn_started(fact, self._audio_time)]
            case facts.TurnStopped():
                return [render.turn_stopped(fact, self._audio_time)]
            case facts.TurnTimedOut():
                return [render.turn_timed_out(fact, self._audio_time)]
            case facts.TurnCommitted():
                return [render.turn_committed(fact)]
            case facts.InputCleared():
                return [{"type": "input_audio_buffer.cleared"}]
            case facts.ItemAdded(item, previous_item_id):
                return [self._item("conversation.item.added", item, previous_item_id=previous_item_id)]
            case facts.ItemDone(item, previous_item_id):
                return [self._item("conversation.item.done", item, previous_item_id=previous_item_id)]
            case facts.ItemDeleted(item_id):
                return [{"type": "conversation.item.deleted", "item_id": item_id}]
            case facts.ItemRetrieved(item, origin):
                return [self._item("conversation.item.retrieved", item)] if self._is_mine(origin) else []
            case facts.ItemTruncated():
                # Who plays at its own pace says itself what it has played, and waits for this as the answer.
                is_answer = fact.origin is not None or self._transport != "websocket"
                return [render.item_truncated(fact)] if is_answer else []
            case facts.InterimHeard():
                return self._own(own.interim(fact)) if self._shows_transcripts else []
            case facts.FinalHeard():
                return self._final_heard(fact) if self._shows_transcripts else []
            case facts.HearingFailed():
                return [render.hearing_failed(fact)] if self._shows_transcripts else []
            case facts.ReplyBegan():
                return self._responses.began(fact)
            case facts.ReplyItemBegan():
                return self._responses.item_began(fact)
            case facts.ReplyTextGrew():
                return self._responses.text_grew(fact)
            case facts.ReplyItemEnded():
                return self._responses.item_ended(fact)
            case facts.ReplyEnded():
                return self._responses.ended(fact)
            case facts.PlayoutStarted(reply_id):
                return self._playout("started", reply_id)
            case facts.PlayoutStopped(reply_id):
                return self._playout("stopped", reply_id)
            case facts.PlayoutCleared(reply_id):
                return self._playout("cleared", reply_id)
            case facts.Refused():
                return [render.refused(fact)] if self._is_mine(fact.origin) else []
            case facts.CallEnding():
                return self._own(own.call_ending(fact))
            case facts.TurnMeasured():
                return self._own(own.metrics(fact))
            case facts.HandedOff():
                return self._own(own.handoff(fact))
            case facts.ToolProgressed():
                return self._own(own.tool(fact))
            case facts.LinkMeasured():
                return self._own(own.link(fact))
            case facts.UsageAdded():
                return self._own(own.usage(fact))
            case _:
                assert_never(fact)

    def _state_changed(self, fact: facts.StateChanged) -> list[ServerEvent]:
        self._state = fact.state
        self._state_is_due = False
        return self._own(own.state(fact))

    def _session_changed(self, fact: facts.SessionChanged) -> list[ServerEvent]:
        shown = [self._session("session.updated", fact.options)]
        if self._state_is_due and self._state is not None and self._is_mine(fact.origin):
            # Who subscribes wants to know where things stand, not only where they go.
            shown += self._state_changed(facts.StateChanged(self._state))
        return shown

    def _final_heard(self, fact: facts.FinalHeard) -> list[ServerEvent]:
        return render.final_heard(fact) + self._own(own.transcript(fact, self._audio_time))

    def _session(self, kind: str, options: SessionOptions) -> ServerEvent:
        self._shows_transcripts = options.transcription_model is not None
        self._responses.audio_format = options.output_format
        # Who follows our own events is told as well that a speech-to-speech service has been replaced.
        self._shows_engine |= bool(self._subscriptions) and options.answers_sound
        shown = render_session(
            options,
            self._session_id,
            self._subscriptions,
            shows_sounds=self._shows_sounds,
            shows_engine=self._shows_engine,
        )
        return {"type": kind, "session": shown}

    def _item(self, kind: str, item: Item, **fields: object) -> ServerEvent:
        return {"type": kind, **fields, "item": render_item(item, shows_transcripts=self._shows_transcripts)}

    def _playout(self, what: str, reply_id: str) -> list[ServerEvent]:
        if self._transport == "websocket":
            return []
        return [{"type": f"output_audio_buffer.{what}", "response_id": reply_id}]

    def _own(self, event: ServerEvent) -> list[ServerEvent]:
        return [event] if event["type"] in self._subscriptions else []

    def _is_mine(self, origin: Origin | None) -> bool:
        return origin is not None and origin.wire == self.name

    def _write(self, events: Iterable[ServerEvent]) -> list[str]:
        return [
            write_message({"event_id": f"event_{self._part}_{next(self._event_numbers)}"} | event)
            for event in events
        ]


def _too_large(limit: int) -> ClientError:
    return ClientError(f"A message may have {limit} bytes at most.", code="message_too_large")


class _UpdatesUnderWay:
    """What a client has asked its session to be, until the core has taken it.

    Two updates in quick succession are both read before the first is in force; merging the second into the
    options in force would lose the first.
    """

    def __init__(self) -> None:
        self._merged: deque[SessionOptions] = deque(maxlen=64)
        self._last_in_force: SessionOptions | None = None

    def base(self, in_force: SessionOptions) -> SessionOptions:
        """Return the options that the client must believe to be in force, or soon to be."""
        for n_taken, merged in enumerate(self._merged, start=1):
            if merged is in_force:
                for _ in range(n_taken):
                    self._merged.popleft()
                self._last_in_force = in_force
                break
        if in_force is not self._last_in_force:
            self._merged.clear()  # somebody else has changed the session since
        return self._merged[-1] if self._merged else in_force

    def add(self, merged: SessionOptions, in_force: SessionOptions) -> None:
        """Remember an update that was made while ``in_force`` were the session's options."""
        self._merged.append(merged)
        self._last_in_force = in_force

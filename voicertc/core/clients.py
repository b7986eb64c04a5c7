"""What clients may ask of a conversation, and how they are told that they may not.

Items are put into the history and taken out of it here; who may speak is the ``Floor``'s to decide.
"""

from __future__ import annotations

from dataclasses import replace

from . import events, facts
from .events import Event, Origin
from .floor import Floor
from .items import Item, Items, Kind, Modality, Role
from .options import ConversationOptions
from .outbox import Outbox
from .replies import Cause, ReplyRequest

_MIN_INPUT = 0.1
"""Seconds since the last commit without which there is nothing to commit (OpenAI's own limit)."""
_QUIET_TURN = 1.0
"""Seconds that are listened to at most where a client commits what was no speech to our ears."""


class ClientDoor:
    """Checks what clients ask and has it done. Owned by the ``Conversation``."""

    def __init__(
        self, options: ConversationOptions, floor: Floor, items: Items, out: Outbox, *, id_prefix: str
    ) -> None:
        self._options = options
        self._floor = floor
        self._items = items
        self._out = out
        self._id_prefix = id_prefix
        self._count = 0
        self._input_since = 0.0

    def handle(self, event: Event) -> None:
        """Take a client's event; any other changes nothing."""
        match event:
            case events.SessionUpdated(options, origin):
                self._out.publish(facts.SessionChanged(options, origin))
                self._floor.session_updated(options)
            case events.ItemSubmitted():
                self._submit(event)
            case events.ItemDeleteRequested():
                self._delete(event)
            case events.ItemRetrieveRequested():
                self._retrieve(event)
            case events.ItemTruncateRequested():
                self._truncate(event)
            case events.ResponseRequested():
                self._request_reply(event)
            case events.ResponseCancelRequested():
                self._cancel_reply(event)
            case events.OutputClearRequested():
                self._floor.silence("client_cancelled")
            case events.InputCommitRequested(origin):
                if not self._commit_input():
                    why = "Nothing has been said since the last commit."
                    self._refuse("input_audio_buffer_commit_empty", why, origin)
            case events.InputClearRequested():
                self._input_since = self._floor.now
                self._out.publish(facts.InputCleared())
                self._floor.listen_afresh()
            case events.ClientErred(code, message, param, origin):
                self._refuse(code, message, origin, param)

    # --- items ----------------------------------------------------------------------------------

    def _submit(self, event: events.ItemSubmitted) -> None:
        item, after = event.item, event.previous_item_id
        if not item.id:
            item = replace(item, id=self._new_id())
        if self._is_taken(item.id):
            why = f"There is an item {item.id} already."
            self._refuse("item_already_exists", why, event.origin, "item.id")
            return
        if after not in (None, "root") and after not in self._items:
            why = f"There is no item {after} to put it behind."
            self._refuse("item_not_found", why, event.origin, "previous_item_id")
            return
        if item.kind is Kind.FUNCTION_CALL_OUTPUT and not self._is_called(item.call_id):
            why = f"There is no function call {item.call_id} in the conversation."
            self._refuse("invalid_tool_call_id", why, event.origin, "item.call_id")
            return
        if item.is_unheard_speech and self._floor.listening.n_recordings >= self._options.max_recordings:
            why = f"There may be {self._options.max_recordings} recordings at once whose words are due."
            self._refuse("too_many_recordings", why, event.origin, "item.content")
            return
        previous = self._items.last_id if after is None else None if after == "root" else after
        self._items.insert_after(previous, item)
        if item.role is Role.USER:
            self._floor.greet_no_more()
        self._out.publish(facts.ItemAdded(item, previous))
        self._out.publish(facts.ItemDone(item, previous))
        if item.is_unheard_speech:
            timing = self._options.endpointing
            patience = timing.final_timeout + timing.max_turn  # it was not listened to while it was said
            self._floor.listening.await_words(item.id, self._floor.now, self._floor.now + patience)

    def _delete(self, event: events.ItemDeleteRequested) -> None:
        if self._find(event.item_id, event.origin):
            self._items.remove(event.item_id)
            self._out.publish(facts.ItemDeleted(event.item_id))

    def _retrieve(self, event: events.ItemRetrieveRequested) -> None:
        if item := self._find(event.item_id, event.origin):
            self._out.publish(facts.ItemRetrieved(item, event.origin))

    def _truncate(self, event: events.ItemTruncateRequested) -> None:
        """Cut an item to what its client played. One that plays at its own pace plays no more of it."""
        is_client_paced = self._options.is_client_paced
        refusal = self._floor.replying.truncate(event, is_client_paced=is_client_paced)
        if refusal and event.item_id not in self._items:
            self._refuse("item_not_found", refusal, event.origin, "item_id")
        elif refusal:
            self._refuse("invalid_value", refusal, event.origin, "audio_end_ms")
        else:
            self._floor.sound_ended()

    # --- replies --------------------------------------------------------------------------------

    def _request_reply(self, event: events.ResponseRequested) -> None:
        request = self._resolve(event)
        if request is None:
            return
        if request.is_aside:
            if not self._begin_aside(request):
                why = f"There may be {self._options.max_asides} responses outside the conversation at once."
                self._refuse("too_many_responses", why, event.origin)
        elif self._floor.agenda.asked is not None or (self._is_answering and not event.waits):
            why = "A response is already in progress; wait for response.done or cancel it."
            self._refuse("conversation_already_has_active_response", why, event.origin)
        else:
            self._floor.greet_no_more()
            self._floor.agenda.asked = request

    @property
    def _is_answering(self) -> bool:
        """Whether a reply is in progress that clients know of.

        What the server says of itself, a greeting or a timer's words, is no reason to refuse them theirs.
        """
        live = self._floor.replying.live
        is_answer = live is not None and live.request.cause in (Cause.TURN, Cause.CLIENT, Cause.IDLE)
        return is_answer and self._floor.replying.is_in_progress

    def _begin_aside(self, request: ReplyRequest) -> bool:
        """A written aside is begun at once; to be said it needs the floor like any other reply."""
        floor = self._floor
        if floor.replying.n_asides + len(floor.agenda.asides) >= self._options.max_asides:
            return False
        if request.output is Modality.TEXT:
            floor.replying.start(request, floor.now)
        else:
            floor.agenda.asides.append(request)
        return True

    def _cancel_reply(self, event: events.ResponseCancelRequested) -> None:
        """Cancel the conversation's reply, or the one asked for and not begun; an aside only by its name."""
        floor, reply_id = self._floor, event.reply_id
        live, asked = floor.replying.live, floor.agenda.asked
        if reply_id is not None and floor.replying.cancel_aside(reply_id, "client_cancelled"):
            return
        is_named = live is not None and not live.is_ended and live.id == reply_id
        if is_named or (reply_id is None and floor.replying.is_in_progress):
            floor.silence("client_cancelled")
        elif asked and reply_id is None:
            floor.agenda.asked = None
            floor.replying.decline(asked, floor.now)
        else:
            why = "There is no such response to cancel."
            self._refuse("response_cancel_not_active", why, event.origin)

    def _resolve(self, event: events.ResponseRequested) -> ReplyRequest | None:
        """Return the request with the items that its input refers to; ``None`` if one is not there."""
        given = event.request.input
        if given is None:
            return event.request
        items: list[Item] = []
        for item in given:
            found = self._items.get(item.id) if item.kind is Kind.ITEM_REFERENCE else item
            if found is None:
                why = f"There is no item {item.id}."
                self._refuse("item_not_found", why, event.origin, "response.input")
                return None
            items.append(found)
        return replace(event.request, input=tuple(items))

    # --- what was said --------------------------------------------------------------------------

    def _commit_input(self) -> bool:
        """End the turn; return whether there was one."""
        floor, detection = self._floor, self._floor.session.turn_detection
        listening = floor.listening
        pieces = listening.release()
        if detection is None and not pieces and not listening.turn:
            self._open_quiet_turn()
        self._input_since = floor.now
        turn = listening.turn
        for piece in pieces:
            listening.announce(piece, None)
            listening.commit(piece, piece.last_speech_at, None)
            if piece.result:
                floor.conclude(piece, piece.result)
        if turn:
            turn.is_withheld = False
            if detection is None:
                listening.announce(turn, None)
            elif not turn.is_published:
                floor.barge_in(turn)
            turn.is_speaking = False
            turn.last_speech_at = max(turn.last_speech_at, floor.now)
            floor.end_turn()
            if listening.is_voice_on:
                floor.speech_started(floor.now, continues=True)
        return bool(turn or pieces)

    def _open_quiet_turn(self) -> None:
        """No speech was found in what a client commits, but it may know better than our ears."""
        now = self._floor.now
        if now - self._input_since >= _MIN_INPUT:
            begin = max(self._input_since, now - _QUIET_TURN)
            self._floor.listening.open(begin, None, continues=True).is_speaking = False

    # --- within ---------------------------------------------------------------------------------

    def _refuse(self, code: str, message: str, origin: Origin | None, param: str | None = None) -> None:
        """Tell the client that caused it, and nobody else."""
        self._out.publish(facts.Refused(code, message, param, origin))

    def _find(self, item_id: str, origin: Origin | None) -> Item | None:
        item = self._items.get(item_id)
        if item is None:
            self._refuse("item_not_found", f"There is no item {item_id}.", origin, "item_id")
        return item

    def _is_taken(self, item_id: str) -> bool:
        """Whether there is such an item, or one is to come."""
        floor = self._floor
        is_to_come = floor.listening.claims_id(item_id) or floor.replying.claims_id(item_id)
        return is_to_come or item_id in self._items

    def _is_called(self, call_id: str | None) -> bool:
        return any(item.kind is Kind.FUNCTION_CALL and item.call_id == call_id for item in self._items)

    def _new_id(self) -> str:
        while True:
            self._count += 1
            item_id = f"item_{self._id_prefix}c{self._count}"
            if item_id not in self._items:
                return item_id

"""Plays made of choices: a world that answers every command plausibly, at whatever moment chance picks.

``test_properties`` feeds events that mostly fit nothing; here each choice is one of those that a real session
could make next, so that a play gets deep: replies begin, are held, cancelled and truncated, tools are called
and answered, turns end and are taken back. After each step the ``Onlooker`` checks what clients were told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from voicertc.core import commands, events
from voicertc.core.conversation import Conversation
from voicertc.core.events import Event
from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.core.options import (
    ConversationOptions,
    EndpointingOptions,
    NoiseReduction,
    Phrases,
    SessionOptions,
    TurnDetection,
)
from voicertc.core.replies import Cause, ReplyRequest, Usage

from .onlooker import Onlooker

SAMPLES = 24_000
"""Of every clause: a second."""
DETECTIONS = (
    TurnDetection(),
    TurnDetection(idle_timeout=5.0),
    TurnDetection(type="semantic_vad"),
    TurnDetection(interrupt_response=False),
    TurnDetection(create_response=False),
    None,
)

Act = Callable[[], None]


@dataclass(slots=True)
class Making:
    """How far engine and playout have come with one reply."""

    request: ReplyRequest
    n_queued: int = 0
    n_voiced: int = 0
    n_begun: int = 0
    is_made: bool = False
    is_held: bool = False

    @property
    def is_spoken(self) -> bool:
        return self.request.output is Modality.AUDIO


class Theatre:
    """One conversation and all that is around it; ``choose(number)`` makes one of the possible next steps."""

    def __init__(self, *, is_client_paced: bool, is_transcription: bool = False) -> None:
        options = ConversationOptions(
            endpointing=EndpointingOptions(eager_silence=0.15),
            phrases=Phrases(greeting="Hello."),
            is_client_paced=is_client_paced,
        )
        session = SessionOptions(is_transcription=is_transcription)
        self.conversation = Conversation(options, session)
        self.onlooker = Onlooker(self.conversation, is_client_paced=is_client_paced)
        self.now = 0.0
        self.script: list[tuple[float, Event]] = []
        self._is_client_paced = is_client_paced
        self._making: dict[str, Making] = {}
        self._due: list[str] = []  # turns whose words are due
        self._open: str | None = None
        self._guessed: str | None = None
        self._is_speaking = False
        self._is_away = False
        self._n_items = 0
        self._n_asked = 0
        # The services do most of what happens.
        few = (self._asks, self._client, self._circumstances)
        self._kinds = (*few, *([self._user] * 2), *([self._services] * 4))
        self.post(events.CallConnected())

    # --- one step -----------------------------------------------------------------------------------

    def choose(self, number: int) -> None:
        """Let a little time pass and make one of the steps that are possible now."""
        self.now += (0.0, 0.02, 0.15, 0.45, 1.1, 3.0)[number % 6]
        kind = self._kinds[number // 6 % len(self._kinds)]
        acts = kind() or self._circumstances()
        acts[number // 6 // len(self._kinds) % len(acts)]()

    def post(self, event: Event) -> None:
        """Have an event handled, and what its commands lead to at once."""
        waiting = [event]
        while waiting:
            happened = waiting.pop(0)
            self.script.append((self.now, happened))
            ordered = self.conversation.handle(happened, self.now)
            self.onlooker.watch(ordered)
            is_jump = isinstance(happened, events.ClockAdvanced)
            for command in ordered:
                is_given_up = isinstance(command, commands.DropTurn)
                assert not (is_jump and is_given_up), "services are waited for no less because time jumped"
                waiting[:0] = self._execute(command)
        self.onlooker.look()
        deadline = self.conversation.next_deadline()
        assert deadline is None or deadline > self.now, "no deadline is left behind"

    def settle(self) -> None:
        """Let everything that was begun come to its end, with a friendly client and quick services."""
        self.post(events.SessionUpdated(self._session(TurnDetection())))
        self._if_away()
        self._fall_silent()
        for _ in range(400):
            if not (acts := self._services()):
                if (deadline := self.conversation.next_deadline()) is None:
                    return
                self.now = deadline
                self.post(events.TimeElapsed())
                continue
            self.now += 0.05
            acts[0]()
        raise AssertionError("the play does not end")

    def _execute(self, command: commands.Command) -> list[Event]:
        match command:
            case commands.OpenTurn(item_id):
                self._open = item_id
            case commands.GuessTurn(item_id):
                self._guessed = item_id
            case commands.CloseTurn(item_id):
                self._due.append(item_id)
                self._open = None if self._open == item_id else self._open
            case commands.DropTurn(item_id):
                self._due = [due for due in self._due if due != item_id]
                self._open = None if self._open == item_id else self._open
            case commands.Recognize(item_id):
                self._due.append(item_id)
            case commands.StartReply(reply_id, request):
                self._making[reply_id] = Making(request)
            case commands.CancelReply(reply_id):
                made = self._making.pop(reply_id, None)
                heard = max(0, made.n_begun * SAMPLES - SAMPLES // 3) if made else 0
                return [events.ReplyStopped(reply_id, heard, made.n_queued * SAMPLES if made else 0)]
            case commands.HoldReply(reply_id) if reply_id in self._making:
                made = self._making[reply_id]
                made.is_held = not (self._is_client_paced and made.n_begun)
            case commands.ResumeReply(reply_id) if reply_id in self._making:
                made = self._making[reply_id]
                made.is_held = False
                if self._is_client_paced:
                    begun, made.n_begun = made.n_begun, made.n_queued
                    return [events.ClauseBegan(reply_id, index) for index in range(begun, made.n_queued)]
        return []

    # --- what may happen next -----------------------------------------------------------------------

    def _user(self) -> list[Act]:
        if self._is_away:
            return []
        if self._is_speaking:
            return [self._fall_silent]
        return [
            self._begin_to_speak,
            self._begin_to_speak,
            lambda: self.post(events.SpeechSuspected(self.now - 0.03)),
            lambda: self.post(events.SpeechStopped(self.now - 0.1)),
        ]

    def _begin_to_speak(self) -> None:
        self._is_speaking = True
        self.post(events.SpeechStarted(max(0.0, self.now - 0.07)))

    def _fall_silent(self) -> None:
        if self._is_speaking:
            self._is_speaking = False
            self.post(events.SpeechStopped(self.now - 0.1))

    def _services(self) -> list[Act]:
        acts: list[Act] = []
        if self._guessed:
            acts.append(lambda: self._guess("one two three"))
            acts.append(lambda: self._guess("one two"))
        for item_id in self._due:
            acts.append(lambda item_id=item_id: self._recognize(item_id, "one two three"))
            acts.append(lambda item_id=item_id: self._recognize(item_id, ""))
            acts.append(lambda item_id=item_id: self._recognize(item_id, None))
        for reply_id, made in self._making.items():
            acts += self._engine(reply_id, made) if not made.is_made else []
            acts += self._playout(reply_id, made) if made.is_spoken else []
        return acts

    def _recognize(self, item_id: str, text: str | None) -> None:
        self._due.remove(item_id)
        if text is None:
            self.post(events.TranscriptFailed(item_id, "crashed", "gone"))
        else:
            self.post(events.TranscriptFinal(item_id, text, 0.9, None, 1.0))

    def _guess(self, text: str) -> None:
        item_id, self._guessed = self._guessed or "", None
        self.post(events.WordsGuessed(item_id, text))

    def _engine(self, reply_id: str, made: Making) -> list[Act]:
        def go_on() -> None:
            if not made.is_spoken:
                made.n_queued += 1
                self.post(events.ReplyTextAdded(reply_id, f" Words {made.n_queued}."))
            elif made.n_voiced < made.n_queued:
                made.n_voiced += 1
                start = (made.n_voiced - 1) * SAMPLES
                self.post(events.ClauseVoiced(reply_id, made.n_voiced - 1, start, SAMPLES))
            else:
                made.n_queued += 1
                self.post(events.ClauseQueued(reply_id, made.n_queued - 1, f" Words {made.n_queued}."))
                self._begin_clauses(reply_id, made)

        def end(event: Event) -> None:
            is_whole = made.is_spoken and isinstance(event, events.ReplyGenerated)
            while is_whole and made.n_voiced < made.n_queued:
                go_on()
            made.is_made = True
            if not made.is_spoken or not made.n_queued:
                self._making.pop(reply_id, None)
            self.post(event)

        failed = events.ReplyFailed(reply_id, "provider_error", "gone", made.n_voiced * SAMPLES)
        return [
            lambda: end(events.ReplyGenerated(reply_id)),
            go_on,
            go_on,
            lambda: end(failed),
            lambda: end(events.ReplyGenerated(reply_id, "max_output_tokens")),
            lambda: self.post(events.ToolCalled(reply_id, "weather", '{"city": "Paris"}')),
            lambda: self.post(events.UsageCounted(reply_id, Usage(3, 2, 1))),
        ]

    def _begin_clauses(self, reply_id: str, made: Making) -> None:
        """What a client paces has left as soon as it is made."""
        while self._is_client_paced and not made.is_held and self._making.get(reply_id) is made:
            if made.n_begun == made.n_queued:
                return
            made.n_begun += 1
            self.post(events.ClauseBegan(reply_id, made.n_begun - 1))

    def _playout(self, reply_id: str, made: Making) -> list[Act]:
        def begin() -> None:
            made.n_begun += 1
            self.post(events.ClauseBegan(reply_id, made.n_begun - 1))

        def drain() -> None:
            del self._making[reply_id]
            self.post(events.PlayoutDrained(reply_id))

        if made.is_held:
            return []
        if made.n_begun < made.n_queued:
            return [begin]
        return [drain] if made.is_made and made.n_queued else []

    def _asks(self) -> list[Act]:
        if self.conversation.session.is_transcription:
            return []  # the wire refuses them
        known = [item.id for item in self.conversation.items]
        referred = [Item(item_id, kind=Kind.ITEM_REFERENCE) for item_id in known[:1]]
        return [
            self._ask,
            lambda: self._ask(is_aside=True, output=Modality.TEXT),
            lambda: self._ask(is_aside=True),
            lambda: self._ask(output=Modality.TEXT),
            lambda: self._ask(input=tuple(referred)),
            lambda: self._ask(waits=True),
        ]

    def _client(self) -> list[Act]:
        replies = [*self._making, "resp_1"]
        calls = [item.call_id for item in self.conversation.items if item.kind is Kind.FUNCTION_CALL]
        spoken = [item.id for item in self.conversation.items if item.role is Role.ASSISTANT]
        known = [item.id for item in self.conversation.items]
        acts: list[Act] = [
            lambda: self.post(events.ResponseCancelRequested()),
            lambda: self.post(events.ResponseCancelRequested(replies[0])),
            lambda: self.post(events.ResponseCancelRequested(replies[-2] if len(replies) > 1 else "x")),
            lambda: self.post(events.OutputClearRequested()),
            lambda: self.post(events.InputCommitRequested()),
            lambda: self.post(events.InputClearRequested()),
            lambda: self._submit(Item("", Role.USER, "typed")),
            lambda: self._submit(Item("", Role.USER, None, modality=Modality.AUDIO)),
        ]
        for detection in DETECTIONS:
            acts.append(lambda d=detection: self.post(events.SessionUpdated(self._session(d))))
        if calls:
            output = Item("", Role.USER, "21", Kind.FUNCTION_CALL_OUTPUT, call_id=calls[-1])
            acts += [lambda: self._submit(output)] * 2
        if spoken:
            for milliseconds in (0, 400, 1600):
                acts.append(lambda ms=milliseconds: self._truncate(spoken[-1], ms))
            acts.append(lambda: self._truncate(spoken[max(0, len(spoken) - 2)], 700))
        if known:
            acts.append(lambda: self.post(events.ItemDeleteRequested(known[-1])))
        return acts

    def _ask(self, *, waits: bool = False, **fields: object) -> None:
        self._n_asked += 1
        number = (("number", str(self._n_asked)),)
        request = ReplyRequest(Cause.CLIENT, metadata=number, **fields)  # type: ignore[arg-type]
        n_refused = self.onlooker.n_refused
        self.post(events.ResponseRequested(request, waits=waits))
        if self.onlooker.n_refused == n_refused:
            self.onlooker.asked(request)

    def _submit(self, item: Item) -> None:
        self._n_items += 1
        self.post(events.ItemSubmitted(replace(item, id=f"mine_{self._n_items}")))

    def _truncate(self, item_id: str, milliseconds: int) -> None:
        self.post(events.ItemTruncateRequested(item_id, milliseconds))

    def _session(self, detection: TurnDetection | None) -> SessionOptions:
        session = self.conversation.session
        return SessionOptions(
            turn_detection=detection,
            is_transcription=session.is_transcription,
            noise_reduction=NoiseReduction(),
        )

    def _circumstances(self) -> list[Act]:
        def wait() -> None:
            self.now = max(self.now, self.conversation.next_deadline() or self.now + 1.0)
            self.post(events.TimeElapsed())

        def go_away() -> None:
            self._is_away = True
            self._is_speaking = False
            self.post(events.ClientAway())

        def advance() -> None:
            self.post(events.TimeElapsed())  # what is due by now is not lost by the jump
            self.now += 4.0
            self.post(events.ClockAdvanced(4.0))

        return [
            wait,
            wait,
            wait,
            advance,
            self._if_away if self._is_away else go_away,
            lambda: self.post(events.SayRequested("Your timer is up.", Cause.TIMER)),
        ]

    def _if_away(self) -> None:
        if self._is_away:
            self._is_away = False
            self.post(events.ClientBack())

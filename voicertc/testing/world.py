"""A conversation on a virtual clock: a test is a screenplay.

    world = World(agent=lambda text: f"You said {text}.")
    world.user_says(1.0, "hello", lasts=0.8)
    world.run(until=10.0)
    assert world.history == [("user", "hello"), ("assistant", "You said hello.")]

The ``World`` turns the core's commands into later events the way a real session does: speech is detected with
a lag, recognizers and agents take their time, playout sends clause after clause and can be held; or, with
``ConversationOptions(is_client_paced=True)``, hands all over at once and cannot. Nothing waits: an hour of
conversation takes a fraction of a second.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..core import commands, events
from ..core.clauses import ClauseSplitter
from ..core.commands import Command
from ..core.conversation import Conversation
from ..core.events import Event
from ..core.facts import Fact
from ..core.items import Item, Modality, Role
from ..core.journal import entry_line, header_line
from ..core.options import ConversationOptions, SessionOptions
from ..core.replies import CutShort, ReplyRequest, ToolCall, Usage
from .simulated_playout import SAMPLES_PER_SECOND, SimulatedPlayout

SAMPLES_PER_CHARACTER = 1_600
"""The simulated voice speaks 15 characters a second."""

Answer = str | Exception | Sequence[str | ToolCall | Usage | CutShort | Exception | float]
"""What a simulated agent gives: text, a failure, or pieces in their order; a number is seconds of thought."""

_F = TypeVar("_F", bound=Fact)


@dataclass(frozen=True, slots=True)
class Delays:
    """How long the simulated services take, in seconds."""

    detection: float = 0.07
    """From the first speech frame to its detection."""
    hangover: float = 0.1
    """From the last speech frame to the detection of silence."""
    final: float = 0.15
    """From the end of a turn to its words."""
    agent: float = 0.2
    """From a request to the agent's text."""
    voice: float = 0.1
    """From a clause to its first sound."""
    filler: float = 0.02
    """From the order for a filler to its first sound: it is voiced beforehand."""


@dataclass(frozen=True, slots=True)
class _Voiced:
    """A clause's sound is there, all of it."""

    reply_id: str
    text: str
    is_filler: bool = False


@dataclass(slots=True)
class _Utterance:
    begins: float
    ends: float
    text: str
    confidence: float | None


class World:
    """All around a ``Conversation``, simulated; ``log`` has what it ordered, ``journal`` the lines."""

    def __init__(
        self,
        options: ConversationOptions | None = None,
        session: SessionOptions | None = None,
        *,
        agent: Callable[[str], Answer] = lambda text: f"You said {text}.",
        delays: Delays | None = None,
        is_recognizer_up: Callable[[], bool] = lambda: True,
    ) -> None:
        self.conversation = Conversation(options, session)
        self.now = 0.0
        self.log: list[tuple[float, Command]] = []
        self.journal = [header_line("test", self.conversation, "")]
        self.audible: list[tuple[float, float]] = []
        """When clauses could be heard, from their first sample to the last that left, in order."""
        self._agent = agent
        self._delays = delays or Delays()
        self._is_recognizer_up = is_recognizer_up
        self._agenda: list[tuple[float, int, Event | _Voiced]] = []
        self._n_scheduled = 0
        self._utterances: list[_Utterance] = []
        self._turns: dict[str, float] = {}
        self._guesses: dict[str, float] = {}
        self._playouts: list[SimulatedPlayout] = []
        self._recordings: dict[str, str] = {}
        self.at(0.0, events.CallConnected())

    # --- the screenplay -------------------------------------------------------------------------

    def at(self, when: float, event: Event | _Voiced) -> None:
        """Let ``event`` happen at ``when``."""
        self._n_scheduled += 1
        heapq.heappush(self._agenda, (when, self._n_scheduled, event))

    def user_says(
        self, when: float, text: str, *, lasts: float = 1.0, confidence: float | None = None
    ) -> None:
        """Let the user speak from ``when`` on, for ``lasts`` seconds."""
        self._utterances.append(_Utterance(when, when + lasts, text, confidence))
        self.at(when + self._delays.detection, events.SpeechStarted(when))
        self.at(when + lasts + self._delays.hangover, events.SpeechStopped(when + lasts))

    def client_records(self, when: float, item_id: str, text: str) -> None:
        """Let a client submit recorded speech, as an item."""
        self._recordings[item_id] = text
        self.at(when, events.ItemSubmitted(Item(item_id, Role.USER, modality=Modality.AUDIO)))

    def run(self, until: float) -> None:
        """Let time pass, from event to event."""
        while (when := self._next_time()) is not None and when <= until:
            self._pass_time(max(self.now, when))
            if self._agenda and self._agenda[0][0] <= self.now:
                self._happen(heapq.heappop(self._agenda)[2])
            elif playout := self._playout_in_motion():
                self._move(playout)
            else:
                self._handle(events.TimeElapsed())
        self._pass_time(max(self.now, until))

    # --- what came of it ------------------------------------------------------------------------

    @property
    def history(self) -> list[tuple[str, str]]:
        """``(role, text)`` of all items, oldest first."""
        return [(item.role.value, item.text or "") for item in self.conversation.items]

    @property
    def facts(self) -> list[Fact]:
        """What was published, in order."""
        return [command.fact for _, command in self.log if isinstance(command, commands.Publish)]

    def times_of(self, kind: type[Command]) -> list[float]:
        """When commands of this kind were ordered."""
        return [round(when, 6) for when, command in self.log if isinstance(command, kind)]

    def facts_of(self, kind: type[_F]) -> list[_F]:
        """The published facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def when(self, kind: type[Fact]) -> list[float]:
        """When facts of this kind were published."""
        return [
            round(when, 6)
            for when, command in self.log
            if isinstance(command, commands.Publish) and isinstance(command.fact, kind)
        ]

    # --- how it works ---------------------------------------------------------------------------

    def _pass_time(self, until: float) -> None:
        """Let ``audible`` grow by what leaves until then."""
        begin, self.now = self.now, until
        for playout in self._playouts[:1]:
            if playout.moving_since is not None:
                begin = max(begin, playout.moving_since)
                end = min(
                    until, playout.moving_since + (playout.length - playout.played) / SAMPLES_PER_SECOND
                )
                if self.audible and begin <= self.audible[-1][1]:
                    begin = self.audible.pop()[0]
                if end > begin:
                    self.audible.append((begin, end))

    def _next_time(self) -> float | None:
        times = [self.conversation.next_deadline(), *(playout.next_event() for playout in self._playouts)]
        if self._agenda:
            times.append(self._agenda[0][0])
        return min((when for when in times if when is not None), default=None)

    def _happen(self, event: Event | _Voiced) -> None:
        if isinstance(event, _Voiced):
            self._voice(event)
            return
        if isinstance(event, events.ReplyGenerated | events.ReplyFailed):
            self._end_sound(event.reply_id)
        self._handle(event)

    def _handle(self, event: Event) -> None:
        ordered = self.conversation.handle(event, self.now)
        self.journal.append(entry_line(self.now, event, ordered))
        for command in ordered:
            self.log.append((self.now, command))
        for command in ordered:
            self._execute(command)

    def _playout_in_motion(self) -> SimulatedPlayout | None:
        """The playout whose next event has come."""
        for playout in self._playouts:
            if (when := playout.next_event()) is not None and when <= self.now:
                return playout
        return None

    def _move(self, playout: SimulatedPlayout) -> None:
        if playout.n_begun < len(playout.clauses):
            playout.n_begun += 1
            self._handle(events.ClauseBegan(playout.reply_id, playout.n_begun - 1))
        elif not playout.is_generated:
            playout.is_starved = True
            self._handle(events.PlayoutStarved(playout.reply_id))
        else:
            self._playouts.remove(playout)
            self._handle(events.PlayoutDrained(playout.reply_id))

    def _shut(self, reply_id: str) -> SimulatedPlayout:
        """Stop one reply's playout; what was to follow it follows now. Return what it was."""
        index = next((n for n, playout in enumerate(self._playouts) if playout.reply_id == reply_id), None)
        if index is None:
            return SimulatedPlayout(reply_id)
        shut = self._playouts.pop(index)
        unplayed = (shut.length - shut.played_at(self.now)) / SAMPLES_PER_SECOND
        for other in self._playouts[index:]:
            if other.moving_since is not None:
                other.moving_since = max(self.now, other.moving_since - unplayed)
        return shut

    def _execute(self, command: Command) -> None:
        match command:
            case commands.OpenTurn(item_id, at):
                self._turns[item_id] = at
            case commands.GuessTurn(item_id):
                self._guesses[item_id] = self.now
                text = " ".join(entry.text for entry in self._heard_since(self._turns.get(item_id, 0.0)))
                self.at(self.now + self._delays.final, events.WordsGuessed(item_id, text))
            case commands.CloseTurn(item_id):
                self._recognize(item_id)
            case commands.DropTurn(item_id):
                self._turns.pop(item_id, None)
            case commands.Recognize(item_id):
                text = self._recordings[item_id]
                self.at(self.now + self._delays.final, events.TranscriptFinal(item_id, text))
            case commands.StartReply(reply_id, request, guess):
                self._reply(reply_id, request, guess)
            case commands.FillReply(reply_id, text):
                self.at(self.now + self._delays.filler, _Voiced(reply_id, text, is_filler=True))
            case commands.CancelReply(reply_id):
                playout = self._shut(reply_id)
                self._agenda = [entry for entry in self._agenda if not _concerns(entry[2], reply_id)]
                heapq.heapify(self._agenda)
                heard = max(0, int(playout.played_at(self.now)))
                self._handle(events.ReplyStopped(reply_id, heard, playout.length))
            case commands.HoldReply():
                for playout in self._playouts:
                    if self._is_client_paced and playout.clauses:
                        continue  # the client plays what it has
                    playout.played, playout.moving_since = playout.played_at(self.now), None
                    playout.is_held = True
            case commands.ResumeReply():
                for playout in self._playouts:
                    playout.is_held = False
                    if playout.moving_since is None and playout.clauses:
                        self._begin_moving(playout)
            case _:
                pass

    def _recognize(self, item_id: str) -> None:
        begins = self._turns.pop(item_id, self.now)
        heard = self._heard_since(begins)
        asked_at = self._guesses.pop(item_id, self.now)
        if any(entry.begins > asked_at for entry in heard):
            asked_at = self.now  # there is more to recognize than what was guessed
        when = max(self.now, asked_at + self._delays.final)
        if not self._is_recognizer_up():
            self.at(when, events.TranscriptFailed(item_id, "crashed", "down"))
            return
        self._utterances = [entry for entry in self._utterances if entry not in heard]
        text = " ".join(entry.text for entry in heard)
        confidence = heard[-1].confidence if heard else None
        self.at(when, events.TranscriptFinal(item_id, text, confidence, None, self.now - begins))

    def _heard_since(self, begins: float) -> list[_Utterance]:
        return [entry for entry in self._utterances if entry.ends >= begins and entry.begins <= self.now]

    @property
    def _is_client_paced(self) -> bool:
        return self.conversation.options.is_client_paced

    def _reply(self, reply_id: str, request: ReplyRequest, guess: Item | None) -> None:
        answer = request.text if request.text is not None else self._ask_agent(request, guess)
        when = self.now + (0.0 if request.text is not None else self._delays.agent)
        if isinstance(answer, Exception):
            self.at(when, events.ReplyFailed(reply_id, "agent_error", str(answer)))
            return
        pieces = [answer] if isinstance(answer, str) else answer
        is_spoken = request.output is Modality.AUDIO
        if is_spoken:
            self._playouts.append(SimulatedPlayout(reply_id))
            if any(isinstance(piece, str) for piece in pieces):
                when += self._delays.voice
        cut_short = None
        for piece in pieces:
            match piece:
                case float():
                    when += piece
                case str() if is_spoken:
                    splitter = ClauseSplitter()
                    for clause in splitter.feed(piece) + splitter.flush():
                        self.at(when, _Voiced(reply_id, clause))
                case str():
                    self.at(when, events.ReplyTextAdded(reply_id, piece))
                case ToolCall(name, arguments):
                    self.at(when, events.ToolCalled(reply_id, name, arguments))
                case Usage():
                    self.at(when, events.UsageCounted(reply_id, piece))
                case CutShort(reason):
                    cut_short = reason
                case Exception():
                    self.at(when, events.ReplyFailed(reply_id, "agent_error", str(piece)))
                    return
        self.at(when, events.ReplyGenerated(reply_id, cut_short))

    def _voice(self, voiced: _Voiced) -> None:
        playout = self._playout_of(voiced.reply_id)
        if playout is None:
            return
        index, start, length = len(playout.clauses), playout.length, len(voiced.text) * SAMPLES_PER_CHARACTER
        is_still = playout.moving_since is None and not index and not playout.is_held
        if is_still and self._is_client_paced:
            self._begin_moving(playout)
        elif is_still or playout.is_starved:
            playout.played, playout.moving_since = playout.played_at(self.now), self.now
        playout.clauses.append(length)
        self._handle(events.ClauseQueued(voiced.reply_id, index, voiced.text, voiced.is_filler))
        self._handle(events.ClauseVoiced(voiced.reply_id, index, start, length))
        if playout.is_starved:
            playout.is_starved = False
            self._handle(events.PlayoutFed(voiced.reply_id))

    def _begin_moving(self, playout: SimulatedPlayout) -> None:
        playout.moving_since = self.now
        if self._is_client_paced:
            playout.handed_at = self.now
            others = (other for other in self._playouts if other is not playout)
            playout.moving_since = max((other.ends_at(self.now) for other in others), default=self.now)

    def _end_sound(self, reply_id: str) -> None:
        """No more of a reply will be voiced."""
        if playout := self._playout_of(reply_id):
            playout.is_generated = True
            if not playout.clauses:
                self._playouts.remove(playout)

    def _playout_of(self, reply_id: str) -> SimulatedPlayout | None:
        return next((playout for playout in self._playouts if playout.reply_id == reply_id), None)

    def _ask_agent(self, request: ReplyRequest, guess: Item | None) -> Answer:
        words: list[str] = []
        items = self.conversation.items if request.input is None else request.input
        for item in reversed((*items, *((guess,) if guess else ()))):
            if item.role is Role.ASSISTANT:
                break
            if item.text:
                words.append(item.text)
        return self._agent(" ".join(reversed(words)))


def _concerns(event: Event | _Voiced, reply_id: str) -> bool:
    """Whether the event is what engine or playout tell of the reply."""
    is_theirs = not isinstance(event, events.ResponseCancelRequested)
    return is_theirs and getattr(event, "reply_id", None) == reply_id

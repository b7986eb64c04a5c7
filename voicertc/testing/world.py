"""A conversation on a virtual clock: a test is a screenplay.

    world = World(agent=lambda text: f"You said {text}.")
    world.user_says(1.0, "hello", lasts=0.8)
    world.run(until=10.0)
    assert world.history == [("user", "hello"), ("assistant", "You said hello.")]

The ``World`` turns the core's commands into later events the way a real session does: speech is detected with
a lag, recognizers and agents take their time, playout sends clause after clause and can be held. Nothing
waits: an hour of conversation takes a fraction of a second.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ..core import commands, events
from ..core.clauses import ClauseSplitter
from ..core.commands import Command
from ..core.conversation import Conversation
from ..core.events import Event
from ..core.facts import Fact
from ..core.items import Modality
from ..core.journal import entry_line, header_line
from ..core.options import ConversationOptions, SessionOptions
from ..core.replies import ReplyRequest

SAMPLES_PER_SECOND = 24_000
SAMPLES_PER_CHARACTER = 1_600
"""The simulated voice speaks 15 characters a second."""

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


@dataclass(slots=True)
class _Utterance:
    begins: float
    ends: float
    text: str
    confidence: float | None


@dataclass(slots=True)
class _Mouth:
    """One reply's playout: what is queued, what has left, and whether it is moving."""

    reply_id: str
    clauses: list[int] = field(default_factory=list)
    n_begun: int = 0
    is_generated: bool = False
    played: float = 0.0
    moving_since: float | None = None

    def played_at(self, now: float) -> float:
        """Samples that have left by ``now``."""
        if self.moving_since is None:
            return self.played
        return min(self.played + (now - self.moving_since) * SAMPLES_PER_SECOND, float(sum(self.clauses)))

    def next_event(self) -> float | None:
        """When the next clause begins or the last one has left."""
        if self.moving_since is None:
            return None
        if self.n_begun < len(self.clauses):
            position = sum(self.clauses[: self.n_begun])
        elif self.is_generated:
            position = sum(self.clauses)
        else:
            return None
        return self.moving_since + max(0.0, position - self.played) / SAMPLES_PER_SECOND


class World:
    """All around a ``Conversation``, simulated; ``log`` has what it ordered, ``journal`` the lines."""

    def __init__(
        self,
        options: ConversationOptions | None = None,
        session: SessionOptions | None = None,
        *,
        agent: Callable[[str], str | Exception] = lambda text: f"You said {text}.",
        delays: Delays | None = None,
        is_recognizer_up: Callable[[], bool] = lambda: True,
    ) -> None:
        self.conversation = Conversation(options, session)
        self.now = 0.0
        self.log: list[tuple[float, Command]] = []
        self.journal = [header_line("test", self.conversation, "")]
        self._agent = agent
        self._delays = delays or Delays()
        self._is_recognizer_up = is_recognizer_up
        self._agenda: list[tuple[float, int, Event]] = []
        self._n_scheduled = 0
        self._utterances: list[_Utterance] = []
        self._turns: dict[str, float] = {}
        self._mouth: _Mouth | None = None
        self.at(0.0, events.CallConnected())

    # --- the screenplay -------------------------------------------------------------------------

    def at(self, when: float, event: Event) -> None:
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

    def run(self, until: float) -> None:
        """Let time pass, from event to event."""
        while (when := self._next_time()) is not None and when <= until:
            self.now = max(self.now, when)
            mouth = self._mouth.next_event() if self._mouth else None
            if self._agenda and self._agenda[0][0] <= self.now:
                self._handle(heapq.heappop(self._agenda)[2])
            elif mouth is not None and mouth <= self.now:
                self._move_mouth()
            else:
                self._handle(events.TimeElapsed())
        self.now = max(self.now, until)

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

    def _next_time(self) -> float | None:
        times = [self.conversation.next_deadline(), self._mouth.next_event() if self._mouth else None]
        if self._agenda:
            times.append(self._agenda[0][0])
        return min((when for when in times if when is not None), default=None)

    def _handle(self, event: Event) -> None:
        ordered = self.conversation.handle(event, self.now)
        self.journal.append(entry_line(self.now, event, ordered))
        for command in ordered:
            self.log.append((self.now, command))
        for command in ordered:
            self._execute(command)

    def _move_mouth(self) -> None:
        mouth = self._mouth
        assert mouth is not None
        if mouth.n_begun < len(mouth.clauses):
            mouth.n_begun += 1
            self._handle(events.ClauseBegan(mouth.reply_id, mouth.n_begun - 1))
        else:
            self._mouth = None
            self._handle(events.PlayoutDrained(mouth.reply_id))

    def _execute(self, command: Command) -> None:
        match command:
            case commands.OpenTurn(item_id, at):
                self._turns[item_id] = at
            case commands.CloseTurn(item_id):
                self._recognize(item_id)
            case commands.DropTurn(item_id):
                self._turns.pop(item_id, None)
            case commands.StartReply(reply_id, request):
                self._reply(reply_id, request)
            case commands.CancelReply(reply_id):
                heard = 0
                if self._mouth and self._mouth.reply_id == reply_id:
                    heard = int(self._mouth.played_at(self.now))
                    self._mouth = None
                self._agenda = [entry for entry in self._agenda if not _concerns(entry[2], reply_id)]
                heapq.heapify(self._agenda)
                self._handle(events.ReplyStopped(reply_id, heard))
            case commands.HoldReply() if self._mouth:
                self._mouth.played = self._mouth.played_at(self.now)
                self._mouth.moving_since = None
            case commands.ResumeReply() if self._mouth and self._mouth.moving_since is None:
                self._mouth.moving_since = self.now
            case _:
                pass

    def _recognize(self, item_id: str) -> None:
        begins = self._turns.pop(item_id, self.now)
        heard = [entry for entry in self._utterances if entry.ends >= begins and entry.begins <= self.now]
        when = self.now + self._delays.final
        if not self._is_recognizer_up():
            self.at(when, events.TranscriptFailed(item_id, "crashed", "down"))
            return
        self._utterances = [entry for entry in self._utterances if entry not in heard]
        text = " ".join(entry.text for entry in heard)
        confidence = heard[-1].confidence if heard else None
        self.at(when, events.TranscriptFinal(item_id, text, confidence, None, self.now - begins))

    def _reply(self, reply_id: str, request: ReplyRequest) -> None:
        text = request.text if request.text is not None else self._ask_agent()
        when = self.now + (0.0 if request.text is not None else self._delays.agent)
        if isinstance(text, Exception):
            self.at(when, events.ReplyFailed(reply_id, "agent_error", str(text)))
            return
        if request.output is Modality.TEXT:
            self.at(when, events.ReplyTextAdded(reply_id, text))
            self.at(when, events.ReplyGenerated(reply_id))
            return
        splitter = ClauseSplitter()
        mouth = _Mouth(reply_id, is_generated=True)
        start = 0
        for index, clause in enumerate(splitter.feed(text) + splitter.flush()):
            length = len(clause) * SAMPLES_PER_CHARACTER
            self.at(when + self._delays.voice, events.ClauseQueued(reply_id, index, clause))
            self.at(when + self._delays.voice, events.ClauseVoiced(reply_id, index, start, length))
            mouth.clauses.append(length)
            start += length
        self.at(when + self._delays.voice, events.ReplyGenerated(reply_id))
        if mouth.clauses:
            mouth.moving_since = when + self._delays.voice
            self._mouth = mouth

    def _ask_agent(self) -> str | Exception:
        words: list[str] = []
        for item in reversed(self.conversation.items):
            if item.role.value == "assistant":
                break
            if item.text:
                words.append(item.text)
        return self._agent(" ".join(reversed(words)))


def _concerns(event: Event, reply_id: str) -> bool:
    return getattr(event, "reply_id", None) == reply_id

"""The built-in agent that answers without any key or service: time, sums, timers, a quiz, a long story.

    history ──> open turn ──> Script.understand ──> Meaning ──> dialogue.answer ──> text
                                                      memory ──┘           └──> timers, hanging up

It does nothing but what was asked for in so many words; everything else is not understood, and it says so. A
client's tools are nothing it was taught: it never calls one.
What it understands and says stands in ``offline_en.toml``; nothing of it in the code.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from weakref import WeakKeyDictionary

from ..core.items import Item
from ..core.replies import Cause
from . import offline_talk, offline_timers
from .base import AgentRequest, AgentSession
from .offline_dialogue import Answer, Reactions, Situation, after_silence, answer, reply
from .offline_memory import Memory, Timer, clauses, open_question, open_turn
from .offline_script import Meaning, load

REACTIONS: Reactions = {**offline_talk.REACTIONS, **offline_timers.REACTIONS}
"""How every intent is answered that needs more than a text."""
_N_EXPIRED = 4


def local_time() -> datetime:
    """Return the server's wall time, in its own time zone."""
    return datetime.now().astimezone()


@dataclass(frozen=True, slots=True)
class _Reply:
    """The last reply: the turn it answered, the memory before it, and what it said it had done."""

    turn: frozenset[str]
    before: Memory
    done: str | None


@dataclass(frozen=True, slots=True)
class _Conversation:
    memory: Memory = field(default_factory=Memory)
    last: _Reply | None = None


class OfflineAgent:
    """The agent port's implementation; one object for all calls, used from the event loop only.

    ``clock`` is the clock on the wall, asked for time and date only; ``monotonic`` (seconds) counts the
    timers, so that setting the clock moves none of them. What belongs to a conversation is kept as long as
    its session object lives, and holds no reference to it.
    """

    name = "offline"

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = local_time,
        monotonic: Callable[[], float] = time.monotonic,
        language: str = "en",
    ) -> None:
        self._script = load(language)
        self._clock = clock
        self._monotonic = monotonic
        self._conversations: WeakKeyDictionary[AgentSession, _Conversation] = WeakKeyDictionary()

    @property
    def grammar(self) -> str:
        """All that it understands when spoken, as JSGF."""
        return self._script.grammar

    @property
    def greeting(self) -> str:
        """What to say first: one sentence about what it can do."""
        return self._script.greeting

    async def start(self) -> None:
        """Nothing to prepare: the data was read in the constructor."""

    async def close(self) -> None:
        """Forget everything."""
        self._conversations.clear()

    async def reply(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        """Yield the answer clause by clause. All is decided before the first: no reply is half acted upon."""
        given = self._answer(request)
        for clause in clauses(given.text):
            yield clause
        if given.ends_call:
            request.session.end_call()

    def _answer(self, request: AgentRequest) -> Answer:
        conversation = self._conversations.get(request.session, _Conversation())
        now = self._monotonic()
        is_idle = request.cause is Cause.IDLE
        turn = () if is_idle else open_turn(request.history)
        memory, meaning, done = self._hear(conversation, turn)
        memory = _expire(memory, now)
        situation = Situation(
            script=self._script,
            memory=memory,
            history=request.history,
            meaning=meaning,
            question=open_question(memory, request.history),
            now=now,
            wall=self._clock(),
        )
        if is_idle:
            given = after_silence(situation)
        else:
            given = answer(situation, REACTIONS) if turn else self._unasked(situation)
        has_acted = given.memory.timers != memory.timers
        if done:
            given = replace(given, text=f"{done} {given.text}")
        running = _expire(conversation.memory, now).timers
        given = replace(given, memory=_arrange(request.session, running, given.memory, now))
        last = _Reply(frozenset(item.id for item in turn), memory, given.text if has_acted or done else None)
        self._conversations[request.session] = _Conversation(given.memory, last)
        return given

    def _hear(
        self, conversation: _Conversation, turn: tuple[Item, ...]
    ) -> tuple[Memory, Meaning | None, str | None]:
        """Return the memory to start from, what the turn means, and what was done without anybody hearing so.

        When a turn goes on after a reply of which nothing was heard, its parts may make one sentence ("Set a
        timer for five minutes." "And thirty seconds."): then what the first part led to never happened. If
        they do not, the last part stands for itself, and what was done before stays done, but must be said.
        """
        script, memory, last = self._script, conversation.memory, conversation.last
        went_on = last is not None and bool(last.turn) and last.turn <= {item.id for item in turn}
        whole = script.understand(" ".join(item.text or "" for item in turn))
        if whole is not None:
            return (last.before if went_on and last else memory), whole, None
        meaning = script.understand(turn[-1].text or "") if turn else None
        return memory, meaning, last.done if went_on and last else None

    def _unasked(self, situation: Situation) -> Answer:
        """Answer a client that wants a reply although the user has said nothing."""
        is_first = not situation.memory.n_replies and not situation.history
        return reply(situation, self.greeting if is_first else situation.say("missed.silent"))


def _expire(memory: Memory, now: float) -> Memory:
    """Move the timers that have gone off to those that are over."""
    over = tuple(timer for timer in memory.timers if timer.due <= now)
    running = tuple(timer for timer in memory.timers if timer.due > now)
    return replace(memory, timers=running, expired=(*memory.expired, *over)[-_N_EXPIRED:])


def _arrange(session: AgentSession, running: tuple[Timer, ...], memory: Memory, now: float) -> Memory:
    """Make the session's promises agree with the memory: take back what is gone, promise what is new."""
    promised = {timer.number for timer in running}
    kept = {timer.number for timer in memory.timers}
    for timer in running:
        if timer.number is not None and timer.number not in kept:
            session.take_back(timer.number)
    timers = tuple(
        timer
        if timer.number is not None and timer.number in promised
        else replace(timer, number=session.say_later(timer.due - now, timer.question.text))
        for timer in memory.timers
    )
    return replace(memory, timers=timers)

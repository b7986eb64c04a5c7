"""What the offline agent knows of one conversation, and how it compares that with what was heard.

The agent never assumes that its words arrived. A question is only open if the history shows that it was
heard, a reply is only continued where the history ends, and an action whose reply nobody heard can be undone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ..core.items import Item, Kind, Role

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CLAUSE = re.compile(r"[^,.;:?!]*[,.;:?!]*\s*")


class Topic(Enum):
    """What a question of the agent's is about."""

    TIMER_LENGTH = auto()
    TIMER_AGAIN = auto()
    TIMER_WHICH = auto()
    QUIZ = auto()
    QUIZ_MORE = auto()
    HELP = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the agent's: it says ``lead`` and then asks ``asked``.

    ``value``: what it is about more closely, a timer's seconds or an index into the quiz.
    """

    topic: Topic
    asked: str
    lead: str = ""
    value: int = 0

    @property
    def text(self) -> str:
        """What is said in all."""
        return f"{self.lead} {self.asked}".strip()

    def is_heard(self, heard: list[str]) -> bool:
        """Tell whether the words ``heard`` end with enough of it: people answer when they know the half."""
        words = plain_words(self.text)
        enough = len(words) - len(plain_words(self.asked)) // 2
        lengths = range(enough, min(len(words), len(heard)) + 1)
        return any(heard[-length:] == words[:length] for length in lengths)


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer, due at ``due`` (monotonic seconds), when ``question`` is said, whose value is its length.

    ``number`` is what the session calls the promise to say it; ``None`` until it has promised.
    """

    due: float
    question: Question
    number: int | None = None

    @property
    def seconds(self) -> int:
        """How long it was set to run."""
        return self.question.value


@dataclass(frozen=True, slots=True)
class Planned:
    """A reply as it was meant, and the last item of the history it answered (``None``: there was none)."""

    text: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Memory:
    """What belongs to one conversation. Never changed: each reply makes the next one."""

    timers: tuple[Timer, ...] = ()
    """Those still running, in the order in which they were set."""
    expired: tuple[Timer, ...] = ()
    """The last few that went off."""
    question: Question | None = None
    """What the last reply asked."""
    planned: tuple[Planned, ...] = ()
    """The last few replies, the newest last."""
    n_replies: int = 0
    """Replies so far; texts take turns by it."""
    misses: int = 0
    """Turns in a row that were not understood."""
    has_asked_after_user: bool = False
    """Whether it has asked if the user is still there, since their last turn."""
    quiz_next: int = 0
    quiz_asked: int = 0
    quiz_right: int = 0


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case, for comparing what was meant with what was heard."""
    return _WORD.findall(text.lower())


def clauses(text: str) -> list[str]:
    """Split after punctuation; the pieces keep their spaces, and joined they are ``text`` again."""
    return [clause for clause in _CLAUSE.findall(text) if clause]


def open_turn(history: Sequence[Item]) -> tuple[Item, ...]:
    """Return what the user said since something of the agent's was last heard, oldest first."""
    turn: list[Item] = []
    for item in reversed(history):
        if item.kind is not Kind.MESSAGE or not item.text:
            continue
        if item.role is Role.ASSISTANT:
            break
        if item.role is Role.USER:
            turn.append(item)
    return tuple(reversed(turn))


def last_said(history: Sequence[Item]) -> Item | None:
    """Return the agent's last item of which anything was heard."""
    return next((item for item in reversed(history) if _is_said(item)), None)


def open_question(memory: Memory, history: Sequence[Item]) -> Question | None:
    """Return the question that the agent's last heard words ask, if enough of it was heard."""
    said = last_said(history)
    heard = plain_words(said.text or "") if said else []
    asked_by_timers = [timer.question for timer in (*memory.expired, *memory.timers)]
    for question in (memory.question, *reversed(asked_by_timers)):
        if question is not None and question.is_heard(heard):
            return question
    return None


def unheard(planned: Planned, history: Sequence[Item]) -> str:
    """Return what is left of a reply, from the beginning of the clause in which it was cut.

    A clause heard to its last word is not said again, one cut in the middle is: nobody goes on with half a
    clause. If the history no longer has the turn, everything counts as heard.
    """
    ids = [item.id for item in history]
    if planned.after is not None and planned.after not in ids:
        return ""
    later = history[ids.index(planned.after) + 1 :] if planned.after is not None else history
    meant = plain_words(planned.text)
    n_heard = 0
    for item in later:
        heard = plain_words(item.text or "") if _is_said(item) else []
        if heard and meant[: len(heard)] == heard:
            n_heard = len(heard)
            break
    pieces = clauses(planned.text)
    while pieces and n_heard >= (n_words := len(plain_words(pieces[0]))):
        n_heard -= n_words
        pieces = pieces[1:]
    return "".join(pieces)


def _is_said(item: Item) -> bool:
    return item.role is Role.ASSISTANT and item.kind is Kind.MESSAGE and bool(item.text)

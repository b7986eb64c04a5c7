"""What the offline agent answers: a pure function of what was said, what it remembers, and two clocks.

    Situation ──> answer() ──> Answer(text, memory, ends_call)

How each intent is answered stands in ``offline_talk`` and ``offline_timers``. Timers are only written down
here: ``offline.OfflineAgent`` compares the memory before and after, and arranges them with the session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from ..core.items import Item
from .offline_memory import Memory, Planned, Question, Topic
from .offline_script import Meaning, Script
from .offline_spoken import number_in_words
from .offline_values import Sum

N_PLANNED = 6
"""Replies that can still be gone on with."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One turn to answer: ``meaning`` is ``None`` if it was not understood, ``question`` what had been asked.

    ``now``: monotonic seconds, for timers. ``wall``: what a clock on the wall shows.
    """

    script: Script
    memory: Memory
    history: Sequence[Item]
    meaning: Meaning | None
    question: Question | None
    now: float
    wall: datetime

    def say(self, key: str, **values: str | int) -> str:
        """Return one of the texts of this name, filled in; figures are written out as words."""
        texts = self.script.says[key]
        words = {
            k: number_in_words(value) if isinstance(value, int) else value for k, value in values.items()
        }
        text = texts[self.memory.n_replies % len(texts)].format(**words)
        return text[:1].upper() + text[1:]

    @property
    def number(self) -> Fraction:
        """The number that was said; in intents that have one."""
        number = self._slots["number"]
        assert isinstance(number, Fraction)
        return number

    @property
    def sum(self) -> Sum:
        """The sum that was said; in intents that have one."""
        given = self._slots["sum"]
        assert isinstance(given, Sum)
        return given

    @property
    def seconds(self) -> int | None:
        """The length of time that was said, as a noun or an adjective; ``None`` if none was."""
        length = self._slots.get("duration", self._slots.get("span"))
        assert not isinstance(length, Sum)
        return None if length is None else round(length)

    @property
    def _slots(self) -> Mapping[str, Fraction | Sum]:
        return self.meaning.slots if self.meaning else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say, what to remember, and whether to hang up after it."""

    text: str
    memory: Memory
    ends_call: bool = False


Reaction = Callable[[Situation], Answer]
"""How one intent is answered."""
Reactions = Mapping[tuple[Topic | None, str], Reaction]
"""By the topic of the open question (``None``: whatever it is) and the intent."""


def reply(
    situation: Situation, text: str, question: Question | None = None, memory: Memory | None = None
) -> Answer:
    """Answer ``text``; its last part may be a ``question``; ``memory`` if there is more to remember."""
    return Answer(text, replace(memory or situation.memory, question=question))


def answer(situation: Situation, reactions: Reactions) -> Answer:
    """Answer one turn. Intents without a reaction that fits are answered from the data, or not understood."""
    intent = situation.meaning.intent if situation.meaning else ""
    topic = situation.question.topic if situation.question else None
    reaction = reactions.get((topic, intent)) or reactions.get((None, intent))
    if reaction is not None:
        given = reaction(situation)
    elif intent in situation.script.says:
        given = reply(situation, situation.say(intent))
    else:
        given = missed(situation)
    return replace(given, memory=_remember(situation, given))


def _remember(situation: Situation, given: Answer) -> Memory:
    after = situation.history[-1].id if situation.history else None
    was_missed = given.memory.misses > situation.memory.misses
    return replace(
        given.memory,
        planned=(*given.memory.planned, Planned(given.text, after))[-N_PLANNED:],
        misses=given.memory.misses if was_missed else 0,
        has_asked_after_user=False,
        n_replies=situation.memory.n_replies + 1,
    )


def missed(situation: Situation) -> Answer:
    """Own up to not having understood: ask again if there was a question, offer help the second time."""
    misses = situation.memory.misses + 1
    memory = replace(situation.memory, misses=misses)
    if misses > 1:
        offer = Question(Topic.HELP, situation.say("missed.offer"))
        return reply(
            situation, f"{situation.say('missed.second')} {offer.text}", offer, replace(memory, misses=0)
        )
    if situation.question is None:
        return reply(situation, situation.say("missed.first"), memory=memory)
    return ask_again(situation, situation.question, "missed.question", memory)


def after_silence(situation: Situation) -> Answer:
    """Ask once whether the user is still there, and what was asked before; then leave them in peace."""
    if situation.memory.has_asked_after_user:
        return Answer("", situation.memory)
    memory = replace(situation.memory, has_asked_after_user=True)
    if situation.question is None:
        return reply(situation, situation.say("idle.first"), memory=memory)
    return ask_again(situation, situation.question, "idle.question", memory)


def ask_again(situation: Situation, question: Question, key: str, memory: Memory | None = None) -> Answer:
    """Put a question once more, in the text named ``key``."""
    asked = Question(question.topic, question.asked, value=question.value)
    return reply(situation, situation.say(key, question=asked.text), asked, memory)

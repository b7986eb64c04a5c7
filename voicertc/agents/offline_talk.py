"""How the offline agent answers about everything but timers: clock, sums, story, quiz, farewell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from . import offline_spoken as spoken
from .offline_dialogue import Answer, Reaction, Reactions, Situation, ask_again, missed, reply
from .offline_memory import Question, Topic, clauses, last_said, plain_words, unheard

LONG = 40
"""Words; of a reply longer than this, only so much of the end is repeated."""


def _clock(key: str, part: str, in_words: Callable[[datetime], str], days: int = 0) -> Reaction:
    def tell(situation: Situation) -> Answer:
        moment = situation.wall + timedelta(days=days)
        return reply(situation, situation.say(f"{key}.now", **{part: in_words(moment)}))

    return tell


def _sum(situation: Situation) -> Answer:
    given = situation.sum
    result = given.result()
    if result is None:
        return reply(situation, situation.say("sum.zero"))
    numbers = [spoken.amount_in_words(number) for number in given.numbers]
    asked = " ".join(
        filter(None, [word for pair in zip(numbers, (*given.operators, ""), strict=True) for word in pair])
    )
    return reply(situation, situation.say("sum.result", sum=asked, result=spoken.amount_in_words(result)))


def _story(situation: Situation) -> Answer:
    return reply(situation, situation.script.story)


def _go_on(situation: Situation) -> Answer:
    """Take up the newest reply that was not heard to its end."""
    memory = situation.memory
    lead = situation.say("go_on.lead")
    for planned in reversed(memory.planned):
        rest = unheard(planned, situation.history)
        if not plain_words(rest):
            continue
        memory = replace(memory, planned=tuple(other for other in memory.planned if other is not planned))
        text = rest if rest.startswith(lead) else f"{lead} {rest[0].upper()}{rest[1:]}"
        question = memory.question if memory.question and text.endswith(memory.question.asked) else None
        return reply(situation, text, question, memory)
    return reply(situation, situation.say("go_on.nothing"))


def _repeat(situation: Situation) -> Answer:
    """Say the last reply again: all of it if it is short, else the end of what was heard."""
    said = last_said(situation.history)
    if said is None or not said.text:
        return reply(situation, situation.say("repeat.nothing"))
    heard = plain_words(said.text)
    whole = (planned.text for planned in reversed(situation.memory.planned))
    text = next((text for text in whole if plain_words(text)[: len(heard)] == heard), said.text)
    if len(plain_words(text)) > LONG:
        text = _end(said.text)
    return reply(situation, text.strip(), situation.memory.question)


def _end(text: str) -> str:
    """Return the last clauses, ``LONG`` words at most, but at least one."""
    pieces = clauses(text)
    while len(pieces) > 1 and len(plain_words("".join(pieces))) > LONG:
        pieces = pieces[1:]
    return "".join(pieces)


def _quiz(situation: Situation) -> Answer:
    return _next_question(situation, "quiz.first")


def _next_question(situation: Situation, key: str | None = None) -> Answer:
    memory = situation.memory
    index = memory.quiz_next % len(situation.script.quiz)
    question = Question(Topic.QUIZ, situation.script.quiz[index].question, value=index)
    text = situation.say(key, question=question.text) if key else question.text
    return reply(situation, text, question, replace(memory, quiz_next=index + 1))


def _yes_or_no(said: str) -> Reaction:
    def judge(situation: Situation) -> Answer:
        assert situation.question is not None
        answer = situation.script.quiz[situation.question.value].answer
        return missed(situation) if isinstance(answer, int) else _judged(situation, answer == said)

    return judge


def _figure(situation: Situation) -> Answer:
    assert situation.question is not None
    answer = situation.script.quiz[situation.question.value].answer
    if isinstance(answer, str):
        return ask_again(situation, situation.question, "quiz.yes_or_no")
    return _judged(situation, situation.number == Fraction(answer))


def _judged(situation: Situation, is_right: bool) -> Answer:
    memory = replace(situation.memory, quiz_right=situation.memory.quiz_right + is_right)
    situation = replace(situation, memory=memory)
    return _told(situation, situation.say("quiz.right" if is_right else "quiz.wrong"))


def _passed(situation: Situation) -> Answer:
    return _told(situation, situation.say("quiz.passed"))


def _told(situation: Situation, verdict: str) -> Answer:
    assert situation.question is not None
    because = situation.script.quiz[situation.question.value].because
    more = Question(Topic.QUIZ_MORE, situation.say("quiz.more"))
    memory = replace(situation.memory, quiz_asked=situation.memory.quiz_asked + 1)
    return reply(situation, f"{verdict} {because} {more.text}", more, memory)


def _score(situation: Situation) -> Answer:
    memory = situation.memory
    text = situation.say("quiz.score", right=memory.quiz_right, count=memory.quiz_asked)
    return reply(situation, text, memory=replace(memory, quiz_asked=0, quiz_right=0))


def _goodbye(situation: Situation) -> Answer:
    return replace(reply(situation, situation.say("goodbye")), ends_call=True)


def _help(situation: Situation) -> Answer:
    return reply(situation, situation.say("help"))


REACTIONS: Reactions = {
    (None, "time"): _clock("time", "time", spoken.time_in_words),
    (None, "date"): _clock("date", "date", spoken.date_in_words),
    (None, "weekday"): _clock("weekday", "weekday", spoken.weekday_in_words),
    (None, "tomorrow"): _clock("tomorrow", "date", spoken.date_in_words, days=1),
    (None, "month"): _clock("month", "month", spoken.month_in_words),
    (None, "sum"): _sum,
    (None, "story"): _story,
    (None, "go_on"): _go_on,
    (None, "repeat"): _repeat,
    (None, "quiz"): _quiz,
    (None, "goodbye"): _goodbye,
    (Topic.HELP, "yes"): _help,
    (Topic.QUIZ, "yes"): _yes_or_no("yes"),
    (Topic.QUIZ, "no"): _yes_or_no("no"),
    (Topic.QUIZ, "number"): _figure,
    (Topic.QUIZ, "pass"): _passed,
    (Topic.QUIZ_MORE, "yes"): _next_question,
    (Topic.QUIZ_MORE, "no"): _score,
}
"""What is done about the rest."""

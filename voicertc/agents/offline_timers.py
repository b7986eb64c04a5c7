"""How the offline agent answers about timers."""

from __future__ import annotations

from dataclasses import replace

from .offline_dialogue import Answer, Reactions, Situation, ask_again, reply
from .offline_memory import Question, Timer, Topic
from .offline_spoken import in_a_row, remaining_in_words, timer_in_words

MAX_TIMERS = 8
"""At once, in one conversation: nobody tells more apart by ear."""
LONGEST = 24 * 3600
"""Seconds a timer may run; calls do not last longer."""


def _set(situation: Situation) -> Answer:
    assert situation.seconds is not None
    return _start(situation, situation.seconds)


def _set_again(situation: Situation) -> Answer:
    assert situation.question is not None
    return _start(situation, situation.question.value)


def _start(situation: Situation, seconds: int) -> Answer:
    timers = situation.memory.timers
    if seconds < 1:
        return reply(situation, situation.say("timer_set.too_short"))
    if seconds > LONGEST:
        return reply(situation, situation.say("timer_set.too_long"))
    if len(timers) >= MAX_TIMERS:
        return reply(situation, situation.say("timer_set.too_many", count=len(timers)))
    name = timer_in_words(seconds)
    up = situation.say("timer_set.up", timer=name)
    question = Question(Topic.TIMER_AGAIN, situation.say("timer_set.again"), up, seconds)
    memory = replace(situation.memory, timers=(*timers, Timer(situation.now + seconds, question)))
    key = "timer_set.more" if timers else "timer_set.done"
    return reply(situation, situation.say(key, timer=name, count=len(timers) + 1), memory=memory)


def _ask_how_long(situation: Situation) -> Answer:
    question = Question(Topic.TIMER_LENGTH, situation.say("timer_set.how_long"))
    return reply(situation, question.text, question)


def _left(situation: Situation) -> Answer:
    timers = _meant(situation)
    if not timers:
        return _none(situation)
    left = [remaining_in_words(timer.due - situation.now) for timer in timers]
    names = [timer_in_words(timer.seconds) for timer in timers]
    if len(timers) == 1:
        return reply(situation, situation.say("timer_left.one", timer=names[0], left=left[0]))
    each = situation.script.says["timer_left.each"][0]
    rows = in_a_row([each.format(timer=name, left=rest) for name, rest in zip(names, left, strict=True)])
    rows = rows[:1].upper() + rows[1:]
    return reply(situation, situation.say("timer_left.several", count=len(timers), timers=rows))


def _cancel(situation: Situation) -> Answer:
    timers = _meant(situation)
    if not timers:
        return _none(situation)
    if len({timer.seconds for timer in timers}) > 1:
        names = [f"the {name}" for name in dict.fromkeys(timer_in_words(timer.seconds) for timer in timers)]
        text = situation.say("timer_cancel.which", timers=in_a_row(names, "or"))
        question = Question(Topic.TIMER_WHICH, text)
        return reply(situation, text, question)
    # Of several that are alike the last is taken: it is the one most likely to have been a slip.
    return _without(
        situation,
        timers[-1:],
        situation.say(
            "timer_cancel.one_of" if len(timers) > 1 else "timer_cancel.done",
            timer=timer_in_words(timers[-1].seconds),
            count=len(timers) - 1,
        ),
    )


def _cancel_all(situation: Situation) -> Answer:
    timers = situation.memory.timers
    if len(timers) < 2:
        return _cancel(situation)
    return _without(situation, timers, situation.say("timer_cancel.all", count=len(timers)))


def _without(situation: Situation, cancelled: tuple[Timer, ...], text: str) -> Answer:
    left = tuple(timer for timer in situation.memory.timers if timer not in cancelled)
    return reply(situation, text, memory=replace(situation.memory, timers=left))


def _keep(situation: Situation) -> Answer:
    return reply(situation, situation.say("timer_cancel.kept"))


def _which_again(situation: Situation) -> Answer:
    assert situation.question is not None
    return ask_again(situation, situation.question, "missed.question")


def _meant(situation: Situation) -> tuple[Timer, ...]:
    """Return the timers of the length that was said, or all if none was."""
    seconds = situation.seconds
    return tuple(timer for timer in situation.memory.timers if seconds in {None, timer.seconds})


def _none(situation: Situation) -> Answer:
    seconds = situation.seconds
    if seconds is None or not situation.memory.timers:
        return reply(situation, situation.say("timer_left.none"))
    return reply(situation, situation.say("timer_left.unknown", timer=timer_in_words(seconds)))


REACTIONS: Reactions = {
    (None, "timer_set"): _set,
    (None, "timer_named"): _set,
    (None, "timer_open"): _ask_how_long,
    (None, "timer_left"): _left,
    (None, "timer_cancel"): _cancel,
    (None, "timer_cancel_all"): _cancel_all,
    (Topic.TIMER_LENGTH, "duration"): _set,
    (Topic.TIMER_LENGTH, "which"): _set,
    (Topic.TIMER_AGAIN, "yes"): _set_again,
    (Topic.TIMER_AGAIN, "duration"): _set,
    (Topic.TIMER_WHICH, "duration"): _cancel,
    (Topic.TIMER_WHICH, "which"): _cancel,
    (Topic.TIMER_WHICH, "timer_named"): _cancel,
    (Topic.TIMER_WHICH, "all"): _cancel_all,
    (Topic.TIMER_WHICH, "no"): _keep,
    (Topic.TIMER_WHICH, "yes"): _which_again,
}
"""What is done about timers."""

"""A client that sends its sound faster than it was made: session time jumps, real time does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicertc.core import commands, events, facts
from voicertc.core.commands import Command
from voicertc.core.conversation import Conversation
from voicertc.core.facts import Fact
from voicertc.core.items import Modality
from voicertc.core.options import ConversationOptions, SessionOptions, TurnDetection

from .plays import QUIET, ask


def begun(
    options: ConversationOptions = QUIET,
    session: SessionOptions | None = None,
    *more: tuple[float, events.Event],
) -> Conversation:
    """A conversation in which all this has happened."""
    conversation = Conversation(options, session)
    for when, event in ((0.0, events.CallConnected()), (0.5, events.TimeElapsed()), *more):
        conversation.handle(event, when)
    return conversation


SAID: tuple[tuple[float, events.Event], ...] = (
    (1.07, events.SpeechStarted(1.0)),
    (2.1, events.SpeechStopped(2.0)),
)
UNDERSTOOD = (2.65, events.TranscriptFinal("item_u1", "hello"))


def jump(conversation: Conversation, by: float, at: float) -> list[Command]:
    return conversation.handle(events.ClockAdvanced(by), at + by)


def published(ordered: list[Command]) -> list[Fact]:
    return [command.fact for command in ordered if isinstance(command, commands.Publish)]


def test_a_recognizer_has_as_long_as_before() -> None:
    conversation = begun(QUIET, None, *SAID, (2.5, events.TimeElapsed()))
    assert conversation.next_deadline() == 8.5
    assert jump(conversation, 10.0, at=3.0) == []  # the deadline as it was has passed
    assert conversation.next_deadline() == 18.5
    ordered = conversation.handle(events.TimeElapsed(), 18.5)
    assert commands.DropTurn("item_u1") in ordered


def test_an_agent_has_as_long_as_before() -> None:
    conversation = begun(QUIET, None, *SAID, (2.5, events.TimeElapsed()), UNDERSTOOD)
    assert conversation.next_deadline() == 14.65
    assert jump(conversation, 30.0, at=4.0) == []
    assert conversation.next_deadline() == 44.65
    assert commands.CancelReply("resp_1") in conversation.handle(events.TimeElapsed(), 44.65)


def test_an_aside_has_as_long_as_before() -> None:
    conversation = begun(QUIET, None, (1.0, ask(is_aside=True, output=Modality.TEXT)))
    assert jump(conversation, 30.0, at=2.0) == []
    assert conversation.next_deadline() == 43.0


def test_a_greeting_waits_no_less_for_the_first_update() -> None:
    conversation = Conversation(replace(QUIET, greeting_delay=1.0))
    conversation.handle(events.CallConnected(), 0.0)
    assert jump(conversation, 5.0, at=0.5) == []
    assert conversation.next_deadline() == 6.0


def test_a_turn_ends_by_the_time_of_its_sound() -> None:
    conversation = begun(QUIET, None, *SAID, (2.2, events.TimeElapsed()))
    assert conversation.next_deadline() == 2.5
    assert commands.CloseTurn("item_u1") in jump(conversation, 2.0, at=2.3)


def test_a_barge_in_is_decided_by_the_time_of_its_sound() -> None:
    conversation = begun(
        QUIET,
        None,
        (1.0, ask()),
        (1.1, events.ClauseQueued("resp_1", 0, "One two three.")),
        (1.1, events.ClauseBegan("resp_1", 0)),
        (2.0, events.SpeechStarted(1.93)),
    )
    assert conversation.next_deadline() == 2.4
    assert commands.CancelReply("resp_1") in jump(conversation, 1.0, at=2.1)


def test_a_long_silence_is_one_by_the_time_of_its_sound() -> None:
    patient = SessionOptions(turn_detection=TurnDetection(idle_timeout=5.0))
    conversation = begun(
        QUIET,
        patient,
        (1.0, ask()),
        (1.1, events.ClauseQueued("resp_1", 0, "One.")),
        (1.1, events.ClauseVoiced("resp_1", 0, 0, 24_000)),
        (1.1, events.ClauseBegan("resp_1", 0)),
        (1.1, events.ReplyGenerated("resp_1")),
        (2.1, events.PlayoutDrained("resp_1")),
    )
    assert conversation.next_deadline() == 7.1
    assert facts.TurnTimedOut("item_u1", 2.1, 9.0) in published(jump(conversation, 6.0, at=3.0))


@pytest.mark.parametrize("by", [-0.02, -1.0])
def test_time_that_stands_still_takes_nothing_from_anybody(by: float) -> None:
    conversation = begun(QUIET, None, *SAID, (2.5, events.TimeElapsed()))
    assert jump(conversation, by, at=4.0) == []  # a client was held back: so much was no time at all
    assert conversation.next_deadline() == 8.5 + by

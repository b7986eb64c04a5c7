"""Sessions that only write down what they hear, and speech that comes as an item."""

from __future__ import annotations

from dataclasses import replace

from voicertc.core import commands, events, facts
from voicertc.core.events import Origin
from voicertc.core.facts import State
from voicertc.core.items import Item, Modality, Role
from voicertc.core.options import ConversationOptions, SessionOptions, TurnDetection
from voicertc.core.replies import Cause
from voicertc.testing.world import Delays, World

from .plays import QUIET, ask, kinds, requests, shown

WRITING = SessionOptions(is_transcription=True)


def test_it_writes_down_what_it_hears_and_says_nothing() -> None:
    world = World(ConversationOptions(), WRITING)  # with a greeting
    world.user_says(1.0, "first", lasts=1.0)
    world.user_says(5.0, "second", lasts=1.0)
    world.run(until=60.0)
    assert shown(world) == [("user", "first"), ("user", "second")]
    assert [fact.text for fact in world.facts_of(facts.FinalHeard)] == ["first", "second"]
    assert requests(world) == []
    assert world.conversation.state is State.LISTENING


def test_its_turns_are_told_like_any_others() -> None:
    world = World(QUIET, WRITING)
    world.user_says(1.0, "first", lasts=1.0)
    world.run(until=10.0)
    assert kinds(world) == [
        facts.TurnStarted,
        facts.TurnStopped,
        facts.TurnCommitted,
        facts.ItemAdded,
        facts.ItemDone,
        facts.FinalHeard,
    ]


def test_it_does_not_apologize() -> None:
    world = World(QUIET, WRITING, is_recognizer_up=lambda: False)
    world.user_says(1.0, "first", lasts=1.0)
    world.run(until=60.0)
    assert len(world.facts_of(facts.HearingFailed)) == 1
    assert requests(world) == []


def test_neither_a_long_silence_nor_a_timer_makes_it_speak() -> None:
    session = replace(WRITING, turn_detection=TurnDetection(idle_timeout=5.0))
    world = World(QUIET, session)
    world.user_says(1.0, "first", lasts=1.0)
    world.at(5.0, events.SayRequested("Your tea is ready.", Cause.TIMER))
    world.run(until=60.0)
    assert requests(world) == []
    assert world.facts_of(facts.TurnTimedOut) == []


def test_without_turn_detection_it_writes_down_what_is_committed() -> None:
    world = World(QUIET, replace(WRITING, turn_detection=None))
    world.user_says(1.0, "first", lasts=1.0)
    world.user_says(4.0, "second", lasts=1.0)
    world.at(6.0, events.InputCommitRequested())
    world.run(until=10.0)
    assert shown(world) == [("user", "first second")]
    assert world.when(facts.TurnCommitted) == [6.0]


# --- speech that comes as an item ---------------------------------------------------------------


def test_recorded_speech_is_recognized_and_answered_only_when_that_is_asked_for() -> None:
    world = World(QUIET)
    world.client_records(1.0, "mine", "hello")
    world.run(until=10.0)
    assert shown(world) == [("user", "hello")]
    assert kinds(world) == [facts.ItemAdded, facts.ItemDone, facts.FinalHeard]
    assert requests(world) == []
    world.at(11.0, ask())
    world.run(until=20.0)
    assert shown(world) == [("user", "hello"), ("assistant", "You said hello.")]


def test_a_response_waits_for_the_words_of_recorded_speech() -> None:
    world = World(QUIET, delays=Delays(final=3.0))
    world.client_records(1.0, "mine", "hello")
    world.at(1.1, ask())
    world.run(until=20.0)
    assert world.times_of(commands.StartReply) == [4.0]
    assert shown(world)[-1] == ("assistant", "You said hello.")


def test_recorded_speech_that_nobody_understands_in_time_fails_and_is_not_commented_on() -> None:
    world = World(QUIET)
    world.at(1.0, events.ItemSubmitted(Item("other", Role.USER, "and this")))
    world.client_records(1.1, "mine", "hello")
    world.at(1.2, events.TranscriptFailed("mine", "busy", "all taken"))
    world.run(until=60.0)
    assert world.facts_of(facts.HearingFailed) == [facts.HearingFailed("mine", "busy", "all taken")]
    assert requests(world) == []
    assert world.conversation.next_deadline() is None


def test_recorded_speech_that_was_deleted_meanwhile_is_forgotten() -> None:
    world = World(QUIET, delays=Delays(final=3.0))
    world.client_records(1.0, "mine", "hello")
    world.at(2.0, events.ItemDeleteRequested("mine"))
    world.run(until=60.0)
    assert shown(world) == []
    assert world.facts_of(facts.FinalHeard) == []


def test_recorded_speech_is_given_its_own_length_beyond_the_usual_patience() -> None:
    conversation = World(QUIET).conversation
    conversation.handle(events.CallConnected(), 0.0)
    conversation.handle(events.TimeElapsed(), 1.0)
    speech = Item("mine", Role.USER, modality=Modality.AUDIO)
    assert commands.Recognize("mine") in conversation.handle(events.ItemSubmitted(speech), 2.0)
    assert conversation.next_deadline() == 38.0  # 6 s of patience, and the 30 s that it may hold


def test_recordings_are_recognized_a_few_at_a_time() -> None:
    conversation = World(replace(QUIET, max_recordings=2)).conversation
    conversation.handle(events.CallConnected(), 0.0)

    def told_of(item_id: str) -> list[str]:
        speech = Item(item_id, Role.USER, modality=Modality.AUDIO)
        done = conversation.handle(events.ItemSubmitted(speech, origin=Origin("peer", "e1")), 1.0)
        told = [command.fact for command in done if isinstance(command, commands.Publish)]
        return [fact.code for fact in told if isinstance(fact, facts.Refused)]

    assert [told_of(item_id) for item_id in "abc"] == [[], [], ["too_many_recordings"]]
    conversation.handle(events.TranscriptFinal("a", "hello"), 2.0)
    assert [told_of(item_id) for item_id in "cd"] == [[], ["too_many_recordings"]]
    assert [item.id for item in conversation.items] == ["a", "b", "c"]

"""A client that plays replies at its own pace: it has all of it soon, and says what it played."""

from __future__ import annotations

import pytest

from voicertc.core import commands, events, facts
from voicertc.core.items import Modality
from voicertc.core.options import SessionOptions, TurnDetection
from voicertc.core.replies import Cause, Outcome
from voicertc.testing.world import Delays, World

from .plays import CLIENT_PACED, ORIGIN, QUIET, STORY, ask, codes, kinds, requests, shown, tell_story

STORY_MS = 5800
"""How long the story sounds: 87 characters at 15 a second."""


def told(session: SessionOptions | None = None, **delays: float) -> World:
    """A world in which a story is handed over at 2.95 s, and played until 8.75 s."""
    world = World(CLIENT_PACED, session, agent=tell_story, delays=Delays(**delays))
    world.user_says(1.0, "tell me a story", lasts=1.0)
    return world


def truncate(milliseconds: int, item_id: str = "item_r1") -> events.ItemTruncateRequested:
    return events.ItemTruncateRequested(item_id, milliseconds, ORIGIN)


def test_all_of_a_reply_is_told_as_soon_as_it_is_made_and_its_sound_ends_later() -> None:
    world = told()
    world.run(until=20.0)
    assert world.when(facts.ReplyEnded) == [2.95]
    assert [fact.text for fact in world.facts_of(facts.ReplyTextGrew)] == [
        "Once upon a time there was a server.",
        " It answered the phone all day long.",
        " Then it slept.",
    ]
    assert world.when(facts.PlayoutStopped) == [8.75]


def test_what_is_asked_for_right_behind_a_response_begins_while_it_still_sounds() -> None:
    world = told()
    world.at(3.0, ask())
    world.run(until=20.0)
    assert world.times_of(commands.StartReply) == [2.65, 3.0]
    assert codes(world) == []
    assert world.when(facts.ReplyEnded) == [2.95, 3.3]
    assert world.when(facts.PlayoutStopped) == [8.75, 9.083333]  # one behind the other


def test_a_reply_that_nobody_asked_for_waits_until_the_one_before_was_heard() -> None:
    world = told()
    world.at(3.0, events.SayRequested("Your tea is ready.", Cause.TIMER))
    world.at(3.1, ask(is_aside=True))
    world.run(until=30.0)
    assert world.times_of(commands.StartReply)[1] == 8.75
    assert [request.cause for request in requests(world)] == [Cause.TURN, Cause.CLIENT, Cause.TIMER]


def test_a_server_paced_client_waits_for_the_sound_to_end() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.at(8.0, ask())  # the last words are leaving: the response is done
    world.run(until=20.0)
    assert world.times_of(commands.StartReply)[1] == world.when(facts.PlayoutStopped)[0]


def test_a_barge_in_cuts_what_still_sounds_and_what_is_being_made() -> None:
    world = told(agent=0.5)  # the story sounds from 3.25 s to 9.05 s
    world.at(3.4, ask())  # and "Okay." is handed over at 4.0 s
    world.user_says(5.0, "stop", lasts=0.8)
    world.run(until=5.5)
    cancelled = [command.reply_id for _, command in world.log if isinstance(command, commands.CancelReply)]
    assert cancelled == ["resp_1", "resp_2"]
    assert shown(world) == [
        ("user", "tell me a story"),
        ("assistant", "Once upon a time there was a"),  # 2.22 s of it
        ("assistant", ""),  # nothing of it was heard
    ]
    assert [(fact.item_id, fact.audio_end_ms) for fact in world.facts_of(facts.ItemTruncated)] == [
        ("item_r1", 2220),
        ("item_r2", 0),
    ]
    # Both had been told to their end; their sound is thrown away.
    assert {fact.outcome for fact in world.facts_of(facts.ReplyEnded)} == {Outcome.COMPLETED}
    assert len(world.facts_of(facts.PlayoutCleared)) == 2


def test_the_user_is_told_to_speak_only_when_it_is_a_barge_in() -> None:
    world = told()
    world.user_says(5.0, "", lasts=0.15)
    world.run(until=20.0)
    assert len(world.facts_of(facts.TurnStarted)) == 1
    assert shown(world)[1] == ("assistant", STORY)
    world = told()
    world.user_says(5.0, "stop", lasts=1.0)
    world.run(until=5.5)
    assert world.when(facts.TurnStarted)[1] == 5.47  # one that counts back to 4.7 s, padding included
    assert world.facts_of(facts.TurnStarted)[1].at == 4.7


def test_what_the_client_played_is_less_than_what_was_estimated() -> None:
    world = told()
    world.user_says(5.0, "stop", lasts=0.8)  # cut at 5.47: 2.52 s
    world.at(5.6, truncate(1200))
    world.at(5.7, truncate(2000))
    world.run(until=6.0)
    assert shown(world)[1] == ("assistant", "Once upon a time")
    assert [fact.audio_end_ms for fact in world.facts_of(facts.ItemTruncated)] == [2520, 1200, 2000]
    assert [fact.text for fact in world.facts_of(facts.ItemTruncated)][1:] == ["Once upon a time"] * 2


def test_a_truncate_beyond_our_estimate_is_taken_but_lengthens_nothing() -> None:
    world = told()
    world.user_says(5.0, "stop", lasts=0.8)
    world.at(5.6, truncate(STORY_MS))  # the client has all of it
    world.at(5.7, truncate(STORY_MS + 2))
    world.run(until=6.0)
    assert shown(world)[1] == ("assistant", "Once upon a time there was a server.")
    assert [fact.audio_end_ms for fact in world.facts_of(facts.ItemTruncated)] == [2520, STORY_MS]
    assert codes(world) == ["invalid_value"]


@pytest.mark.parametrize(("milliseconds", "refused"), [(333, False), (334, False), (335, True)])
def test_a_client_may_round_up_by_a_millisecond(milliseconds: int, refused: bool) -> None:
    world = World(CLIENT_PACED, agent=lambda _: "Okay.")  # 333.33 ms
    world.at(1.0, ask())
    world.at(1.4, truncate(milliseconds))
    world.run(until=4.0)
    assert bool(codes(world)) is refused
    assert shown(world) == [("assistant", "Okay." if refused or milliseconds > 333 else "")]


def test_a_client_that_truncates_what_still_sounds_has_stopped_it() -> None:
    world = told()
    world.at(4.95, truncate(1200))
    world.at(5.0, events.SayRequested("Your tea is ready."))
    world.run(until=5.0)
    assert shown(world)[1] == ("assistant", "Once upon a time")
    assert world.times_of(commands.CancelReply) == [4.95]
    assert kinds(world, 4.95) == [facts.ItemTruncated, facts.PlayoutCleared, facts.ReplyBegan]
    assert world.times_of(commands.StartReply)[1] == 5.0  # the floor is free


def test_a_client_that_truncates_the_first_of_two_goes_on_with_the_second() -> None:
    world = told()
    world.at(3.0, ask())
    world.at(4.95, truncate(1200))
    world.run(until=20.0)
    assert shown(world)[1:] == [("assistant", "Once upon a time"), ("assistant", "Okay.")]
    assert world.when(facts.PlayoutStopped) == [5.283333]


def test_a_truncate_of_a_reply_that_is_still_made_lets_it_go_on_without_words() -> None:
    conversation = told(agent=100.0).conversation
    handle = conversation.handle
    handle(events.CallConnected(), 0.0)
    handle(events.TimeElapsed(), 0.5)
    handle(ask(), 1.0)
    handle(events.ClauseQueued("resp_1", 0, "One two three."), 2.0)
    handle(events.ClauseBegan("resp_1", 0), 2.0)
    handle(events.ClauseVoiced("resp_1", 0, 0, 24_000), 2.1)
    ordered = handle(truncate(500), 2.5)
    assert not any(isinstance(command, commands.CancelReply) for command in ordered)
    handle(events.ClauseQueued("resp_1", 1, " Four five."), 2.6)
    handle(events.ClauseBegan("resp_1", 1), 2.6)
    assert conversation.items[0].text == "One two"


def test_who_speaks_as_the_sound_ends_is_not_answered_over_by_what_is_being_prepared() -> None:
    world = told(agent=1.0)  # the story sounds from 3.75 s to 9.55 s
    world.at(9.3, ask())  # prepared until 10.4 s
    world.user_says(9.4, "wait", lasts=2.0)  # noticed at 9.47 s, in doubt until 9.87 s
    world.run(until=11.0)
    assert world.when(facts.TurnStarted)[1] == world.when(facts.PlayoutStopped)[0] == 9.55
    assert world.times_of(commands.CancelReply) == [9.55]
    world.run(until=30.0)
    assert [request.cause for request in requests(world)] == [Cause.TURN, Cause.CLIENT, Cause.CLIENT]
    assert shown(world)[-2:] == [("user", "wait"), ("assistant", "Okay.")]


def test_who_may_not_interrupt_stops_what_is_prepared_and_not_what_sounds() -> None:
    session = SessionOptions(turn_detection=TurnDetection(interrupt_response=False))
    world = told(session, agent=1.0)
    world.at(4.0, ask())
    world.user_says(4.5, "hello", lasts=0.5)
    world.run(until=30.0)
    assert [command.reply_id for _, command in world.log if isinstance(command, commands.CancelReply)] == [
        "resp_2"
    ]
    assert shown(world)[1] == ("assistant", STORY)
    assert shown(world)[-2:] == [("user", "hello"), ("assistant", "Okay.")]


def test_a_written_response_is_given_while_the_one_before_sounds() -> None:
    world = told()
    world.at(4.0, ask(output=Modality.TEXT))
    world.run(until=5.0)
    assert world.when(facts.ReplyEnded) == [2.95, 4.2]
    assert world.when(facts.PlayoutStopped) == []
    world.run(until=20.0)
    assert world.when(facts.PlayoutStopped) == [8.75]


def test_what_was_made_beyond_the_last_whole_clause_may_be_truncated_to() -> None:
    conversation = told(agent=100.0).conversation
    handle = conversation.handle
    handle(events.CallConnected(), 0.0)
    handle(events.TimeElapsed(), 0.5)
    handle(ask(), 1.0)
    handle(events.ClauseQueued("resp_1", 0, STORY), 2.0)
    handle(events.ClauseBegan("resp_1", 0), 2.0)
    handle(events.ResponseCancelRequested(None, ORIGIN), 4.0)
    handle(events.ReplyStopped("resp_1", 48_000, 96_000), 4.0)  # 2 s heard by our estimate, 4 s made
    for milliseconds, is_refused in ((3900, False), (4100, True)):
        ordered = handle(truncate(milliseconds), 4.1)
        published = [command.fact for command in ordered if isinstance(command, commands.Publish)]
        assert [isinstance(fact, facts.Refused) for fact in published] == [is_refused]
    assert conversation.items[0].text == "Once upon a time there was a"


def test_words_that_a_client_was_told_are_left_do_not_change_when_the_voice_tells_its_times() -> None:
    conversation = told(agent=100.0).conversation
    handle = conversation.handle
    handle(events.CallConnected(), 0.0)
    handle(events.TimeElapsed(), 0.5)
    handle(ask(), 1.0)
    handle(events.ClauseQueued("resp_1", 0, "One two."), 2.0)
    handle(events.ClauseBegan("resp_1", 0), 2.0)
    handle(truncate(400), 2.5)  # six characters, as far as is known
    assert conversation.items[0].text == "One"
    handle(events.ClauseVoiced("resp_1", 0, 0, 48_000), 2.6)  # it is spoken very slowly
    handle(events.ReplyGenerated("resp_1"), 2.6)
    handle(truncate(400), 2.7)
    ordered = handle(events.ReplyStopped("resp_1", 16_000, 48_000), 2.7)
    assert conversation.items[0].text == "One"
    assert commands.Publish(facts.PlayoutCleared("resp_1")) in ordered

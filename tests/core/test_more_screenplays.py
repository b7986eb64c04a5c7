"""More screenplays: orders of events that are rare, and what must come of them all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.core import commands, events, facts
from voicertc.core.clauses import ClauseSplitter
from voicertc.core.conversation import Conversation
from voicertc.core.facts import Fact, State
from voicertc.core.items import Modality, Role, Status
from voicertc.core.options import (
    ConversationOptions,
    EndpointingOptions,
    Phrases,
    SessionOptions,
    TurnDetection,
)
from voicertc.core.replies import Cause, Outcome, ReplyRequest
from voicertc.testing.world import Delays, World

QUIET = ConversationOptions(phrases=Phrases(greeting=None, waiting=None), backchannels=("yeah", "mm-hm"))
PUSH_TO_TALK = SessionOptions(turn_detection=None)
ASKED = events.ResponseRequested(ReplyRequest(Cause.CLIENT))
STORY = "Once upon a time there was a server. It answered the phone all day long. Then it slept."
ORIGIN = events.Origin("peer", "ev_1")


def tell_story(text: str) -> str:
    return STORY if "story" in text else "Okay."


def told(story_at: float = 1.0, session: SessionOptions | None = None, **delays: float) -> World:
    """A world in which a story plays from 2.95 s on, with the usual delays."""
    world = World(QUIET, session, agent=tell_story, delays=Delays(**delays))
    world.user_says(story_at, "tell me a story", lasts=1.0)
    return world


def kinds(world: World, since: float = 0.0) -> list[type[Fact]]:
    """The kinds of the facts published at ``since`` or later, but for the state's."""
    return [
        type(command.fact)
        for when, command in world.log
        if when >= since
        and isinstance(command, commands.Publish)
        and not isinstance(command.fact, facts.StateChanged)
    ]


# --- holding and resuming -----------------------------------------------------------------------


@pytest.mark.parametrize("detection", [None, TurnDetection(interrupt_response=False)])
def test_a_held_reply_goes_on_when_interruptions_are_switched_off(detection: TurnDetection | None) -> None:
    world = told(final=0.9)
    world.user_says(5.0, "", lasts=0.1)
    world.at(5.6, events.SessionUpdated(SessionOptions(turn_detection=detection)))
    world.user_says(5.7, "on and on", lasts=4.0)
    world.run(until=30.0)
    assert ("assistant", STORY) in world.history
    assert world.times_of(commands.ResumeReply)[0] <= 5.77
    assert world.times_of(commands.CancelReply) == []


def test_speech_over_a_reply_that_was_resumed_within_the_same_turn_holds_it_again() -> None:
    world = told(session=SessionOptions(turn_detection=TurnDetection(silence=2.0)))
    world.user_says(5.5, "", lasts=0.1)  # the reply goes on at 6.6, the turn would end at 7.6
    world.user_says(7.0, "stop it", lasts=1.0)
    world.run(until=20.0)
    assert world.times_of(commands.ResumeReply) == [6.6]
    assert world.times_of(commands.HoldReply)[-1] == 7.07
    assert world.times_of(commands.CancelReply) == [7.47]
    assert world.history[-1] == ("assistant", "Okay.")


def test_a_reply_ducked_while_interruptions_are_switched_off_is_restored() -> None:
    world = told()
    world.at(5.0, events.SpeechSuspected(4.95))
    world.at(5.02, events.SessionUpdated(SessionOptions(turn_detection=None)))
    world.at(5.1, events.SpeechStarted(4.95))
    world.run(until=5.2)
    assert world.times_of(commands.DuckReply) == [5.0]
    assert len(world.times_of(commands.ResumeReply)) == 1


def test_words_of_an_earlier_turn_that_claim_the_floor_let_the_open_one_be_known() -> None:
    world = told(final=0.4)
    world.user_says(5.0, "wait", lasts=0.1)  # its words come at 6.0
    world.user_says(5.9, "what about paris", lasts=1.0)
    world.run(until=6.05)
    assert [fact.item_id for fact in world.facts_of(facts.TurnStarted)] == ["item_u1", "item_u2", "item_u3"]
    world.run(until=20.0)
    assert world.history[2:] == [("user", "wait"), ("user", "what about paris"), ("assistant", "Okay.")]


def test_a_reply_that_is_cancelled_while_it_is_held_lets_the_user_be_heard_at_once() -> None:
    world = told()
    world.user_says(5.0, "hello", lasts=1.0)
    world.at(5.1, events.ResponseCancelRequested())
    world.run(until=5.15)
    assert world.when(facts.TurnStarted)[-1] == 5.1
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "Okay.")


def test_words_that_come_after_the_reply_they_were_said_over_are_answered() -> None:
    # A short word at the end of a reply; the recognizer takes so long that the reply has ended meanwhile.
    world = World(
        QUIET, agent=lambda text: "Really?" if "do it" in text else "Done.", delays=Delays(final=3.0)
    )
    world.user_says(1.0, "do it", lasts=1.0)  # "Really?" plays from 5.8 to 6.27
    world.user_says(5.9, "yeah", lasts=0.1)
    world.run(until=30.0)
    assert world.history == [
        ("user", "do it"),
        ("assistant", "Really?"),
        ("user", "yeah"),
        ("assistant", "Done."),
    ]


def test_a_noise_whose_reply_has_ended_meanwhile_is_no_turn() -> None:
    world = World(QUIET, agent=lambda _: "Really?", delays=Delays(final=3.0))
    world.user_says(1.0, "do it", lasts=1.0)
    world.user_says(5.9, "", lasts=0.1)
    world.run(until=30.0)
    assert world.history == [("user", "do it"), ("assistant", "Really?")]
    assert len(world.facts_of(facts.TurnStarted)) == 1


def test_a_turn_whose_words_come_late_stands_before_the_one_that_was_said_later() -> None:
    world = told(final=0.15)
    handle = world.conversation.handle
    world.run(until=5.0)
    handle(events.SpeechStarted(5.0), 5.05)
    handle(events.SpeechStopped(5.1), 5.2)
    handle(events.TimeElapsed(), 5.6)  # "wait" is over, its words are due
    handle(events.SpeechStarted(5.7), 5.75)
    handle(events.TimeElapsed(), 6.0)  # a barge-in
    handle(events.ReplyStopped("resp_1", 48_000), 6.0)
    handle(events.SpeechStopped(6.5), 6.6)
    handle(events.TimeElapsed(), 7.0)
    handle(events.TranscriptFinal("item_u3", "what about paris"), 7.2)
    handle(events.TranscriptFinal("item_u2", "wait"), 7.4)
    assert [text for role, text in world.history if role == "user"] == [
        "tell me a story",
        "wait",
        "what about paris",
    ]


def test_a_written_reply_is_not_held_and_the_user_is_heard_at_once() -> None:
    conversation = Conversation(QUIET, SessionOptions(output=Modality.TEXT))
    handle = conversation.handle
    handle(events.CallConnected(), 0.0)
    handle(events.TimeElapsed(), 0.5)
    handle(ASKED_IN_WRITING, 1.0)
    handle(events.ReplyTextAdded("resp_1", "Once upon"), 1.5)
    ordered = handle(events.SpeechStarted(2.0), 2.1)
    assert not any(isinstance(command, commands.HoldReply) for command in ordered)
    assert commands.Publish(facts.TurnStarted("item_u1", 1.7)) in ordered
    handle(events.ReplyTextAdded("resp_1", " a time."), 2.2)
    handle(events.ReplyGenerated("resp_1"), 2.3)
    assert conversation.items[0].text == "Once upon a time."


ASKED_IN_WRITING = events.ResponseRequested(ReplyRequest(Cause.CLIENT, output=Modality.TEXT))


# --- a client that goes away --------------------------------------------------------------------


def test_a_reply_that_was_being_prepared_waits_for_the_client_to_come_back() -> None:
    world = told(agent=1.0)
    world.at(3.0, events.ClientAway())
    world.at(20.0, events.ClientBack())
    world.run(until=40.0)
    assert world.times_of(commands.HoldReply) == [3.0]
    assert world.times_of(commands.ResumeReply) == [20.0]
    assert world.times_of(commands.CancelReply) == []
    assert world.when(facts.PlayoutStarted)[0] >= 20.0
    assert world.history[-1] == ("assistant", STORY)


def test_a_reply_that_never_began_is_given_up_after_the_client_came_back() -> None:
    world = told(agent=1000.0)
    world.at(3.0, events.ClientAway())
    world.at(20.0, events.ClientBack())
    world.run(until=40.0)
    assert world.times_of(commands.CancelReply) == [2.65 + 12.0 + 17.0]  # it has as long as it had
    assert world.history[-1] == ("assistant", Phrases().apology)


def test_nothing_is_said_to_a_client_that_is_away() -> None:
    world = told()
    world.at(5.0, events.SpeechSuspected(4.95))
    world.at(5.1, events.ClientAway())
    world.at(5.2, events.SpeechStopped(5.0))
    world.run(until=8.0)
    assert world.times_of(commands.ResumeReply) == []


# --- push-to-talk -------------------------------------------------------------------------------


def test_what_was_said_without_pressing_the_button_is_nobodys_business() -> None:
    world = World(QUIET, PUSH_TO_TALK, agent=tell_story)
    world.user_says(1.0, "chatter in the room", lasts=50.0)
    world.at(70.0, ASKED)
    world.user_says(72.0, "more chatter", lasts=1.0)
    world.run(until=120.0)
    assert [role for role, _ in world.history] == ["assistant"]
    assert world.facts_of(facts.TurnCommitted) == []
    assert world.times_of(commands.CancelReply) == []
    assert world.conversation.state is State.LISTENING


def test_a_long_dictation_is_committed_in_pieces_and_in_order() -> None:
    options = ConversationOptions(
        phrases=Phrases(greeting=None, waiting=None), endpointing=EndpointingOptions(max_turn=5.0)
    )
    world = World(options, PUSH_TO_TALK)
    for when, text in ((1.0, "one"), (6.5, "two"), (12.0, "three")):
        world.user_says(when, text, lasts=0.8)
    world.run(until=13.5)
    assert world.history == []
    world.at(13.5, events.InputCommitRequested())
    world.at(13.51, ASKED)
    world.run(until=20.0)
    assert [text for role, text in world.history if role == "user"] == ["one", "two", "three"]
    assert world.history[-1] == ("assistant", "You said one two three.")
    assert kinds(world, 13.5)[:3] == [facts.TurnCommitted, facts.ItemAdded, facts.ItemDone]


def test_who_speaks_already_when_the_button_goes_down_is_heard() -> None:
    world = World(QUIET, PUSH_TO_TALK)
    world.user_says(1.0, "what time is it", lasts=2.0)
    world.at(1.5, events.InputClearRequested())
    world.at(4.0, events.InputCommitRequested())
    world.at(4.0, ASKED)
    world.run(until=10.0)
    assert world.history == [("user", "what time is it"), ("assistant", "You said what time is it.")]
    opened = [command for _, command in world.log if isinstance(command, commands.OpenTurn)]
    assert [command.at for command in opened] == [0.7, 1.5]


def test_who_speaks_on_after_a_commit_is_heard_in_the_next_one() -> None:
    world = World(QUIET, PUSH_TO_TALK)
    world.user_says(1.0, "first", lasts=3.0)
    world.at(2.0, events.InputCommitRequested())
    world.at(5.0, events.InputCommitRequested())
    world.run(until=10.0)
    assert world.when(facts.TurnCommitted) == [2.0, 5.0]
    assert world.facts_of(facts.Refused) == []


def test_the_end_of_the_last_word_makes_no_turn_after_a_commit() -> None:
    world = World(QUIET, PUSH_TO_TALK)
    world.user_says(1.0, "first", lasts=1.0)
    world.at(2.05, events.InputCommitRequested())  # while the detector still waits for more
    world.run(until=10.0)
    assert world.when(facts.TurnCommitted) == [2.05]
    assert world.times_of(commands.OpenTurn) == [1.07, 2.05]
    assert world.times_of(commands.DropTurn) == [2.1]


def test_a_commit_by_hand_is_answered_as_soon_as_the_user_is_silent() -> None:
    world = World(QUIET)
    world.user_says(1.0, "hello", lasts=1.0)
    world.at(2.05, events.InputCommitRequested())
    world.run(until=10.0)
    assert world.history == [("user", "hello"), ("assistant", "You said hello.")]
    assert world.times_of(commands.StartReply) == [2.2]
    assert len(world.facts_of(facts.TurnStarted)) == 1


def test_a_failed_turn_is_not_commented_on_unasked() -> None:
    world = World(QUIET, PUSH_TO_TALK, is_recognizer_up=lambda: False)
    world.user_says(1.0, "hello", lasts=1.0)
    world.at(3.0, events.InputCommitRequested())
    world.run(until=10.0)
    assert len(world.facts_of(facts.HearingFailed)) == 1
    assert world.times_of(commands.StartReply) == []


def test_the_answer_asked_for_to_a_failed_turn_is_an_apology() -> None:
    world = World(QUIET, PUSH_TO_TALK, is_recognizer_up=lambda: False)
    world.user_says(1.0, "hello", lasts=1.0)
    world.at(3.0, events.InputCommitRequested())
    world.at(3.0, ASKED)
    world.run(until=10.0)
    assert [text for role, text in world.history if role == "assistant"] == [Phrases().apology]
    assert world.facts_of(facts.ReplyBegan)[0].request.cause is Cause.CLIENT


def test_switching_to_push_to_talk_and_back_forgets_what_was_in_the_air() -> None:
    world = World(QUIET, PUSH_TO_TALK)
    world.user_says(1.0, "not meant for you", lasts=1.0)
    world.at(5.0, events.SessionUpdated(SessionOptions()))
    world.user_says(8.0, "hello", lasts=1.0)
    world.run(until=20.0)
    assert world.history == [("user", "hello"), ("assistant", "You said hello.")]
    assert world.when(facts.TurnCommitted) == [9.5]


# --- turns --------------------------------------------------------------------------------------


def test_clearing_while_the_user_speaks_lets_nobody_talk_over_them() -> None:
    world = World(QUIET)
    world.user_says(1.0, "hello there", lasts=3.0)
    world.at(1.9, events.SayRequested("Your timer is up.", Cause.TIMER))
    world.at(2.0, events.InputClearRequested())
    world.run(until=20.0)
    assert world.times_of(commands.StartReply)[0] > 4.0
    assert world.history[0] == ("user", "hello there")


def test_a_turn_does_not_begin_in_the_words_of_the_one_before() -> None:
    hasty = SessionOptions(turn_detection=TurnDetection(silence=0.2, prefix_padding=0.5))
    world = World(QUIET, hasty)
    world.user_says(1.0, "one", lasts=1.0)
    world.user_says(2.3, "two", lasts=1.0)
    world.run(until=20.0)
    opened = [command for _, command in world.log if isinstance(command, commands.OpenTurn)]
    assert [command.at for command in opened] == [0.5, 2.0]
    assert [fact.at for fact in world.facts_of(facts.TurnStarted)] == [0.5, 2.0]


def test_a_recognizer_that_fails_again_and_again_is_apologized_for_once() -> None:
    options = ConversationOptions(
        phrases=Phrases(greeting=None, waiting=None), endpointing=EndpointingOptions(max_turn=5.0)
    )
    world = World(options, is_recognizer_up=lambda: False)
    world.user_says(1.0, "on and on", lasts=22.0)
    world.run(until=60.0)
    assert len(world.facts_of(facts.HearingFailed)) == 5
    assert world.history.count(("assistant", Phrases().apology)) == 1


def test_words_that_come_before_the_turn_is_over_are_kept_for_its_end() -> None:
    world = World(QUIET, delays=Delays(final=100.0))
    world.user_says(1.0, "hello", lasts=3.0)
    world.at(2.5, events.TranscriptFinal("item_u1", "hello"))
    world.run(until=20.0)
    assert world.when(facts.FinalHeard) == [4.5]
    assert world.history == [("user", "hello"), ("assistant", "You said hello.")]


# --- replies ------------------------------------------------------------------------------------


def test_a_client_may_take_back_what_it_asked_for_before_it_begins() -> None:
    world = World(QUIET)
    world.user_says(1.0, "well", lasts=3.0)
    world.at(2.0, ASKED)
    world.at(3.0, events.ResponseCancelRequested(None, ORIGIN))
    world.run(until=20.0)
    assert world.facts_of(facts.Refused) == []
    first = world.facts_of(facts.ReplyEnded)[0]
    assert (first.outcome, first.reason, world.when(facts.ReplyEnded)[0]) == (
        Outcome.CANCELLED,
        "client_cancelled",
        3.0,
    )
    assert [fact.request.cause for fact in world.facts_of(facts.ReplyBegan)] == [Cause.CLIENT, Cause.TURN]
    assert len(world.times_of(commands.StartReply)) == 1


def test_a_reply_truncated_while_it_plays_never_grows_again() -> None:
    world = told()
    world.at(4.0, events.ItemTruncateRequested("item_r1", 900))
    world.at(5.0, events.ItemTruncateRequested("item_r1", 2000))
    world.run(until=20.0)
    world.at(21.0, events.ItemTruncateRequested("item_r1", 5000))
    world.run(until=22.0)
    assert world.history[-1] == ("assistant", "Once upon a")
    assert world.facts_of(facts.Refused) == []


def test_a_reply_truncated_and_then_stopped_keeps_the_less_that_was_heard() -> None:
    world = told()
    world.at(4.0, events.ItemTruncateRequested("item_r1", 900))
    world.at(5.0, events.OutputClearRequested())
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "Once upon a")


def test_a_reply_that_was_stopped_while_its_voice_was_at_work_may_be_truncated_to_what_was_heard() -> None:
    world = told()
    world.run(until=2.7)
    handle = world.conversation.handle
    handle(events.ClauseQueued("resp_1", 0, STORY), 2.8)
    handle(events.ClauseBegan("resp_1", 0), 2.8)
    ordered = handle(events.ItemTruncateRequested("item_r1", 4000), 6.9)
    assert not any(isinstance(_fact(command), facts.Refused) for command in ordered)
    handle(events.OutputClearRequested(), 7.0)
    handle(events.ReplyStopped("resp_1", 96_000), 7.0)
    ordered = handle(events.ItemTruncateRequested("item_r1", 3000), 7.1)
    assert not any(isinstance(_fact(command), facts.Refused) for command in ordered)
    ordered = handle(events.ItemTruncateRequested("item_r1", 9000), 7.2)
    assert any(isinstance(_fact(command), facts.Refused) for command in ordered)


def test_a_written_reply_that_is_cancelled_is_incomplete() -> None:
    conversation = Conversation(QUIET)
    handle = conversation.handle
    handle(events.CallConnected(), 0.0)
    handle(events.TimeElapsed(), 0.5)
    handle(ASKED_IN_WRITING, 1.0)
    handle(events.ReplyTextAdded("resp_1", "Once upon"), 1.5)
    handle(events.ResponseCancelRequested(), 2.0)
    handle(events.ReplyStopped("resp_1", 0), 2.0)
    item = conversation.items[0]
    assert (item.text, item.status) == ("Once upon", Status.INCOMPLETE)


@pytest.mark.parametrize("fails_at", [1.2, 1.8])
def test_a_reply_whose_voice_broke_in_a_clause_keeps_only_the_words_that_were_made(fails_at: float) -> None:
    conversation = Conversation(QUIET)
    script: list[tuple[float, events.Event]] = [
        (0.0, events.CallConnected()),
        (0.5, ASKED),
        (1.0, events.ClauseQueued("resp_1", 0, "One.")),
        (1.0, events.ClauseVoiced("resp_1", 0, 0, 12_000)),
        (1.0, events.ClauseBegan("resp_1", 0)),
        (1.1, events.ClauseQueued("resp_1", 1, " Two three four.")),
        (1.1, events.ClauseMarked("resp_1", 1, ((0, 1), (9_000, 5), (20_000, 11)))),
        (1.5, events.ClauseBegan("resp_1", 1)),
        (fails_at, events.ReplyFailed("resp_1", "provider_error", "gone", 12_000 + 10_000)),
        (2.0, events.PlayoutDrained("resp_1")),
    ]
    published = [
        _fact(command)
        for when, event in sorted(script, key=lambda entry: entry[0])
        for command in conversation.handle(event, when)
    ]
    assert conversation.items[0].text == "One. Two"
    ended = next(fact for fact in published if isinstance(fact, facts.ReplyEnded))
    assert ended.items == conversation.items[:1]
    cuts = [fact for fact in published if isinstance(fact, facts.ItemTruncated)]
    assert cuts == ([facts.ItemTruncated("item_r1", 916, "One. Two")] if fails_at > 1.5 else [])


def test_what_was_heard_of_an_unfinished_clause_follows_the_marks_known_so_far() -> None:
    conversation = Conversation(QUIET)
    handle = conversation.handle
    handle(events.CallConnected(), 0.0)
    handle(ASKED, 0.5)
    handle(events.ClauseQueued("resp_1", 0, "One two three four"), 1.0)
    handle(events.ClauseMarked("resp_1", 0, ((0, 0), (30_000, 4))), 1.0)
    handle(events.ClauseBegan("resp_1", 0), 1.0)
    handle(events.ClauseMarked("resp_1", 0, ((40_000, 8), (60_000, 14))), 1.5)
    handle(events.OutputClearRequested(), 2.8)
    handle(events.ReplyStopped("resp_1", 41_000), 2.8)
    assert conversation.items[0].text == "One two"


def test_a_long_sentence_is_cut_however_it_comes() -> None:
    sentence = "word " * 100 + "end."
    splitter = ClauseSplitter()
    whole = splitter.feed(sentence) + splitter.flush()
    assert max(map(len, whole)) <= 240
    pieces = ClauseSplitter()
    assert [clause for word in sentence.split(" ") for clause in pieces.feed(word + " ")][:2] == whole[:2]


# --- greeting and goodbye -----------------------------------------------------------------------


def test_a_client_that_asks_for_the_first_word_is_not_greeted_as_well() -> None:
    world = World(agent=lambda _: "Welcome.")
    world.at(0.1, ASKED)
    world.run(until=20.0)
    assert world.history == [("assistant", "Welcome.")]


def test_what_an_agent_says_at_once_waits_for_the_greeting() -> None:
    world = World()
    world.at(0.1, events.SayRequested("You have mail."))
    world.run(until=20.0)
    assert [text for _, text in world.history] == [Phrases().greeting, "You have mail."]


def test_who_interrupts_the_goodbye_goes_on_with_the_call() -> None:
    world = World(QUIET, agent=lambda text: "Goodbye, and do call again." if "bye" in text else "Sure.")
    world.user_says(1.0, "bye", lasts=0.6)
    world.at(2.3, events.EndRequested())
    world.user_says(3.0, "oh wait", lasts=1.0)
    world.run(until=30.0)
    assert world.times_of(commands.EndCall) == []
    assert world.history[-2:] == [("user", "oh wait"), ("assistant", "Sure.")]


def test_going_on_before_the_goodbye_is_audible_takes_it_back() -> None:
    world = World(
        QUIET, agent=lambda text: "Sure." if "wait" in text else "Goodbye.", delays=Delays(agent=1.0)
    )
    world.user_says(1.0, "bye", lasts=0.6)
    world.at(2.3, events.EndRequested())
    world.user_says(2.6, "no wait", lasts=1.0)
    world.run(until=30.0)
    assert world.times_of(commands.EndCall) == []


def test_an_end_that_no_reply_asked_for_comes_in_the_next_silence() -> None:
    world = told()
    world.user_says(20.0, "hello", lasts=2.0)
    world.at(21.0, events.EndRequested())
    world.run(until=40.0)
    assert world.history[-1] == ("assistant", "Okay.")
    assert len(world.times_of(commands.EndCall)) == 1


def test_the_calls_end_is_the_last_that_clients_are_told() -> None:
    world = told()
    world.at(5.0, events.CallEnded("hangup"))
    world.run(until=10.0)
    assert kinds(world, 5.0) == [
        facts.ReplyItemEnded,
        facts.ReplyEnded,
        facts.PlayoutCleared,
        facts.ItemTruncated,
        facts.CallEnding,
    ]
    last = world.log[-1][1]
    assert last == commands.EndCall("hangup")


# --- whatever happened --------------------------------------------------------------------------

SAID = st.tuples(
    st.sampled_from(["", "mm-hm", "stop", "tell me a story"]),
    st.sampled_from([0.1, 0.15, 0.5, 1.0, 3.0]),
    st.sampled_from([None, 0.2, 0.9]),
)
SESSIONS = st.sampled_from(
    [
        SessionOptions(),
        PUSH_TO_TALK,
        SessionOptions(turn_detection=TurnDetection(interrupt_response=False)),
        SessionOptions(turn_detection=TurnDetection(create_response=False)),
        SessionOptions(turn_detection=TurnDetection(silence=1.5)),
        SessionOptions(turn_detection=TurnDetection(silence=0.2)),
    ]
)
HAPPENINGS = st.one_of(
    SAID,
    SAID,
    st.sampled_from(
        [
            ASKED,
            ASKED_IN_WRITING,
            events.ResponseCancelRequested(),
            events.OutputClearRequested(),
            events.InputCommitRequested(),
            events.InputClearRequested(),
            events.SayRequested("Your timer is up.", Cause.TIMER),
            events.ClientAway(),
            events.ClientBack(),
            events.ItemTruncateRequested("item_r1", 500),
            events.ItemDeleteRequested("item_r1"),
            events.ItemDeleteRequested("item_u2"),
        ]
    ),
    st.builds(events.SessionUpdated, SESSIONS),
)
GAPS = st.one_of(st.floats(0.02, 0.6), st.floats(0.05, 4.0))


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.tuples(GAPS, HAPPENINGS), max_size=25),
    SESSIONS,
    st.sampled_from([0.15, 1.0, 8.0]),
    st.sampled_from([0.2, 3.0, 20.0]),
    st.sampled_from([None, 0.15]),
)
def test_whatever_happened_the_next_question_is_answered(
    happenings: list[tuple[float, object]],
    session: SessionOptions,
    final: float,
    agent: float,
    eager: float | None,
) -> None:
    answer: list[str | Exception] = [STORY, RuntimeError("no"), "Okay.", ""]
    answers = iter(answer * 100)
    options = replace(QUIET, endpointing=EndpointingOptions(eager_silence=eager))
    world = World(options, session, agent=lambda _: next(answers), delays=Delays(final=final, agent=agent))
    now = 0.0
    for gap, happening in happenings:
        now += gap
        if isinstance(happening, tuple):
            text, lasts, confidence = happening
            world.user_says(now, text, lasts=lasts, confidence=confidence)
            now += lasts
        else:
            world.at(now, happening)  # type: ignore[arg-type]
    world.at(now + 1.0, events.ClientBack())
    world.at(now + 120.0, events.SessionUpdated(SessionOptions()))
    world.run(until=now + 180.0)
    assert world.conversation.state is State.LISTENING
    assert not [item for item in world.conversation.items if item.status is Status.IN_PROGRESS]
    spoken = [item.text or "" for item in world.conversation.items if item.role is Role.ASSISTANT]
    assert all(any(said.startswith(text) for said in (STORY, *SAID_BY_ITSELF)) for text in spoken)
    answers = iter(["Fine."] * 9)
    world.user_says(now + 181.0, "hello", lasts=1.0)
    world.run(until=now + 240.0)
    # Never nothing: an answer, or the honest apology for a recognizer or an agent that is too slow.
    expected = Phrases().apology if final > 6.0 or agent > 12.0 else "Fine."
    assert world.history[-1] == ("assistant", expected)
    assert world.conversation.next_deadline() is None


SAID_BY_ITSELF = ("Okay.", "Your timer is up.", Phrases().apology, Phrases().not_heard)


def _fact(command: commands.Command) -> Fact | None:
    return command.fact if isinstance(command, commands.Publish) else None

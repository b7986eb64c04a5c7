"""Screenplays: the user speaks at such a time; then these commands, this history."""

from __future__ import annotations

from dataclasses import replace

from voicertc.core import commands, events, facts
from voicertc.core.facts import State
from voicertc.core.items import Item, Modality, Role
from voicertc.core.options import (
    ConversationOptions,
    EndpointingOptions,
    InterruptionOptions,
    Phrases,
    SessionOptions,
    TurnDetection,
)
from voicertc.core.replies import Cause, Outcome, ReplyRequest
from voicertc.testing.world import Delays, World

QUIET = ConversationOptions(phrases=Phrases(greeting=None, waiting=None))
STORY = "Once upon a time there was a server. It answered the phone all day long. Then it slept."


def tell_story(text: str) -> str:
    return STORY if "story" in text else "Okay."


def test_a_greeting_comes_first_and_the_user_is_answered() -> None:
    world = World()
    world.user_says(5.0, "hello", lasts=0.8)
    world.run(until=20.0)
    assert world.history == [
        ("assistant", "Hello, I am voicertc. How can I help you?"),
        ("user", "hello"),
        ("assistant", "You said hello."),
    ]


def test_a_greeting_has_the_voice_that_the_client_has_chosen() -> None:
    world = World()
    world.at(0.3, events.SessionUpdated(SessionOptions(voice="cedar")))
    world.run(until=1.0)
    began = world.facts_of(facts.ReplyBegan)
    assert (began[0].request.cause, began[0].request.voice) == (Cause.GREETING, "cedar")
    assert world.when(facts.ReplyBegan) == [0.55]


def test_a_client_that_asks_right_after_it_has_set_up_its_session_is_answered_and_not_greeted() -> None:
    world = World()
    world.at(0.3, events.SessionUpdated(SessionOptions(voice="cedar")))
    world.at(0.4, events.ItemSubmitted(Item("mine", Role.USER, "what time is it")))
    world.at(0.6, events.ResponseRequested(ReplyRequest(Cause.CLIENT)))
    world.run(until=10.0)
    assert world.history == [("user", "what time is it"), ("assistant", "You said what time is it.")]
    assert [fact.request.cause for fact in world.facts_of(facts.ReplyBegan)] == [Cause.CLIENT]


def test_what_a_client_asks_during_the_greeting_is_answered_after_it() -> None:
    world = World()
    world.at(1.0, events.ItemSubmitted(Item("mine", Role.USER, "what time is it")))
    world.at(1.0, events.ResponseRequested(ReplyRequest(Cause.CLIENT)))
    world.run(until=20.0)
    assert world.facts_of(facts.Refused) == []
    assert world.history == [
        ("assistant", "Hello, I am voicertc. How can I help you?"),
        ("user", "what time is it"),
        ("assistant", "You said what time is it."),
    ]


def test_who_speaks_first_is_not_greeted() -> None:
    world = World()
    world.user_says(0.1, "what time is it", lasts=1.0)
    world.run(until=10.0)
    assert world.history == [("user", "what time is it"), ("assistant", "You said what time is it.")]


def test_a_turn_ends_by_silence_counted_from_the_last_speech_frame() -> None:
    # Detection and hangover lag by 0.3 s and 0.2 s; the user must not pay for either.
    world = World(QUIET, delays=Delays(detection=0.3, hangover=0.2))
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=10.0)
    assert world.times_of(commands.CloseTurn) == [2.5]
    assert world.facts_of(facts.TurnStopped) == [facts.TurnStopped("item_u1", 2.0)]


def test_a_pause_shorter_than_the_silence_does_not_end_the_turn() -> None:
    world = World(QUIET)
    world.user_says(1.0, "my number is", lasts=1.0)
    world.user_says(2.4, "five five", lasts=0.8)
    world.run(until=10.0)
    assert world.history[0] == ("user", "my number is five five")
    assert world.times_of(commands.CloseTurn) == [3.7]


def test_a_barge_in_holds_at_once_and_keeps_what_was_heard() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.user_says(5.0, "stop", lasts=0.8)
    world.run(until=20.0)
    assert world.times_of(commands.HoldReply) == [5.07]
    assert world.times_of(commands.CancelReply) == [5.47]
    assert world.history == [
        ("user", "tell me a story"),
        ("assistant", "Once upon a time there was a"),  # 2.12 s at 15 characters a second
        ("user", "stop"),
        ("assistant", "Okay."),
    ]
    ended = world.facts_of(facts.ReplyEnded)[0]
    assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, "turn_detected")


def test_clients_see_a_barge_in_in_the_order_they_expect() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.user_says(5.0, "stop", lasts=0.8)
    world.run(until=5.5)
    kinds = [type(fact) for fact in world.facts if not isinstance(fact, facts.StateChanged)]
    assert kinds[-5:] == [
        facts.TurnStarted,
        facts.ReplyItemEnded,
        facts.ReplyEnded,
        facts.PlayoutCleared,
        facts.ItemTruncated,
    ]
    assert world.facts_of(facts.TurnStarted)[-1].at == 4.7  # back-dated, with its padding


def test_a_cough_only_holds_the_reply() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.user_says(5.0, "", lasts=0.15)
    world.run(until=20.0)
    assert world.times_of(commands.HoldReply) == [5.07]
    assert world.times_of(commands.CancelReply) == []
    # Its words (none) are known 0.15 s after the turn's end at 5.65: no need to wait longer.
    assert world.times_of(commands.ResumeReply) == [5.8]
    assert world.history == [("user", "tell me a story"), ("assistant", STORY)]
    assert len(world.facts_of(facts.TurnStarted)) == 1


def test_a_held_reply_goes_on_after_a_second_even_if_the_recognizer_is_slow() -> None:
    world = World(QUIET, agent=tell_story, delays=Delays(final=3.0))
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.user_says(8.0, "", lasts=0.15)
    world.run(until=20.0)
    assert world.times_of(commands.ResumeReply) == [9.15]


def test_a_backchannel_is_no_claim_to_the_floor() -> None:
    options = ConversationOptions(
        phrases=Phrases(greeting=None, waiting=None), backchannels=("mm-hm", "yeah", "uh huh")
    )
    world = World(options, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.user_says(5.0, "Mm-hm.", lasts=0.15)
    world.user_says(6.5, "uh huh", lasts=0.15)
    world.run(until=20.0)
    assert world.times_of(commands.CancelReply) == []
    assert world.history == [("user", "tell me a story"), ("assistant", STORY)]


def test_a_short_word_is_a_claim_when_the_recognizer_is_sure() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.user_says(5.0, "no", lasts=0.15, confidence=0.9)
    world.run(until=20.0)
    assert world.history[1:] == [
        ("assistant", "Once upon a time there was a"),
        ("user", "no"),
        ("assistant", "Okay."),
    ]


def test_a_short_noise_that_was_heard_as_a_word_without_confidence_changes_nothing() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.user_says(5.0, "huh", lasts=0.15, confidence=0.2)
    world.run(until=20.0)
    assert world.history == [("user", "tell me a story"), ("assistant", STORY)]


def test_a_suspicion_ducks_the_reply_and_its_end_restores_it() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.at(5.0, events.SpeechSuspected(4.95))
    world.at(5.2, events.SpeechStopped(5.0))
    world.run(until=20.0)
    assert world.times_of(commands.DuckReply) == [5.0]
    assert world.times_of(commands.ResumeReply) == [5.2]
    assert world.history[1] == ("assistant", STORY)


def test_interruptions_can_be_switched_off_and_the_answer_waits_its_turn() -> None:
    options = ConversationOptions(
        phrases=Phrases(greeting=None, waiting=None), interruptions=InterruptionOptions(enabled=False)
    )
    world = World(options, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.user_says(5.0, "stop", lasts=0.8)
    world.run(until=30.0)
    assert world.times_of(commands.HoldReply) == []
    assert world.history == [
        ("user", "tell me a story"),
        ("assistant", STORY),
        ("user", "stop"),
        ("assistant", "Okay."),
    ]


def test_going_on_before_the_answer_is_audible_reopens_the_turn() -> None:
    world = World(QUIET, delays=Delays(agent=1.0))
    world.user_says(1.0, "what is the weather", lasts=1.0)
    world.user_says(3.0, "in paris", lasts=0.5)
    world.run(until=20.0)
    assert world.history == [
        ("user", "what is the weather"),
        ("user", "in paris"),
        ("assistant", "You said what is the weather in paris."),
    ]


def test_a_noise_while_the_agent_thinks_does_not_lose_the_question() -> None:
    world = World(QUIET, delays=Delays(agent=1.0))
    world.user_says(1.0, "what time is it", lasts=1.0)
    world.user_says(3.0, "", lasts=0.2)
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "You said what time is it.")


def test_a_monologue_is_heard_in_pieces_and_answered_when_it_ends() -> None:
    options = ConversationOptions(
        phrases=Phrases(greeting=None, waiting=None), endpointing=EndpointingOptions(max_turn=30.0)
    )
    world = World(options)
    world.user_says(1.0, "on and on", lasts=595.0)
    world.run(until=700.0)
    n_pieces = len(world.times_of(commands.CloseTurn))
    assert n_pieces == 20  # pieces of 30 s, each begun where the last one ended
    assert len(world.times_of(commands.StartReply)) == 1
    assert world.times_of(commands.StartReply)[0] > 596.0
    opened = [command for _, command in world.log if isinstance(command, commands.OpenTurn)]
    assert [command.at for command in opened[:3]] == [0.7, 31.0, 61.0]


def test_a_noise_without_words_gets_no_reply() -> None:
    world = World(QUIET)
    world.user_says(1.0, "", lasts=0.4)
    world.run(until=20.0)
    assert world.times_of(commands.StartReply) == []


def test_who_spoke_for_long_enough_hears_that_nothing_was_understood() -> None:
    world = World(QUIET)
    world.user_says(1.0, "", lasts=0.6)
    world.run(until=20.0)
    assert world.history == [("user", ""), ("assistant", Phrases().not_heard)]


def test_a_turn_that_cannot_be_recognized_is_apologized_for() -> None:
    world = World(QUIET, is_recognizer_up=lambda: False)
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "Sorry, something went wrong. Please try again.")
    assert world.facts_of(facts.HearingFailed) == [facts.HearingFailed("item_u1", "crashed", "down")]


def test_a_recognizer_that_breaks_while_the_user_speaks_does_not_make_us_interrupt() -> None:
    world = World(QUIET)
    world.user_says(1.0, "a long sentence", lasts=4.0)
    world.at(2.0, events.TranscriptFailed("item_u1", "busy", "all taken"))
    world.run(until=20.0)
    assert world.times_of(commands.StartReply)[0] == 5.5
    assert world.history[-1] == ("assistant", Phrases().busy)


def test_a_recognizer_that_never_answers_is_given_up() -> None:
    world = World(QUIET, delays=Delays(final=100.0))
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=20.0)
    assert world.facts_of(facts.HearingFailed)[0].code == "timeout"
    assert world.times_of(commands.DropTurn) == [8.5]
    assert world.history[-1] == ("assistant", "Sorry, something went wrong. Please try again.")


def test_a_broken_agent_is_apologized_for() -> None:
    world = World(QUIET, agent=lambda _: RuntimeError("no"))
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "Sorry, something went wrong. Please try again.")
    assert world.facts_of(facts.ReplyEnded)[0].outcome is Outcome.FAILED


def test_an_agent_that_never_answers_is_given_up_with_an_apology() -> None:
    world = World(QUIET, delays=Delays(agent=100.0))
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=40.0)
    assert world.times_of(commands.CancelReply) == [14.65]
    assert world.history[-1] == ("assistant", "Sorry, something went wrong. Please try again.")


def test_a_timer_speaks_when_the_floor_is_free() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.at(3.0, events.SayRequested("Your timer is up.", Cause.TIMER))
    world.run(until=30.0)
    assert world.history[-2:] == [("assistant", STORY), ("assistant", "Your timer is up.")]


def test_the_agent_may_end_the_call_after_its_last_word() -> None:
    world = World(QUIET, agent=lambda _: "Goodbye.")
    world.user_says(1.0, "goodbye", lasts=0.6)
    world.at(2.4, events.EndRequested())
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "Goodbye.")
    stopped = world.when(facts.PlayoutStopped)
    assert world.times_of(commands.EndCall) == stopped


def test_a_client_that_goes_away_is_waited_for() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.at(4.0, events.ClientAway())
    world.at(9.0, events.ClientBack())
    world.run(until=30.0)
    assert world.times_of(commands.HoldReply) == [4.0]
    assert world.times_of(commands.ResumeReply) == [9.0]
    assert [fact.state for fact in world.facts_of(facts.StateChanged)].count(State.RECONNECTING) == 1
    assert world.history[-1] == ("assistant", STORY)


def test_hanging_up_stops_everything_and_later_events_change_nothing() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.at(4.0, events.CallEnded("hangup"))
    world.user_says(5.0, "hello", lasts=1.0)
    world.run(until=30.0)
    ended = [command for when, command in world.log if when >= 4.0]
    assert commands.EndCall("hangup") in ended
    assert not any(isinstance(command, commands.StartReply | commands.OpenTurn) for command in ended)
    assert world.conversation.next_deadline() is None
    assert world.history == [("user", "tell me a story"), ("assistant", "Once upon a")]


def test_push_to_talk_commits_without_an_answer_until_one_is_asked_for() -> None:
    session = SessionOptions(turn_detection=None)
    world = World(QUIET, session)
    world.user_says(1.0, "hello", lasts=1.0)
    world.at(4.0, events.InputCommitRequested())
    world.at(6.0, events.ResponseRequested(ReplyRequest(Cause.CLIENT)))
    world.run(until=20.0)
    assert world.facts_of(facts.TurnStarted) == []
    assert world.when(facts.TurnCommitted) == [4.0]
    assert world.times_of(commands.StartReply) == [6.0]
    assert world.history == [("user", "hello"), ("assistant", "You said hello.")]


def test_a_commit_of_nothing_is_refused_to_the_one_who_asked() -> None:
    world = World(QUIET, SessionOptions(turn_detection=None))
    origin = events.Origin("peer", "ev_1")
    world.at(1.0, events.InputClearRequested())
    world.at(1.05, events.InputCommitRequested(origin))
    world.run(until=2.0)
    refused = world.facts_of(facts.Refused)[0]
    assert (refused.code, refused.origin) == ("input_audio_buffer_commit_empty", origin)


def test_a_commit_of_what_was_no_speech_to_our_ears_is_recognized_all_the_same() -> None:
    world = World(QUIET, SessionOptions(turn_detection=None))
    world.at(1.0, events.InputClearRequested())
    world.at(1.5, events.InputCommitRequested())
    world.run(until=3.0)
    assert [command for _, command in world.log if isinstance(command, commands.OpenTurn)] == [
        commands.OpenTurn("item_u1", 1.0)
    ]
    assert world.history == [("user", "")]
    assert world.facts_of(facts.FinalHeard)[0].text == ""
    assert world.times_of(commands.StartReply) == []


def test_typed_text_is_answered_in_writing_when_asked_for() -> None:
    world = World(QUIET)
    world.at(1.0, events.ItemSubmitted(Item("mine", Role.USER, "hello")))
    world.at(1.1, events.ResponseRequested(ReplyRequest(Cause.CLIENT, output=Modality.TEXT)))
    world.run(until=5.0)
    assert world.history == [("user", "hello"), ("assistant", "You said hello.")]
    assert world.facts_of(facts.PlayoutStarted) == []
    assert world.facts_of(facts.ReplyEnded)[0].outcome is Outcome.COMPLETED


def test_a_second_response_while_one_runs_is_refused() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.at(3.5, events.ResponseRequested(ReplyRequest(Cause.CLIENT)))
    world.run(until=4.0)
    assert world.facts_of(facts.Refused)[0].code == "conversation_already_has_active_response"


def test_a_client_may_cancel_the_reply_and_is_told_when_there_is_none() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.at(4.5, events.ResponseCancelRequested())
    world.at(4.6, events.ResponseCancelRequested(origin=events.Origin("peer", "late")))
    world.run(until=10.0)
    ended = world.facts_of(facts.ReplyEnded)[0]
    assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, "client_cancelled")
    assert world.facts_of(facts.Refused)[0].code == "response_cancel_not_active"
    assert world.history[-1] == ("assistant", "Once upon a time there")


def test_a_truncated_item_keeps_what_its_client_played_and_never_grows_again() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.at(15.0, events.ItemTruncateRequested("item_r1", 3000))
    world.at(16.0, events.ItemTruncateRequested("item_r1", 5000))
    world.at(17.0, events.ItemTruncateRequested("item_r1", 60_000))
    world.at(18.0, events.ItemTruncateRequested("item_u1", 10))
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "Once upon a time there was a server. It")
    assert len(world.facts_of(facts.ItemTruncated)) == 2
    assert [refused.code for refused in world.facts_of(facts.Refused)] == ["invalid_value"] * 2


def test_items_are_added_retrieved_and_deleted_or_refused() -> None:
    world = World(QUIET)
    world.at(1.0, events.ItemSubmitted(Item("a", Role.SYSTEM, "Be kind.")))
    world.at(1.1, events.ItemSubmitted(Item("b", Role.USER, "hello"), "root"))
    world.at(1.2, events.ItemSubmitted(Item("a", Role.USER, "again")))
    world.at(1.3, events.ItemSubmitted(Item("c", Role.USER, "lost"), "nowhere"))
    world.at(1.4, events.ItemRetrieveRequested("a"))
    world.at(1.5, events.ItemDeleteRequested("a"))
    world.at(1.6, events.ItemRetrieveRequested("a"))
    world.run(until=2.0)
    assert world.history == [("user", "hello")]
    assert world.facts_of(facts.ItemRetrieved)[0].item.text == "Be kind."
    codes = [refused.code for refused in world.facts_of(facts.Refused)]
    assert codes == ["item_already_exists", "item_not_found", "item_not_found"]


def test_a_client_cannot_take_the_id_of_an_item_that_is_to_come() -> None:
    world = World(QUIET)
    for when, item_id in ((0.5, "item_u1"), (0.6, "item_r1"), (1.5, "item_u1")):
        world.at(when, events.ItemSubmitted(Item(item_id, Role.USER, "mine")))
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=10.0)
    assert world.history == [("user", "hello"), ("assistant", "You said hello.")]
    assert [refused.code for refused in world.facts_of(facts.Refused)] == ["item_already_exists"] * 3


def test_a_client_may_put_back_an_item_it_deleted() -> None:
    world = World(QUIET)
    world.user_says(1.0, "hello", lasts=1.0)
    world.at(8.0, events.ItemDeleteRequested("item_u1"))
    world.at(8.1, events.ItemSubmitted(Item("item_u1", Role.USER, "hello again"), "root"))
    world.run(until=10.0)
    assert world.history == [("user", "hello again"), ("assistant", "You said hello.")]


def test_a_client_may_choose_how_long_a_silence_ends_a_turn() -> None:
    patient = SessionOptions(turn_detection=TurnDetection(silence=1.5))
    world = World(QUIET)
    world.at(0.5, events.SessionUpdated(patient))
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=10.0)
    assert world.times_of(commands.CloseTurn) == [3.5]


def test_the_history_is_bounded() -> None:
    options = ConversationOptions(phrases=Phrases(greeting=None, waiting=None), max_items=6)
    world = World(options)
    for index in range(20):
        world.user_says(1.0 + 10 * index, f"turn {index}", lasts=1.0)
    world.run(until=300.0)
    assert len(world.history) == 6
    assert world.history[-2] == ("user", "turn 19")


def test_answers_of_a_reply_that_is_not_live_are_dropped_at_the_door() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.run(until=5.0)
    before, n_commands = world.history, len(world.log)
    for event in (
        events.ClauseQueued("resp_0", 3, " And more."),
        events.ClauseBegan("resp_0", 1),
        events.ReplyGenerated("resp_0"),
        events.PlayoutDrained("resp_0"),
        events.ReplyStopped("resp_0", 0),
        events.ReplyFailed("resp_0", "late", "late"),
    ):
        assert world.conversation.handle(event, 5.0) == []
    assert (world.history, len(world.log)) == (before, n_commands)


def test_no_reply_begins_before_it_is_known_what_was_heard_of_the_last() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "tell me a story", lasts=1.0)
    world.run(until=5.0)
    handle = world.conversation.handle
    handle(events.OutputClearRequested(), 5.0)
    ordered = handle(events.SayRequested("Your timer is up.", Cause.TIMER), 5.0)
    assert not any(isinstance(command, commands.StartReply) for command in ordered)
    ordered = handle(events.ReplyStopped("resp_1", 24_000), 5.0)
    assert any(isinstance(command, commands.StartReply) for command in ordered)
    assert world.history[-1] == ("assistant", "Once upon a")


def test_the_oldest_items_give_way_to_large_ones() -> None:
    world = World(replace(QUIET, max_characters=100))
    for number in range(4):
        world.at(1.0 + number, events.ItemSubmitted(Item(f"mine-{number}", Role.USER, str(number) * 40)))
    world.run(until=6.0)
    assert [item.id for item in world.conversation.items] == ["mine-2", "mine-3"]
    world.at(7.0, events.ItemSubmitted(Item("huge", Role.USER, "x" * 1000)))
    world.run(until=8.0)
    assert [item.id for item in world.conversation.items] == ["huge"]


def test_truncating_what_is_not_there_names_the_item() -> None:
    world = World(QUIET)
    world.at(1.0, events.ItemTruncateRequested("unknown", 100, events.Origin("peer", "ev_1")))
    world.run(until=2.0)
    (refused,) = world.facts_of(facts.Refused)
    assert (refused.code, refused.param) == ("item_not_found", "item_id")


def test_a_turn_reaches_from_its_first_word_to_its_last() -> None:
    world = World(QUIET)
    world.user_says(1.0, "hello there", lasts=1.0)
    world.run(until=2.55)
    (word, last) = (events.Word("hello", 0.9, 1.4), events.Word("there", 1.5, 2.1))
    world.at(2.6, events.TranscriptFinal("item_u1", "hello there", words=(word, last)))
    world.run(until=3.0)
    heard = world.facts_of(facts.FinalHeard)[0]
    assert (heard.start, heard.end) == (0.9, 2.1)

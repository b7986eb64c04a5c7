"""Functions that the client runs: a call ends the reply, the client's output asks for the next."""

from __future__ import annotations

from dataclasses import replace

from voicertc.core import commands, events, facts
from voicertc.core.facts import State
from voicertc.core.items import Status
from voicertc.core.options import SessionOptions, Tool, ToolChoice
from voicertc.core.replies import Cause, CutShort, Outcome, ToolCall, Usage
from voicertc.testing.world import Answer, Delays, World

from .plays import QUIET, ask, codes, kinds, output, requests, shown, tell_story

CALL = ToolCall("weather", '{"city": "Paris"}')
CALLED = ("weather", '{"city": "Paris"}')
QUESTION = ("user", "how is the weather")
OFFERED = SessionOptions(tools=(Tool("weather"), Tool("transfer")), tool_choice=ToolChoice("required"))


def calling(*first: str | ToolCall | Usage | CutShort, **delays: float) -> World:
    """A world in which a question asked until 2.0 s is met with ``first`` from 2.85 s on."""

    def agent(text: str) -> Answer:
        return f"It is {text}." if text == "21 degrees" else first if "weather" in text else "Okay."

    world = World(QUIET, OFFERED, agent=agent, delays=Delays(**delays))
    world.user_says(1.0, "how is the weather", lasts=1.0)
    return world


def test_a_call_alone_ends_the_reply_at_once() -> None:
    world = calling(CALL)
    world.run(until=10.0)
    assert shown(world) == [QUESTION, CALLED]
    assert kinds(world, 2.8) == [
        facts.ReplyItemBegan,
        facts.ReplyItemEnded,
        facts.ReplyEnded,
    ]
    began, ended = world.facts_of(facts.ReplyItemBegan)[0], world.facts_of(facts.ReplyItemEnded)[0]
    assert (began.item.arguments, began.item.status) == ("", Status.IN_PROGRESS)
    assert (ended.item.arguments, ended.item.status) == (CALL.arguments, Status.COMPLETED)
    done = world.facts_of(facts.ReplyEnded)[0]
    assert (done.outcome, done.items) == (Outcome.COMPLETED, (ended.item,))
    assert world.conversation.state is State.LISTENING
    assert world.conversation.next_deadline() is None


def test_the_clients_output_and_its_request_are_answered_with_both_in_history() -> None:
    world = calling(CALL)
    world.at(3.0, output("call_1", "21 degrees"))
    world.at(3.01, ask())
    world.run(until=10.0)
    assert shown(world) == [QUESTION, CALLED, ("", "21 degrees"), ("assistant", "It is 21 degrees.")]
    assert world.times_of(commands.StartReply) == [2.65, 3.01]
    assert codes(world) == []


def test_an_output_alone_is_not_answered() -> None:
    world = calling(CALL)
    world.at(3.0, output("call_1", "21 degrees"))
    world.run(until=10.0)
    assert len(requests(world)) == 1
    added = [fact for fact in world.facts_of(facts.ItemAdded) if fact.item.call_id]
    assert [fact.previous_item_id for fact in added] == ["item_f1"]


def test_speech_before_a_call_comes_first_although_nobody_has_heard_it_yet() -> None:
    world = calling("One moment.", CALL)
    world.run(until=10.0)
    assert shown(world) == [QUESTION, ("assistant", "One moment."), CALLED]
    assert [fact.item.id for fact in world.facts_of(facts.ReplyItemBegan)] == ["item_r1", "item_f1"]
    assert [fact.previous_item_id for fact in world.facts_of(facts.ReplyItemBegan)] == ["item_u1", "item_r1"]
    # The client may run the function while the words are still leaving.
    assert world.when(facts.ReplyItemEnded) == [2.95, 2.95]
    assert world.when(facts.PlayoutStopped)[0] > 3.6
    ended = world.facts_of(facts.ReplyEnded)[0]
    assert [item.id for item in ended.items] == ["item_r1", "item_f1"]


def test_words_after_a_call_are_a_message_behind_it() -> None:
    world = calling(CALL, "Let me see.")
    world.run(until=10.0)
    assert shown(world) == [QUESTION, CALLED, ("assistant", "Let me see.")]


def test_two_calls_in_one_response_are_answered_together() -> None:
    world = calling(CALL, ToolCall("transfer", "{}"))
    world.at(3.0, output("call_2", "done"))
    world.at(3.1, output("call_1", "21 degrees"))
    world.at(3.2, ask())
    world.run(until=10.0)
    assert [fact.item.call_id for fact in world.facts_of(facts.ReplyItemBegan)][:2] == ["call_1", "call_2"]
    assert shown(world)[1:5] == [CALLED, ("transfer", "{}"), ("", "done"), ("", "21 degrees")]
    assert len(world.facts_of(facts.ReplyEnded)[0].items) == 2
    assert len(requests(world)) == 2


def test_ids_of_calls_are_never_used_again() -> None:
    world = calling(CALL)
    world.user_says(5.0, "how is the weather", lasts=1.0)
    world.run(until=10.0)
    items = world.conversation.items
    assert [item.call_id for item in items if item.call_id] == ["call_1", "call_2"]
    assert [item.id for item in items if item.call_id] == ["item_f1", "item_f2"]


def test_an_output_of_a_call_that_was_never_made_is_refused() -> None:
    world = calling(CALL)
    world.at(2.0, output("call_1", "too early"))
    world.at(4.0, output("call_7", "unknown"))
    world.at(5.0, events.ItemDeleteRequested("item_f1"))
    world.at(5.1, output("call_1", "too late"))
    world.run(until=10.0)
    assert codes(world) == ["invalid_tool_call_id"] * 3
    assert world.facts_of(facts.Refused)[0].param == "item.call_id"
    assert shown(world) == [QUESTION]


def test_a_client_cannot_take_the_id_of_a_call_that_is_to_come() -> None:
    world = calling(CALL)
    item = output("call_1", "").item
    world.at(1.0, events.ItemSubmitted(replace(item, id="item_f1")))
    world.run(until=10.0)
    assert codes(world) == ["item_already_exists"]
    assert shown(world) == [QUESTION, CALLED]


def test_who_speaks_while_a_tool_runs_is_answered_without_it() -> None:
    world = calling(CALL)
    world.user_says(3.5, "and hello", lasts=0.5)
    world.at(8.0, output("call_1", "21 degrees"))
    world.at(8.01, ask())
    world.run(until=20.0)
    assert shown(world) == [
        QUESTION,
        CALLED,
        ("user", "and hello"),
        ("assistant", "Okay."),
        ("", "21 degrees"),
        ("assistant", "It is 21 degrees."),
    ]


def test_a_request_that_comes_while_the_user_speaks_answers_both() -> None:
    world = calling(CALL)
    world.user_says(3.0, "and hello", lasts=1.0)
    world.at(3.5, output("call_1", "21 degrees"))
    world.at(3.51, ask())
    world.run(until=20.0)
    assert len(requests(world)) == 2
    assert requests(world)[1].cause is Cause.CLIENT
    assert [text for role, text in shown(world) if role == "user"] == ["how is the weather", "and hello"]
    assert shown(world)[-1][0] == "assistant"


def test_going_on_before_words_that_stand_in_front_of_a_call_are_heard_takes_the_turn_back() -> None:
    world = calling("One moment.", CALL, voice=1.0)
    world.run(until=3.5)
    handle = world.conversation.handle
    handle(events.ClauseQueued("resp_1", 0, "One moment."), 3.5)
    handle(events.ToolCalled("resp_1", *CALLED), 3.5)
    assert shown(world) == [QUESTION, ("assistant", ""), CALLED]
    handle(events.ClientAway(), 3.51)
    handle(events.ClientBack(), 3.52)
    ordered = handle(events.SpeechStarted(3.5), 3.6)
    assert commands.CancelReply("resp_1") in ordered  # not a word of it has been heard


def test_a_handoff_applies_to_the_answer_that_is_asked_for_behind_it() -> None:
    world = calling(ToolCall("transfer", "{}"))
    billing = SessionOptions(instructions="You do billing.", tools=(Tool("refund"),))
    world.at(3.0, events.SessionUpdated(billing))
    world.at(3.01, output("call_1", "{}"))
    world.at(3.02, ask(instructions=billing.instructions, tools=billing.tools))
    world.user_says(6.0, "thanks", lasts=0.5)
    world.run(until=12.0)
    first, *others = requests(world)
    assert (first.tools, first.tool_choice) == (OFFERED.tools, OFFERED.tool_choice)
    assert [request.cause for request in others] == [Cause.CLIENT, Cause.TURN]
    for request in others:
        assert (request.instructions, request.tools) == ("You do billing.", (Tool("refund"),))


def test_a_noise_while_the_answer_to_a_tool_is_prepared_asks_for_it_again() -> None:
    world = calling(CALL, agent=0.5)
    world.at(3.5, output("call_1", "21 degrees"))
    world.at(3.51, ask())
    world.user_says(3.6, "", lasts=0.15)
    world.run(until=20.0)
    assert shown(world)[-1] == ("assistant", "It is 21 degrees.")
    assert [request.cause for request in requests(world)] == [Cause.TURN, Cause.CLIENT, Cause.CLIENT]


def test_what_a_reply_cost_and_that_it_was_cut_short_is_told_at_its_end() -> None:
    world = calling("It is", CutShort("max_output_tokens"), Usage(20, 8, 16))
    world.run(until=10.0)
    ended = world.facts_of(facts.ReplyEnded)[0]
    assert (ended.outcome, ended.reason, ended.usage) == (
        Outcome.INCOMPLETE,
        "max_output_tokens",
        Usage(20, 8, 16),
    )
    assert [(item.text, item.status) for item in ended.items] == [("It is", Status.INCOMPLETE)]
    assert world.conversation.items[-1].status is Status.INCOMPLETE
    # Nothing has failed: nobody apologizes for what the client's own limit cut off.
    assert len(requests(world)) == 1


def test_a_reply_that_fails_behind_a_call_keeps_the_call_and_is_apologized_for() -> None:
    world = World(QUIET, OFFERED, agent=tell_story, delays=Delays(agent=5.0))
    world.user_says(1.0, "how is the weather", lasts=1.0)
    world.at(3.0, events.ToolCalled("resp_1", *CALLED))
    world.at(3.1, events.ReplyFailed("resp_1", "provider_error", "gone"))
    world.run(until=4.0)
    assert shown(world)[1] == CALLED
    ended = world.facts_of(facts.ReplyEnded)[0]
    assert (ended.outcome, len(ended.items)) == (Outcome.FAILED, 1)
    assert requests(world)[-1].cause is Cause.APOLOGY


def test_a_call_of_a_reply_that_is_over_is_dropped_at_the_door() -> None:
    world = calling("It is sunny.")
    world.run(until=10.0)
    before = shown(world)
    assert world.conversation.handle(events.ToolCalled("resp_1", *CALLED), 10.0) == []
    assert shown(world) == before

"""Responses outside the conversation, and responses to other input than its history."""

from __future__ import annotations

from dataclasses import replace

from voicertc.core import commands, events, facts
from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.core.replies import Cause, Outcome, ReplyRequest, ToolCall
from voicertc.testing.world import Delays, World

from .plays import CLIENT_PACED, ORIGIN, QUIET, STORY, ask, codes, output, requests, shown, tell_story

TAG = ask(output=Modality.TEXT, is_aside=True)
HINT = ask(is_aside=True)
HISTORY = [("user", "tell me a story"), ("assistant", STORY)]


def told(**delays: float) -> World:
    """A world in which a story plays from 2.95 s on."""
    world = World(QUIET, agent=tell_story, delays=Delays(**delays))
    world.user_says(1.0, "tell me a story", lasts=1.0)
    return world


def outcomes(world: World) -> dict[str, Outcome]:
    return {fact.reply_id: fact.outcome for fact in world.facts_of(facts.ReplyEnded)}


def began(world: World, reply_id: str) -> list[facts.ReplyItemBegan]:
    return [fact for fact in world.facts_of(facts.ReplyItemBegan) if fact.reply_id == reply_id]


# --- written ------------------------------------------------------------------------------------


def test_a_written_aside_runs_beside_a_reply_and_leaves_no_items() -> None:
    world = told()
    world.at(4.0, TAG)
    world.run(until=20.0)
    assert shown(world) == HISTORY
    (fact,) = began(world, "resp_2")
    assert (fact.is_aside, fact.previous_item_id) == (True, None)
    written = [fact.text for fact in world.facts_of(facts.ReplyTextGrew) if fact.reply_id == "resp_2"]
    assert written == ["Okay."]
    assert world.when(facts.ReplyEnded)[0] == 4.2  # long before the story
    assert outcomes(world) == {"resp_1": Outcome.COMPLETED, "resp_2": Outcome.COMPLETED}
    assert world.times_of(commands.HoldReply) == world.times_of(commands.CancelReply) == []


def test_asides_run_beside_one_another_and_beside_the_user() -> None:
    world = World(QUIET, agent=tell_story, delays=Delays(agent=1.0))
    world.user_says(1.0, "tell me a story", lasts=3.0)
    for when in (1.5, 1.6, 1.7):
        world.at(when, TAG)
    world.run(until=4.0)
    assert world.times_of(commands.StartReply) == [1.5, 1.6, 1.7]
    assert world.when(facts.ReplyEnded) == [2.5, 2.6, 2.7]
    assert shown(world) == []


def test_an_aside_does_not_keep_the_agent_from_answering() -> None:
    world = told(agent=3.0)
    world.at(2.5, TAG)
    world.run(until=3.0)
    assert [request.is_aside for request in requests(world)] == [True, False]


def test_there_are_as_many_asides_as_are_allowed() -> None:
    world = World(replace(QUIET, max_asides=2), agent=tell_story, delays=Delays(agent=1.0))
    for when in (1.0, 1.1, 1.2):
        world.at(when, TAG)
    world.at(2.05, TAG)  # the first is done
    world.run(until=10.0)
    assert codes(world) == ["too_many_responses"]
    assert world.facts_of(facts.Refused)[0].origin == ORIGIN
    assert len(requests(world)) == 3


def test_an_aside_is_cancelled_by_its_name_only() -> None:
    world = told()
    world.at(2.5, TAG)  # resp_1; the story is resp_2
    world.at(2.55, events.ResponseCancelRequested(None, ORIGIN))
    world.at(2.6, events.ResponseCancelRequested("resp_1", ORIGIN))
    world.at(2.61, events.ResponseCancelRequested("resp_1", ORIGIN))
    world.run(until=20.0)
    assert codes(world) == ["response_cancel_not_active"] * 2
    assert outcomes(world) == {"resp_1": Outcome.CANCELLED, "resp_2": Outcome.COMPLETED}
    assert shown(world) == HISTORY


def test_cancelling_the_reply_leaves_the_asides_alone() -> None:
    world = told(agent=1.0)
    world.at(2.7, TAG)
    world.at(2.8, events.ResponseCancelRequested(None, ORIGIN))
    world.run(until=20.0)
    assert outcomes(world) == {"resp_1": Outcome.CANCELLED, "resp_2": Outcome.COMPLETED}


def test_a_barge_in_leaves_the_asides_alone() -> None:
    world = told(agent=1.0)
    world.at(4.9, TAG)
    world.user_says(5.0, "stop", lasts=0.8)
    world.run(until=20.0)
    assert outcomes(world)["resp_2"] is Outcome.COMPLETED
    assert outcomes(world)["resp_1"] is Outcome.CANCELLED


def test_a_call_in_an_aside_is_nobodys_in_the_conversation() -> None:
    world = World(QUIET, agent=lambda _: ["Rain.", ToolCall("tag", '{"topic": "rain"}')])
    world.at(1.0, TAG)
    world.at(2.0, output("call_1", "ok"))
    world.run(until=5.0)
    assert shown(world) == []
    ended = world.facts_of(facts.ReplyEnded)[0]
    assert [item.kind for item in ended.items] == [Kind.MESSAGE, Kind.FUNCTION_CALL]
    assert codes(world) == ["invalid_tool_call_id"]


def test_nobody_apologizes_aloud_for_an_aside_that_nobody_was_to_hear() -> None:
    for delays, agent in ((Delays(), lambda _: RuntimeError("no")), (Delays(agent=100.0), tell_story)):
        world = World(QUIET, agent=agent, delays=delays)
        world.at(1.0, TAG)
        world.run(until=30.0)
        assert [fact.outcome for fact in world.facts_of(facts.ReplyEnded)] == [Outcome.FAILED]
        assert len(requests(world)) == 1
        assert shown(world) == []


def test_the_end_of_the_call_ends_the_asides_before_it_is_told() -> None:
    world = told(agent=5.0)
    world.at(2.0, TAG)
    world.at(3.0, events.CallEnded("hangup"))
    world.run(until=20.0)
    assert outcomes(world) == {"resp_1": Outcome.CANCELLED, "resp_2": Outcome.CANCELLED}
    assert world.facts[-1] == facts.CallEnding("hangup")


# --- spoken -------------------------------------------------------------------------------------


def test_a_spoken_aside_waits_for_the_floor() -> None:
    world = told()
    world.at(4.0, HINT)
    world.run(until=30.0)
    first, second = world.times_of(commands.StartReply)
    assert second == world.when(facts.PlayoutStopped)[0] > first
    assert len(world.when(facts.PlayoutStopped)) == 2  # it was heard
    assert shown(world) == HISTORY


def test_the_answer_to_the_user_comes_before_a_spoken_aside() -> None:
    world = World(QUIET, agent=tell_story)
    world.user_says(1.0, "hello", lasts=1.0)
    world.at(1.5, HINT)
    world.run(until=20.0)
    assert [request.is_aside for request in requests(world)] == [False, True]


def test_a_spoken_aside_that_is_interrupted_leaves_nothing_and_tells_of_no_item() -> None:
    world = World(QUIET, agent=lambda text: "Okay." if text else STORY)
    world.at(1.0, HINT)
    world.user_says(3.0, "stop", lasts=1.0)
    world.run(until=20.0)
    assert shown(world) == [("user", "stop"), ("assistant", "Okay.")]
    assert outcomes(world)["resp_1"] is Outcome.CANCELLED
    assert world.facts_of(facts.ItemTruncated) == []
    assert world.facts_of(facts.PlayoutCleared) == [facts.PlayoutCleared("resp_1")]
    ended = world.facts_of(facts.ReplyEnded)[0]
    assert [item.text for item in ended.items] == ["Once upon a time there was"]


def test_who_speaks_before_a_spoken_aside_is_heard_has_it_behind_the_answer() -> None:
    world = World(QUIET, agent=tell_story, delays=Delays(agent=1.0))
    world.at(1.0, HINT)
    world.user_says(1.5, "hello", lasts=1.0)
    world.run(until=20.0)
    assert [request.is_aside for request in requests(world)] == [True, False, True]
    assert shown(world) == [("user", "hello"), ("assistant", "Okay.")]


def test_a_client_may_ask_for_a_response_while_a_spoken_aside_is_said() -> None:
    for options in (QUIET, CLIENT_PACED):
        world = World(options, agent=tell_story)
        world.at(1.0, HINT)
        world.at(1.1, ask())
        world.run(until=10.0)
        assert codes(world) == []
        assert shown(world) == [("assistant", "Okay.")]
        assert len(world.when(facts.PlayoutStopped)) == 2


def test_a_spoken_aside_is_not_what_cancelling_means_but_can_be_named() -> None:
    world = World(QUIET, agent=lambda _: STORY)
    world.at(1.0, HINT)
    world.at(2.0, events.ResponseCancelRequested(None, ORIGIN))
    world.at(2.5, events.ResponseCancelRequested("resp_1", ORIGIN))
    world.run(until=5.0)
    assert codes(world) == ["response_cancel_not_active"]
    assert world.times_of(commands.CancelReply) == [2.5]


# --- to other input -----------------------------------------------------------------------------


def test_references_stand_for_the_items_they_name() -> None:
    world = World(QUIET, agent=lambda text: f"About {text}.")
    hello = Item("mine", Role.USER, "hello")
    question = Item("", Role.USER, "and you")
    world.at(1.0, events.ItemSubmitted(hello))
    world.at(1.5, events.ItemSubmitted(Item("other", Role.USER, "not this")))
    world.at(2.0, ask(input=(Item("mine", kind=Kind.ITEM_REFERENCE), question)))
    world.run(until=10.0)
    assert requests(world)[0].input == (hello, question)
    assert shown(world)[-1] == ("assistant", "About hello and you.")
    assert ("user", "and you") not in shown(world)  # it was input, not said


def test_a_reference_to_an_item_that_is_not_there_is_refused_and_nothing_begins() -> None:
    world = World(QUIET)
    for request in (ask(input=_reference("gone")), ask(input=_reference("gone"), is_aside=True)):
        world.at(1.0, request)
    world.run(until=5.0)
    assert codes(world) == ["item_not_found"] * 2
    assert world.facts_of(facts.Refused)[0].param == "response.input"
    assert requests(world) == []


def test_no_input_at_all_is_not_the_history() -> None:
    world = World(QUIET, agent=lambda text: f"You said {text or 'nothing'}.")
    world.at(1.0, events.ItemSubmitted(Item("mine", Role.USER, "hello")))
    world.at(2.0, events.ResponseRequested(ReplyRequest(Cause.CLIENT, input=())))
    world.run(until=10.0)
    assert shown(world)[-1] == ("assistant", "You said nothing.")


def _reference(item_id: str) -> tuple[Item, ...]:
    return (Item(item_id, kind=Kind.ITEM_REFERENCE),)

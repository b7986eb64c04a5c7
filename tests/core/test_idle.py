"""A user who says nothing for too long: the agent may speak again, where the client has asked for it."""

from __future__ import annotations

import pytest

from voicertc.core import commands, events, facts
from voicertc.core.items import Item, Modality, Role
from voicertc.core.options import Phrases, SessionOptions, TurnDetection
from voicertc.core.replies import Cause, ToolCall
from voicertc.testing.world import Delays, World

from .plays import QUIET, ask, kinds, output, requests, shown

PATIENT = SessionOptions(turn_detection=TurnDetection(idle_timeout=5.0))
HELLO = [("user", "hello"), ("assistant", "Okay.")]


def idling(session: SessionOptions = PATIENT, **delays: float) -> World:
    """A world in which "Okay." is said from 2.95 s to 3.2833 s, and then nothing is."""
    world = World(
        QUIET, session, agent=lambda text: "Okay." if text else "Still there?", delays=Delays(**delays)
    )
    world.user_says(1.0, "hello", lasts=1.0)
    return world


def timed_out(world: World) -> list[float]:
    return [round(fact.end, 2) for fact in world.facts_of(facts.TurnTimedOut)]


def test_a_long_silence_after_a_reply_is_a_turn_without_words_that_is_answered() -> None:
    world = idling()
    world.run(until=10.0)
    (fact,) = world.facts_of(facts.TurnTimedOut)
    assert (fact.item_id, round(fact.start, 2), round(fact.end, 2)) == ("item_u2", 3.28, 8.28)
    assert kinds(world, 8.2)[:5] == [
        facts.TurnTimedOut,
        facts.TurnCommitted,
        facts.ItemAdded,
        facts.ItemDone,
        facts.ReplyBegan,
    ]
    assert requests(world)[-1].cause is Cause.IDLE
    assert shown(world) == [*HELLO, ("user", ""), ("assistant", "Still there?")]


def test_each_reply_that_was_heard_arms_it_again() -> None:
    world = idling()
    world.run(until=25.0)
    # "Still there?" sounds for 0.8 s, 0.3 s after it was wanted.
    assert timed_out(world) == [8.28, 14.38, 20.48]


def test_nobody_waits_for_the_first_word_of_a_user() -> None:
    world = World(QUIET, PATIENT)
    world.run(until=60.0)
    assert requests(world) == []


def test_another_reply_restarts_it() -> None:
    world = idling()
    world.at(6.0, events.SayRequested("Your tea is ready."))  # 1.2 s of speech
    world.run(until=13.0)
    assert timed_out(world) == [12.3]


def test_it_does_not_run_while_the_user_speaks_or_the_agent_thinks() -> None:
    world = idling(agent=4.0)  # "Okay." ends at 7.08
    world.user_says(11.5, "on and on", lasts=7.0)  # answered at 19.15, heard from 23.25 to 23.58
    world.run(until=28.0)
    assert timed_out(world) == []
    world.run(until=29.0)
    assert timed_out(world) == [28.58]


def test_a_cough_arms_it_anew() -> None:
    world = idling()
    world.user_says(7.0, "", lasts=0.15)  # a turn of no words, over at 7.65 and known to be so at 7.8
    world.run(until=13.5)
    assert timed_out(world) == [12.8]


def test_it_is_for_who_listens_to_the_server_alone() -> None:
    for detection in (
        None,
        TurnDetection(type="semantic_vad", idle_timeout=5.0),
        TurnDetection(),
    ):
        world = idling(SessionOptions(turn_detection=detection))
        world.at(3.0, ask())
        world.run(until=60.0)
        assert timed_out(world) == []


@pytest.mark.parametrize(("timeout", "at"), [(10.0, 13.28), (5.5, 8.78)])
def test_an_update_while_it_runs_changes_when_it_is_over(timeout: float, at: float) -> None:
    world = idling()
    longer = SessionOptions(turn_detection=TurnDetection(idle_timeout=timeout))
    world.at(6.0, events.SessionUpdated(longer))
    world.run(until=14.0)
    assert timed_out(world) == [at]


def test_an_update_takes_it_away() -> None:
    world = idling()
    world.at(6.0, events.SessionUpdated(SessionOptions()))
    world.run(until=60.0)
    assert timed_out(world) == []


def test_a_written_reply_does_not_arm_it() -> None:
    world = World(QUIET, PATIENT, agent=lambda _: "Okay.")
    world.at(1.0, ask(output=Modality.TEXT))
    world.run(until=60.0)
    assert len(requests(world)) == 1


def test_it_does_not_run_while_the_client_runs_a_tool() -> None:
    def agent(text: str) -> str | list[str | ToolCall]:
        return "It is 21." if text == "21" else ["One moment.", ToolCall("weather", "{}")]

    world = World(QUIET, PATIENT, agent=agent)
    world.user_says(1.0, "weather", lasts=1.0)
    world.at(20.0, output("call_1", "21"))
    world.at(20.5, ask())
    world.run(until=24.0)
    assert timed_out(world) == []
    assert shown(world)[-1] == ("assistant", "It is 21.")
    world.run(until=27.0)
    assert len(timed_out(world)) == 1


def test_it_does_not_run_while_the_client_is_away() -> None:
    world = idling()
    world.at(5.0, events.ClientAway())
    world.at(50.0, events.ClientBack())
    world.run(until=54.9)
    assert timed_out(world) == []
    world.run(until=56.0)
    assert timed_out(world) == [55.0]


def test_who_speaks_before_the_idle_reply_is_heard_is_answered_instead() -> None:
    world = idling(agent=1.0)  # "Okay." ends at 4.08
    world.user_says(9.2, "hello again", lasts=1.0)  # the idle reply would be heard at 10.18
    world.run(until=14.0)
    assert [request.cause for request in requests(world)] == [Cause.TURN, Cause.IDLE, Cause.TURN]
    assert shown(world)[-2:] == [("user", "hello again"), ("assistant", "Okay.")]


def test_a_barge_in_whose_words_come_to_nothing_arms_it_too() -> None:
    world = World(QUIET, PATIENT, agent=lambda _: "One two three four five six seven eight.")
    world.user_says(1.0, "hello", lasts=1.0)
    world.user_says(3.5, "", lasts=1.0)  # claims the floor at 3.97, says nothing
    world.run(until=13.0)
    assert world.times_of(commands.CancelReply) == [3.97]
    assert ("assistant", Phrases().not_heard) in world.history  # it ends at 7.12
    assert timed_out(world) == [12.12]


def test_a_typed_word_is_answered_when_it_is_asked_for_and_not_by_the_clock() -> None:
    world = idling()
    world.at(8.0, events.ItemSubmitted(Item("mine", Role.USER, "typed")))
    world.at(8.1, ask())
    world.run(until=13.0)
    assert timed_out(world) == []
    assert [request.cause for request in requests(world)] == [Cause.TURN, Cause.CLIENT]

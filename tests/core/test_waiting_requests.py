"""Clients that know of no response which could be in the way: what they ask for comes behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicertc.core import commands, events, facts
from voicertc.core.options import ConversationOptions
from voicertc.core.replies import Cause
from voicertc.testing.world import Delays, World

from .plays import CLIENT_PACED, QUIET, STORY, ask, codes, requests, shown, tell_story

WAITING = replace(ask(), waits=True)


def told(options: ConversationOptions = QUIET, **delays: float) -> World:
    """A world in which a story is answered from 2.65 s on."""
    world = World(options, agent=tell_story, delays=Delays(**delays))
    world.user_says(1.0, "tell me a story", lasts=1.0)
    return world


@pytest.mark.parametrize("options", [QUIET, CLIENT_PACED])
def test_it_begins_when_the_reply_in_progress_is_over(options: ConversationOptions) -> None:
    world = told(options)
    world.at(2.8, WAITING)
    world.run(until=20.0)
    assert codes(world) == []
    assert shown(world)[1:] == [("assistant", STORY), ("assistant", "Okay.")]
    is_over = facts.ReplyEnded if options.is_client_paced else facts.PlayoutStopped
    assert world.times_of(commands.StartReply)[1] == world.when(is_over)[0]


def test_there_is_one_that_waits_and_others_are_refused() -> None:
    world = told()
    world.at(2.8, WAITING)
    world.at(2.9, WAITING)
    world.at(2.95, ask())
    world.run(until=20.0)
    assert codes(world) == ["conversation_already_has_active_response"] * 2
    assert len(requests(world)) == 2


def test_who_goes_on_speaking_is_answered_once_by_what_was_asked_for_last() -> None:
    world = World(QUIET, agent=tell_story, delays=Delays(agent=1.0))
    world.at(1.0, ask(instructions="First."))
    world.at(1.2, replace(ask(instructions="Second."), waits=True))
    world.user_says(1.5, "hello", lasts=0.5)  # before the first is heard
    world.run(until=20.0)
    assert [request.instructions for request in requests(world)] == ["First.", "Second."]
    assert shown(world) == [("user", "hello"), ("assistant", "Okay.")]


def test_it_can_be_taken_back_while_the_reply_before_it_is_heard() -> None:
    world = World(QUIET, agent=lambda _: STORY)
    world.at(1.0, ask())
    world.at(1.1, WAITING)
    world.at(6.5, events.ResponseCancelRequested())  # the last words are leaving: only one is to come
    world.run(until=20.0)
    assert [request.cause for request in requests(world)] == [Cause.CLIENT]
    assert shown(world) == [("assistant", STORY)]

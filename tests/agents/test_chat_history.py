"""What a language model is told of a history: every call with an answer, and nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.agents.base import AgentRequest
from voicertc.agents.chat import ChatOptions, messages_of
from voicertc.agents.chat_history import (
    INTERRUPTED,
    NO_ANSWER,
    SHORTENED,
    messages_from,
    recent,
)
from voicertc.core.items import Item, Kind, Role, Status
from voicertc.providers.base import AnsweredCall, Message
from voicertc.providers.openai_messages import written_messages
from voicertc.testing.openai_chat_rules import check_chat

from .test_chat import Session


def user(text: str | None = "What is the weather?") -> Item:
    return Item("u", Role.USER, text)


def agent(text: str | None = "Let me look.", status: Status = Status.COMPLETED) -> Item:
    return Item("a", Role.ASSISTANT, text, status=status)


def call(call_id: str | None = "1", name: str | None = "f", arguments: str | None = "{}") -> Item:
    return Item(
        f"c{call_id}",
        Role.ASSISTANT,
        None,
        Kind.FUNCTION_CALL,
        call_id=call_id,
        name=name,
        arguments=arguments,
    )


def output(call_id: str | None = "1", text: str | None = "sunny") -> Item:
    return Item(f"o{call_id}", Role.USER, text, Kind.FUNCTION_CALL_OUTPUT, call_id=call_id)


def called(call_id: str = "1", output: str = "sunny", arguments: str = "{}") -> AnsweredCall:
    return AnsweredCall(call_id, "f", arguments, output)


def asks(text: str = "What is the weather?") -> Message:
    return Message(Role.USER, text)


def says(text: str, *calls: AnsweredCall) -> Message:
    return Message(Role.ASSISTANT, text, calls)


def told(*items: Item, max_chars: int = 1000) -> list[Message]:
    return messages_from(items, max_chars=max_chars)


def test_calls_belong_to_what_was_said_before_them() -> None:
    assert told(user(), agent(), call("1"), call("2"), output("1"), output("2", "noon"), agent("It is.")) == [
        asks(),
        says("Let me look.", called("1"), called("2", "noon")),
        says("It is."),
    ]


def test_answers_may_come_in_any_order() -> None:
    for items in (
        (call("1"), call("2"), output("2", "noon"), output("1")),
        (call("1"), output("1"), output("2", "noon"), call("2")),
    ):
        calls = [each for message in told(user(), *items) for each in message.calls]
        assert calls == [called("1"), called("2", "noon")]


def test_what_is_called_after_an_answer_is_a_call_of_its_own() -> None:
    assert told(user(), call("1"), output("1"), call("2"), output("2", "noon")) == [
        asks(),
        says("", called("1")),
        says("", called("2", "noon")),
    ]
    assert told(user(), call("1"), output("1"), agent(""), call("2"), output("2", "noon")) == [
        asks(),
        says("", called("1")),
        says("", called("2", "noon")),
    ]


def test_a_call_nobody_answered_is_told_with_a_stand_in() -> None:
    assert told(user(), agent("Let me", Status.INCOMPLETE), call(), user("Stop!"), agent("Okay.")) == [
        asks(),
        says(f"Let me{INTERRUPTED}", called(output=NO_ANSWER)),
        asks("Stop!"),
        says("Okay."),
    ]
    assert told(user(), call()) == [asks(), says("", called(output=NO_ANSWER))]


def test_an_answer_that_comes_late_is_what_the_model_goes_on_from() -> None:
    hurry = (user(), agent(), call("1"), call("2"), output("1"), user("Hurry!"), agent("One moment."))
    assert told(*hurry) == [
        asks(),
        says("Let me look.", called("1"), called("2", NO_ANSWER)),
        asks("Hurry!"),
        says("One moment."),
    ]
    assert told(*hurry, output("2", "noon")) == [
        asks(),
        says("Let me look.", called("1")),
        asks("Hurry!"),
        says("One moment.", called("2", "noon")),
    ]


def test_what_the_system_says_meanwhile_makes_no_answer_late() -> None:
    system = Item("s", Role.SYSTEM, "It is late.")
    assert told(user(), call(), system, user(None), output()) == [
        asks(),
        says("", called()),
        Message(Role.SYSTEM, "It is late."),
    ]


@pytest.mark.parametrize(
    "items",
    [
        (output(),),
        (output(None),),
        (call(name=None), output()),
        (call(name=""), output()),
        (call(None), output(None)),
        (call(""), output("")),
    ],
    ids=["deleted call", "no id", "no name", "empty name", "nothing to go by", "empty id"],
)
def test_what_cannot_be_matched_is_left_out(items: Sequence[Item]) -> None:
    assert told(user(), *items, user("And?")) == [asks("What is the weather? And?")]


def test_of_two_answers_the_last_counts_and_of_two_calls_with_one_id_too() -> None:
    assert told(call(arguments=None), output(text="wait"), output(text=None)) == [says("", called(output=""))]
    assert told(call(arguments="[]"), call(), output()) == [says("", called())]


def test_of_a_long_answer_half_as_much_as_of_everything_is_told() -> None:
    (message,) = told(call(), output(text="x" * 101), max_chars=200)
    assert message.calls[0].output == "x" * (100 - len(SHORTENED)) + SHORTENED
    (message,) = told(call(), output(text="x" * 100), max_chars=200)
    assert message.calls[0].output == "x" * 100


def kept(*items: Item, max_items: int = 160, max_chars: int = 1000) -> list[Item]:
    return recent(items, max_items=max_items, max_chars=max_chars)


def test_a_call_is_not_cut_off_from_its_answer() -> None:
    question, late = user(), (call(), *[agent(f"{n}") for n in range(40)], output())
    assert kept(question, *late, max_items=20) == [question, late[0], *late[31:]]


def test_the_question_is_not_cut_off_from_what_came_of_it() -> None:
    rounds = [item for n in range(30) for item in (call(f"{n}"), output(f"{n}", "y" * 600))]
    assert kept(user("Before."), agent(), user(), *rounds) == [user(), *rounds[-2:]]


def test_arguments_count_too() -> None:
    calls = [call(f"{n}", arguments="x" * 400) for n in range(30)]
    assert len(kept(*calls)) <= 2


TEXTS = st.sampled_from([None, "", "One.", "x" * 60])
IDS = st.sampled_from([None, "", "1", "2", "3"])
ITEMS = st.lists(
    st.one_of(
        st.builds(user, TEXTS),
        st.builds(agent, TEXTS, st.sampled_from(Status)),
        st.builds(Item, st.just("s"), st.just(Role.SYSTEM), TEXTS),
        st.builds(
            call, IDS, st.sampled_from([None, "", "f", "ä ö"]), st.sampled_from([None, "", "[]", "{}"])
        ),
        st.builds(output, IDS, TEXTS),
    ),
    max_size=24,
)


@settings(deadline=None, max_examples=300)
@given(items=ITEMS, max_items=st.integers(1, 24), max_chars=st.integers(1, 400))
def test_whatever_a_history_holds_openai_takes_it(items: list[Item], max_items: int, max_chars: int) -> None:
    request = AgentRequest(tuple(items), Session())
    messages = messages_of(request, ChatOptions(max_items=max_items, max_chars=max_chars))
    check_chat({"model": "gpt-6-luna", "messages": written_messages(messages)})
    roles = [message.role for message in messages if message.role is not Role.SYSTEM]
    assert roles[0] is Role.USER
    assert messages[0].role is Role.SYSTEM
    question = next(
        (item for item in reversed(items) if item.role is Role.USER and item.text and not item.call_id), None
    )
    if question is not None and question.kind is Kind.MESSAGE:
        assert any(question.text in message.text for message in messages)

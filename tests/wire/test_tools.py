"""Functions that the client runs: how it offers them, and how it is told that one is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicertc.core import events, facts
from voicertc.core.items import Item, Kind, Modality, Role, Status
from voicertc.core.options import SessionOptions, Tool, ToolChoice
from voicertc.core.replies import Cause, Outcome, ReplyRequest, Usage

from .talk import OPTIONS, ORIGIN, kinds, refusal, sent, told, updated, wire_by

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "How the weather is.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TRANSFER = {"type": "function", "name": "transfer_to_billing"}
SCHEMA = '{"type": "object", "properties": {"city": {"type": "string"}}}'
OFFERED = replace(
    OPTIONS,
    tools=(Tool("get_weather", "How the weather is.", SCHEMA), Tool("transfer_to_billing")),
    tool_choice=ToolChoice("required"),
)
ASKED = ReplyRequest(Cause.TURN)
CALL = Item(
    "item_f1",
    Role.ASSISTANT,
    kind=Kind.FUNCTION_CALL,
    status=Status.IN_PROGRESS,
    call_id="call_1",
    name="get_weather",
    arguments="",
)
CALLED = replace(CALL, arguments='{"city": "Paris"}', status=Status.COMPLETED)


# --- what is offered ----------------------------------------------------------------------------


def test_tools_are_read_and_shown_as_they_came() -> None:
    wire = wire_by()
    options = updated(wire, tools=[WEATHER, TRANSFER], tool_choice="required")
    assert options == OFFERED
    (shown,) = told(wire, facts.SessionChanged(options))
    assert shown["session"]["tools"] == [WEATHER, TRANSFER | {"description": "", "parameters": {}}]
    assert shown["session"]["tool_choice"] == "required"


def test_tools_and_their_choice_stay_until_they_are_changed() -> None:
    wire = wire_by()
    assert updated(wire, OFFERED, instructions="Sing.") == replace(OFFERED, instructions="Sing.")
    assert updated(wire_by(), OFFERED, tools=[TRANSFER]).tools == (Tool("transfer_to_billing"),)
    assert updated(wire_by(), OFFERED, tool_choice=None).tool_choice == ToolChoice("auto")


@pytest.mark.parametrize("nothing", [[], None])
def test_tools_are_taken_away(nothing: object) -> None:
    assert updated(wire_by(), OFFERED, tools=nothing).tools == ()


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "get_weather"}, ToolChoice("function", "get_weather")),
    ],
)
def test_each_form_of_a_choice_reads_back_as_itself(given: object, choice: ToolChoice) -> None:
    wire = wire_by()
    options = updated(wire, OFFERED, tool_choice=given)
    assert options.tool_choice == choice
    (shown,) = told(wire, facts.SessionChanged(options))
    assert shown["session"]["tool_choice"] == given


def test_who_takes_a_tool_away_that_had_to_be_called_leaves_the_choice_to_the_agent() -> None:
    chosen = replace(OFFERED, tool_choice=ToolChoice("function", "get_weather"))
    assert updated(wire_by(), chosen, tools=[TRANSFER]).tool_choice == ToolChoice()
    assert updated(wire_by(), chosen, tools=[WEATHER]).tool_choice == chosen.tool_choice


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"tools": {}}, "invalid_type", "session.tools"),
        ({"tools": ["get_weather"]}, "invalid_type", "session.tools[0]"),
        ({"tools": [{}]}, "missing_required_parameter", "session.tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "not_supported", "session.tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "invalid_value", "session.tools[0].type"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"tools": [{"type": "function", "name": "two words"}]}, "invalid_value", "session.tools[0].name"),
        ({"tools": [WEATHER, TRANSFER, WEATHER]}, "invalid_value", "session.tools"),
        ({"tools": [WEATHER | {"name": f"f{n}"} for n in range(129)]}, "invalid_value", "session.tools"),
        ({"tools": [WEATHER | {"description": 1}]}, "invalid_type", "session.tools[0].description"),
        ({"tools": [WEATHER | {"parameters": "{}"}]}, "invalid_type", "session.tools[0].parameters"),
        ({"tools": [WEATHER | {"parameters": []}]}, "invalid_type", "session.tools[0].parameters"),
        ({"tool_choice": "sometimes"}, "invalid_value", "session.tool_choice"),
        ({"tool_choice": 1}, "invalid_value", "session.tool_choice"),
        ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "session.tool_choice.name"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "not_supported", "session.tool_choice.type"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "invalid_value", "session.tool_choice.name"),
    ],
)
def test_tools_that_make_no_sense_are_refused_with_their_place(
    session: dict[str, object], code: str, param: str
) -> None:
    assert refusal(sent(wire_by(), "session.update", session=session)) == (code, param)


def test_a_schema_that_nobody_could_write_again_is_refused() -> None:
    deep: dict[str, object] = {}
    for _ in range(31):
        deep = {"items": deep}
    wire = wire_by()
    assert updated(wire, tools=[WEATHER | {"parameters": deep}]).tools
    event = sent(wire, "session.update", session={"tools": [WEATHER | {"parameters": {"items": [deep]}}]})
    assert refusal(event) == ("invalid_value", "session.tools[0].parameters")
    for parameters in ('{"maximum":1e999}', r'{"title":"\ud800"}', r'{"\ud800":1}'):
        tool = f'{{"type":"function","name":"f","parameters":{parameters}}}'
        session = f'{{"tools":[{tool}]}}'
        update = f'{{"type":"session.update","event_id":"event_7","session":{session}}}'
        (event,) = wire.receive(update, OPTIONS, 0.0)
        assert refusal(event) == ("invalid_value", "session.tools[0].parameters")


def test_a_response_may_have_tools_of_its_own() -> None:
    event = sent(wire_by(), "response.create", OFFERED, response={"tools": [TRANSFER], "tool_choice": "none"})
    assert isinstance(event, events.ResponseRequested)
    assert event.request.tools == (Tool("transfer_to_billing"),)
    assert event.request.tool_choice == ToolChoice("none")
    plain = sent(wire_by(), "response.create", OFFERED)
    assert isinstance(plain, events.ResponseRequested)
    assert (plain.request.tools, plain.request.tool_choice) == (OFFERED.tools, OFFERED.tool_choice)


def test_a_handoff_applies_to_the_response_that_is_asked_for_right_behind_it() -> None:
    wire = wire_by()
    session = {"instructions": "You do billing.", "tools": [WEATHER]}
    sent(wire, "session.update", OFFERED, session=session)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "{}"}
    assert sent(wire, "conversation.item.create", OFFERED, item=output) == events.ItemSubmitted(
        Item("", text="{}", kind=Kind.FUNCTION_CALL_OUTPUT, call_id="call_1"), None, ORIGIN
    )
    event = sent(wire, "response.create", OFFERED)
    assert isinstance(event, events.ResponseRequested)
    assert event.request.instructions == "You do billing."
    assert event.request.tools == OFFERED.tools[:1]


# --- what is called -----------------------------------------------------------------------------


def test_a_call_is_told_in_openais_order_with_all_that_runs_the_tool() -> None:
    started = {
        "id": "item_f1",
        "object": "realtime.item",
        "type": "function_call",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": "",
        "status": "in_progress",
    }
    called = started | {"arguments": '{"city": "Paris"}', "status": "completed"}
    output = {"response_id": "resp_1", "output_index": 0}
    place = {**output, "item_id": "item_f1", "call_id": "call_1"}
    wire = wire_by()
    assert told(
        wire,
        facts.ReplyBegan("resp_1", ASKED),
        facts.ReplyItemBegan("resp_1", CALL, "item_u1"),
        facts.ReplyItemEnded("resp_1", CALLED, "item_u1"),
        facts.ReplyEnded("resp_1", ASKED, Outcome.COMPLETED, (CALLED,), usage=Usage(20, 8, 16)),
    )[1:-1] == [
        {"type": "response.output_item.added", **output, "item": started},
        {"type": "conversation.item.added", "previous_item_id": "item_u1", "item": started},
        {"type": "response.function_call_arguments.delta", **place, "delta": '{"city": "Paris"}'},
        {
            "type": "response.function_call_arguments.done",
            **place,
            "name": "get_weather",
            "arguments": '{"city": "Paris"}',
        },
        {"type": "conversation.item.done", "previous_item_id": "item_u1", "item": called},
        {"type": "response.output_item.done", **output, "item": called},
    ]


def test_a_response_tells_what_it_put_out_and_what_it_cost() -> None:
    ended = facts.ReplyEnded("resp_1", ASKED, Outcome.COMPLETED, (CALLED,), usage=Usage(20, 8, 16))
    (done,) = told(wire_by(), ended)
    assert [item["type"] for item in done["response"]["output"]] == ["function_call"]
    assert done["response"]["usage"] == {
        "total_tokens": 28,
        "input_tokens": 20,
        "output_tokens": 8,
        "input_token_details": {"text_tokens": 20, "audio_tokens": 0, "cached_tokens": 16},
        "output_token_details": {"text_tokens": 8, "audio_tokens": 0},
    }


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_a_response_that_was_cut_short_says_why(reason: str) -> None:
    (done,) = told(wire_by(), facts.ReplyEnded("resp_1", ASKED, Outcome.INCOMPLETE, (), reason))
    assert done["response"]["status"] == "incomplete"
    assert done["response"]["status_details"] == {"type": "incomplete", "reason": reason}
    assert done["response"]["usage"]["total_tokens"] == 0


def test_speech_and_several_calls_are_items_of_one_response_in_their_order() -> None:
    speech = Item("item_r1", Role.ASSISTANT, "", status=Status.IN_PROGRESS, modality=Modality.AUDIO)
    spoken = replace(speech, text="One moment.", status=Status.COMPLETED)
    second, third = replace(CALL, id="item_f2", call_id="call_2"), replace(CALLED, id="item_f2")
    happened = told(
        wire_by("websocket"),
        facts.ReplyBegan("resp_1", ASKED),
        facts.ReplyItemBegan("resp_1", speech, None),
        facts.ReplyItemBegan("resp_1", CALL, "item_r1"),
        facts.ReplyItemEnded("resp_1", CALLED, "item_r1"),
        facts.ReplyItemBegan("resp_1", second, "item_f1"),
        facts.ReplyItemEnded("resp_1", third, "item_f1"),
        facts.ReplyTextGrew("resp_1", "item_r1", "One moment.", Modality.AUDIO),
        facts.ReplyItemEnded("resp_1", spoken, None),
        facts.ReplyEnded("resp_1", ASKED, Outcome.COMPLETED, (spoken, CALLED, third)),
    )
    indexes = {
        event["item"]["id"]: event["output_index"]
        for event in happened
        if "output_index" in event and "item" in event
    }
    assert indexes == {"item_r1": 0, "item_f1": 1, "item_f2": 2}
    assert kinds(happened).count("response.content_part.added") == 1
    done = happened[-1]["response"]
    assert [item["id"] for item in done["output"]] == ["item_r1", "item_f1", "item_f2"]


def test_max_output_tokens_is_the_sessions_or_the_responses_own() -> None:
    wire = wire_by()
    options = updated(wire, max_output_tokens=300)
    assert options == SessionOptions(max_output_tokens=300)
    (shown,) = told(wire, facts.SessionChanged(options))
    assert shown["session"]["max_output_tokens"] == 300
    event = sent(wire, "response.create", options, response={"max_output_tokens": "inf"})
    assert isinstance(event, events.ResponseRequested)
    (created,) = told(wire, facts.ReplyBegan("resp_1", event.request))
    assert created["response"]["max_output_tokens"] == "inf"
    for wrong, code in ((0, "invalid_value"), (4097, "invalid_value"), ("many", "invalid_type")):
        refused = sent(wire_by(), "session.update", session={"max_output_tokens": wrong})
        assert refusal(refused) == (code, "session.max_output_tokens")

"""PyPI ``openai``: functions that the client runs, responses beside the conversation, and items."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from voicertc.audio.pcm import Samples

from .formats import PCM
from .line import Line
from .server import Server
from .speech import level_db
from .test_openai_turns import types

pytestmark = pytest.mark.network

GET_AGE = {
    "type": "function",
    "name": "get_age",
    "description": "Tell how old a thing is.",
    "parameters": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
}

CALL = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
]


async def put(line: Line, item: dict[str, Any], **where: str) -> dict[str, Any]:
    """Put an item into the conversation; return the event that says so."""
    await line.connection.conversation.item.create(item=item, **where)  # type: ignore[arg-type]
    return await line.next("conversation.item.done", "error")


def written(item_id: str, text: str) -> dict[str, Any]:
    return {
        "id": item_id,
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }


async def test_a_function_is_called_and_its_answer_is_spoken(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        session = await line.update(tools=[GET_AGE], tool_choice="auto")
        assert (session["tools"], session["tool_choice"]) == ([GET_AGE], "auto")
        await line.type("how old is the bridge?")
        await line.connection.response.create()
        events = await line.through("response.done")
        assert types(events) == ["response.created", *CALL, "response.done"]
        added, arguments, done = (
            next(event for event in events if event["type"] == kind) for kind in (CALL[0], CALL[2], CALL[4])
        )
        assert (added["item"]["status"], done["item"]["status"]) == ("in_progress", "completed")
        assert arguments["name"] == done["item"]["name"] == "get_age"
        assert json.loads(arguments["arguments"]) == {"what": "the Brooklyn Bridge"}
        deltas = [event for event in events if event["type"] == "response.function_call_arguments.delta"]
        assert "".join(delta["delta"] for delta in deltas) == arguments["arguments"]
        assert events[-1]["response"]["output"] == [done["item"]]

        call_id = done["item"]["call_id"]
        output = {"type": "function_call_output", "call_id": call_id, "output": "very old"}
        assert (await put(line, output))["item"]["output"] == "very old"
        await line.connection.response.create()
        response = (await line.next("response.done"))["response"]
        assert response["output"][0]["content"][0]["transcript"] == "The answer is very old."
        assert level_db(line.sound(response["id"])) > -25

        first, second = server.asked(line.session_id)
        assert first["tools"] == [["get_age", GET_AGE["description"], GET_AGE["parameters"]]]
        kinds = [(item["kind"], item["call_id"]) for item in second["history"]]
        assert kinds == [("message", None), ("function_call", call_id), ("function_call_output", call_id)]


async def test_two_functions_may_be_called_in_one_response(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        await line.update(tools=[GET_AGE])
        response = await line.answer("how old are both?")
        calls = response["output"]
        assert [json.loads(call["arguments"])["what"] for call in calls] == [
            "the Brooklyn Bridge",
            "the Eiffel Tower",
        ]
        assert len({call["call_id"] for call in calls}) == 2
        indexes = [event["output_index"] for event in line.events("response.output_item.done")]
        assert indexes == [0, 1]
        for call in calls:
            await put(line, {"type": "function_call_output", "call_id": call["call_id"], "output": "old"})
        await line.connection.response.create()
        response = (await line.next("response.done"))["response"]
        assert response["output"][0]["content"][0]["transcript"] == "The answer is old and old."


async def test_the_choice_of_tools_reaches_the_agent(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        await line.update(tools=[GET_AGE], tool_choice="none", output_modalities=["text"])
        response = await line.answer("how old is it?")
        assert response["output"][0]["type"] == "message"
        response = await line.answer("hello", tool_choice="required")
        assert response["output"][0]["type"] == "function_call"
        response = await line.answer("hello", tool_choice={"type": "function", "name": "get_age"})
        assert json.loads(response["output"][0]["arguments"]) == {"what": "chosen"}
        session = await line.update(tools=[])
        assert (session["tools"], session["tool_choice"]) == ([], "none")
        choices = [asked["tool_choice"] for asked in server.asked(line.session_id)]
        assert choices == ["none", "required", "get_age"]


async def test_instructions_of_a_session_and_of_one_response_reach_the_agent(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        session = await line.update(instructions="Be brief.", output_modalities=["text"])
        assert session["instructions"] == "Be brief."
        answer = await line.answer("tell me your instructions")
        assert answer["output"][0]["content"][0]["text"] == "Be brief."
        answer = await line.answer("and now your instructions?", instructions="Be kind.")
        assert answer["output"][0]["content"][0]["text"] == "Be kind."


async def test_a_response_beside_the_conversation_leaves_no_trace_in_it(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        await line.update(output_modalities=["text"])
        await line.type("hello")
        (main_id,) = [event["item"]["id"] for event in line.events("conversation.item.done")]
        await line.connection.response.create(
            response={
                "conversation": "none",
                "metadata": {"topic": "classification"},
                "input": [written("item_beside", "only this")],  # type: ignore[list-item]
            }
        )
        events = await line.through("response.done")
        response = events[-1]["response"]
        assert (response["conversation_id"], response["metadata"]) == (None, {"topic": "classification"})
        assert response["output"][0]["content"][0]["text"] == "You said: only this."
        assert [event for event in events if event["type"].startswith("conversation.item")] == []
        await line.connection.response.create()
        response = (await line.next("response.done"))["response"]
        assert response["output"][0]["content"][0]["text"] == "You said: hello."
        reference = {"type": "item_reference", "id": main_id}
        await line.connection.response.create(
            response={"conversation": "none", "input": [reference, written("item_more", "and this")]}  # type: ignore[list-item]
        )
        assert (await line.next("response.done"))["response"]["conversation_id"] is None
        aside, main, referring = server.asked(line.session_id)
        assert [item["text"] for item in aside["history"]] == ["only this"]
        assert [item["text"] for item in main["history"]] == ["hello"]
        assert [item["text"] for item in referring["history"]] == ["hello", "and this"]


async def test_items_are_put_found_and_taken_away(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        await line.update(output_modalities=["text"])
        for item_id, text in (("item_1", "one"), ("item_3", "three")):
            await put(line, written(item_id, text))
        assert (await put(line, written("item_2", "two"), previous_item_id="item_1"))[
            "previous_item_id"
        ] == "item_1"
        assert (await put(line, written("item_0", "zero"), previous_item_id="root"))[
            "previous_item_id"
        ] is None
        system = {"id": "item_s", "type": "message", "role": "system"}
        await put(line, {**system, "content": [{"type": "input_text", "text": "a hint"}]})
        assistant = {"id": "item_a", "type": "message", "role": "assistant"}
        await put(line, {**assistant, "content": [{"type": "output_text", "text": "an answer"}]})

        await line.connection.conversation.item.retrieve(item_id="item_2")
        found = (await line.next("conversation.item.retrieved"))["item"]
        assert found["content"] == [{"type": "input_text", "text": "two"}]
        await line.connection.conversation.item.delete(item_id="item_2")
        assert (await line.next("conversation.item.deleted"))["item_id"] == "item_2"
        for gone in (line.connection.conversation.item.retrieve, line.connection.conversation.item.delete):
            await gone(item_id="item_2", event_id="event_mine")
            assert (await line.next("error"))["error"]["event_id"] == "event_mine"

        await line.answer("that is all")
        (asked,) = server.asked(line.session_id)
        texts = [(item["role"], item["text"]) for item in asked["history"]]
        assert texts == [
            ("user", "zero"),
            ("user", "one"),
            ("user", "three"),
            ("system", "a hint"),
            ("assistant", "an answer"),
            ("user", "that is all"),
        ]


async def test_recorded_speech_may_be_an_item_and_is_written_down(
    server: Server, speech: Callable[[str], Samples]
) -> None:
    recording = base64.b64encode(PCM.encode(speech("ten of clubs"))).decode()
    async with Line.open(server, speaks=False) as line:
        await line.update(output_modalities=["text"])
        spoken = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": recording}]}
        item_id = (await put(line, spoken))["item"]["id"]
        transcript = await line.next("conversation.item.input_audio_transcription.completed")
        assert (transcript["item_id"], transcript["transcript"]) == (item_id, "ten of clubs")
        await line.connection.response.create()
        response = (await line.next("response.done"))["response"]
        assert response["output"][0]["content"][0]["text"] == "You said: ten of clubs."


async def test_events_of_our_own_come_to_who_asks_for_them_and_the_sdk_takes_them(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        await line.answer("hello")
        assert [event for event in line.events() if event["type"].startswith("voicertc.")] == []
        session = await line.update(voicertc={"events": ["voicertc.state"]})
        assert session["voicertc"]["events"] == ["voicertc.state"]
        await line.answer("hello again")
        states = [event["state"] for event in line.events("voicertc.state")]
        assert {"thinking", "speaking"} <= set(states)
        event = line.connection.parse_event(json.dumps(line.events("voicertc.state")[0]))
        assert event.type == "voicertc.state"

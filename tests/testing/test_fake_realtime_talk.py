"""The fake's conversations, driven by the real SDK: turns, functions, cancel, truncate, history."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tests.testing.realtime_client import TALK, Client, connected, sound, talking
from voicertc.core.replies import ToolCall
from voicertc.testing.fake_openai import Calls, FakeOpenAI, RealtimeScenario, Scenario, spoken

DONE = "response.done"
SOUND = "response.output_audio.delta"
WORDS = "response.output_audio_transcript.delta"
TOOL = {"type": "function", "name": "now", "description": "The time.", "parameters": {"type": "object"}}
FAST = RealtimeScenario(max_speed=None)


def text_item(role: str, text: str, **fields: Any) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}


class Model:
    """Answers with what it was asked last, and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[list[Mapping[str, Any]]] = []

    def __call__(self, messages: Sequence[Mapping[str, Any]]) -> str | Calls:
        self.shown.append(list(messages))
        return f"You said {messages[-1]['content']}."


async def turn(client: Client, seconds: float = 1.0) -> dict[str, Any]:
    await client.say(sound(seconds))
    await client.send("response.create")
    response: dict[str, Any] = (await client.until(DONE))["response"]
    return response


async def test_a_turn_is_answered_in_the_order_of_the_service() -> None:
    model = Model()
    scenario = Scenario(transcripts=["hello there"], replies=model, realtime=FAST)
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking(instructions="Be brief."))
        response = await turn(client)
        kinds = [kind for kind, _ in itertools.groupby(client.types())]
        assert kinds[2:11] == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            WORDS,
        ]
        assert kinds[-6:] == [
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            DONE,
        ]
        assert client.joined(WORDS) == "You said hello there."
        np.testing.assert_array_equal(client.sound(), spoken("You said hello there."))
        assert model.shown == [
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello there"}]
        ]
        user, answer = (event for event in client.seen if event["type"] == "conversation.item.added")
        assert answer["previous_item_id"] == user["item"]["id"]
        assert answer["item"] | {"content": [], "status": "in_progress"} == answer["item"]
        assert response["conversation_id"] is not None


async def test_the_sound_of_both_sides_is_counted_again_in_each_turn() -> None:
    scenario = Scenario(replies=["ten chars."], realtime=FAST)
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking(instructions="Be brief."))
        usages = [(await turn(client, seconds))["usage"] for seconds in (1.0, 2.05)]
    first, second = (usage["input_token_details"] for usage in usages)
    assert (first["text_tokens"], first["audio_tokens"], first["cached_tokens"]) == (2, 10, 0)
    assert (second["text_tokens"], second["audio_tokens"]) == (2, 10 + 12 + 21)
    assert second["cached_tokens_details"] == {"text_tokens": 2, "audio_tokens": 10, "image_tokens": 0}
    assert usages[1]["output_token_details"] == {"text_tokens": 2, "audio_tokens": 12}
    assert usages[1]["total_tokens"] == 2 + 43 + 14


async def test_the_user_is_transcribed_beside_the_answer() -> None:
    scenario = Scenario(transcripts=["hello there"], realtime=FAST)
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking(transcription={"model": "gpt-transcribe"}))
        await client.say(sound(1.0))
        done = await client.until("conversation.item.input_audio_transcription.completed")
        assert done["transcript"] == "hello there"
        await client.send("session.update", session=talking(transcription={"model": "gpt-live-transcribe"}))
        assert (await client.refused())["param"] == "session.audio.input.transcription.model"


async def test_a_function_is_called_and_its_output_answered() -> None:
    seen: list[list[Mapping[str, Any]]] = []

    def reply(messages: Sequence[Mapping[str, Any]]) -> str | Calls:
        seen.append(list(messages))
        if messages[-1]["role"] == "tool":
            return f"It is {messages[-1]['content']}."
        return Calls((ToolCall("now", '{"zone": "CET"}'),), "One moment.")

    async with FakeOpenAI(Scenario(replies=reply, realtime=FAST)) as fake, connected(fake, **TALK) as client:
        await client.update(**talking(tools=[TOOL], tool_choice="auto"))
        response = await turn(client)
        assert [item["type"] for item in response["output"]] == ["message", "function_call"]
        call = response["output"][1]
        assert (call["name"], call["arguments"], call["status"]) == ("now", '{"zone": "CET"}', "completed")
        own = [event for event in client.seen if event.get("output_index") == 1]
        kinds = [kind for kind, _ in itertools.groupby(event["type"] for event in own)]
        assert kinds == [
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
        ]
        assert (own[0]["item"]["status"], own[0]["item"]["arguments"]) == ("in_progress", "")
        assert client.joined("response.function_call_arguments.delta") == call["arguments"]
        assert own[-2]["call_id"] == own[-1]["item"]["call_id"] == call["call_id"]

        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
        await client.send("conversation.item.create", item=output | {"call_id": "call_9"})
        assert (await client.refused())["code"] == "invalid_tool_call_id"
        await client.send("conversation.item.create", item=output)
        await client.send("response.create")
        response = (await client.until(DONE))["response"]
        assert response["output"][0]["content"][0]["transcript"] == "It is noon."
        assert [message["role"] for message in seen[1]] == [
            "system",
            "user",
            "assistant",
            "assistant",
            "tool",
        ]
        assert seen[1][3]["tool_calls"][0]["id"] == seen[1][4]["tool_call_id"]


async def test_one_answer_at_a_time() -> None:
    async with FakeOpenAI(Scenario(first_audio_delay=100.0)) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await client.send("response.create")
        await client.send("response.create", event_id="second")
        error = await client.refused()
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
        await client.send("response.create", response={"conversation": "none", "input": []})
        await client.until("response.created")
        await client.send("response.cancel")
        response = (await client.until(DONE))["response"]
        assert (response["status"], response["conversation_id"]) == ("cancelled", "conv_1")
        await client.send("response.cancel")
        assert (await client.refused())["code"] == "response_cancel_not_active"


async def test_after_a_barge_in_the_model_knows_what_was_heard() -> None:
    model = Model()
    a_piece = {"audio_speed": 0.001, "audio_chunk_bytes": 240 * 48}  # 240 ms, then nothing for minutes
    scenario = Scenario(transcripts=["one two three"], replies=model, realtime=FAST, **a_piece)
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await client.say(sound(1.0))
        await client.send("response.create")
        item_id = (await client.until(SOUND))["item_id"]
        await client.send("response.cancel")
        where = {"item_id": item_id, "content_index": 0, "audio_end_ms": 180}
        await client.send("conversation.item.truncate", **where)
        truncated = await client.until("conversation.item.truncated")
        assert {name: truncated[name] for name in where} == where
        response = (await client.until(DONE))["response"]
        assert (response["status"], response["output"][0]["status"]) == ("cancelled", "incomplete")
        await client.send("conversation.item.retrieve", item_id=item_id)
        assert "transcript" not in (await client.until("conversation.item.retrieved"))["item"]["content"][0]
        await client.send("response.create")
        await client.until("response.created")
        assert model.shown[1][-1] == {"role": "assistant", "content": "You"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"audio_end_ms": 601}, "audio_end_ms"),
        ({"audio_end_ms": -1}, "audio_end_ms"),
        ({"audio_end_ms": 1.5}, "audio_end_ms"),
        ({"content_index": 1}, "content_index"),
        ({"item_id": "item_9"}, "item_id"),
        ({"item_id": "mine"}, "item_id"),
    ],
)
async def test_no_more_can_be_truncated_than_was_said(change: dict[str, Any], param: str) -> None:
    async with FakeOpenAI(Scenario(replies=["ten chars."])) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await client.send("conversation.item.create", item=text_item("user", "Hi.", id="mine"))
        await client.send("response.create")
        item_id = (await client.until(DONE))["response"]["output"][0]["id"]
        where = {"item_id": item_id, "content_index": 0, "audio_end_ms": 600}
        await client.send("conversation.item.truncate", **(where | change))
        assert (await client.refused())["param"] == param
        await client.send("conversation.item.truncate", **where)
        await client.until("conversation.item.truncated")


async def test_a_history_is_given_and_changed() -> None:
    model = Model()
    async with FakeOpenAI(Scenario(replies=model)) as fake, connected(fake, **TALK) as client:
        await client.update(**talking(instructions="Be brief."))
        for place, item in (
            (None, text_item("user", "My name is Ann.", id="a")),
            (None, text_item("assistant", "Hello Ann.", id="b")),
            ("root", text_item("system", "The user is new.", id="c")),
            ("a", text_item("user", "And yours?", id="d")),
        ):
            await client.send(
                "conversation.item.create", item=item, **({"previous_item_id": place} if place else {})
            )
            await client.until("conversation.item.done")
        await client.send("conversation.item.delete", item_id="b")
        assert (await client.until("conversation.item.deleted"))["item_id"] == "b"
        await client.send("response.create", response={"output_modalities": ["text"]})
        response = (await client.until(DONE))["response"]
        assert response["output"][0]["content"] == [{"type": "output_text", "text": "You said And yours?."}]
        assert client.joined("response.output_text.delta") == "You said And yours?."
        assert [message["content"] for message in model.shown[0]] == [
            "Be brief.",
            "The user is new.",
            "My name is Ann.",
            "And yours?",
        ]
        added = [event for event in client.seen if event["type"] == "conversation.item.added"]
        assert [event["previous_item_id"] for event in added[:4]] == [None, "a", None, "a"]


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        (
            "conversation.item.create",
            {"item": text_item("user", "Hi.", id="mine")},
            "item_create_duplicate_id",
        ),
        (
            "conversation.item.create",
            {"item": text_item("user", "Hi."), "previous_item_id": "item_9"},
            "item_create_invalid_item_id",
        ),
        ("conversation.item.create", {"item": {"type": "message", "role": "robot"}}, "invalid_value"),
        (
            "conversation.item.create",
            {"item": {"type": "message", "role": "user", "content": [{"type": "input_text"}]}},
            "missing_required_parameter",
        ),
        ("conversation.item.create", {"item": text_item("user", "Hi.", name="Ann")}, "unknown_parameter"),
        ("conversation.item.delete", {"item_id": "item_9"}, "item_delete_invalid_item_id"),
        ("conversation.item.retrieve", {"item_id": "item_9"}, "item_retrieve_invalid_item_id"),
        ("conversation.item.truncate", {"item_id": "mine"}, "missing_required_parameter"),
    ],
)
async def test_wrong_items_are_refused(kind: str, fields: dict[str, Any], code: str) -> None:
    async with FakeOpenAI() as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await client.send("conversation.item.create", item=text_item("user", "Hi.", id="mine"))
        await client.send(kind, **fields)
        assert (await client.refused())["code"] == code


async def test_a_conversation_is_no_place_for_a_transcription_session() -> None:
    async with FakeOpenAI() as fake, connected(fake, **TALK) as client:
        await client.send("session.update", session={"type": "transcription"})
        assert (await client.refused())["param"] == "session.type"

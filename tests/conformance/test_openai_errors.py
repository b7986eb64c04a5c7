"""PyPI ``openai``: what is wrong is told in an ``error`` that names the event, and the session goes on."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from .line import Line, client, client_secret
from .server import Server

pytestmark = pytest.mark.network

SECOND = base64.b64encode(bytes(48_000)).decode()
"""A second of silence."""


def mine(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "event_id": "event_mine", **fields}


def message(**fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}], **fields}


MISTAKES = {
    "a type that nobody knows": mine("response.tickle"),
    "a type that is no text": {"type": 7, "event_id": "event_mine"},
    "a session that is a number": mine("session.update", session=7),
    "instructions that are a number": mine("session.update", session={"type": "realtime", "instructions": 7}),
    "a threshold beyond one": mine(
        "session.update",
        session={
            "type": "realtime",
            "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 7}}},
        },
    ),
    "a format that nobody knows": mine(
        "session.update", session={"type": "realtime", "audio": {"input": {"format": {"type": "audio/mp3"}}}}
    ),
    "both modalities": mine(
        "session.update", session={"type": "realtime", "output_modalities": ["audio", "text"]}
    ),
    "sound that is not base64": mine("input_audio_buffer.append", audio="#"),
    "sound that is no text": mine("input_audio_buffer.append", audio=7),
    "half a sample": mine("input_audio_buffer.append", audio=base64.b64encode(bytes(3)).decode()),
    "nothing to commit": mine("input_audio_buffer.commit"),
    "an item without a type": mine("conversation.item.create", item={}),
    "an image": mine(
        "conversation.item.create",
        item=message(content=[{"type": "input_image", "image_url": "data:image/png;base64,"}]),
    ),
    "an item behind one that is not there": mine(
        "conversation.item.create", item=message(), previous_item_id="item_nowhere"
    ),
    "an item that is not there": mine("conversation.item.retrieve", item_id="item_nowhere"),
    "taking away what is not there": mine("conversation.item.delete", item_id="item_nowhere"),
    "cutting what is not there": mine(
        "conversation.item.truncate", item_id="item_nowhere", content_index=0, audio_end_ms=0
    ),
    "an output of a call that was not made": mine(
        "conversation.item.create",
        item={"type": "function_call_output", "call_id": "call_nowhere", "output": "21"},
    ),
    "cancelling nothing": mine("response.cancel"),
    "a response with a wrong field": mine("response.create", response={"instructions": 7}),
}


async def is_well(line: Line) -> None:
    """Fail unless the session still answers."""
    answer = await line.answer("hello", output_modalities=["text"])
    assert answer["status"] == "completed"


async def test_each_mistake_is_named_and_the_session_goes_on(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        for what, event in MISTAKES.items():
            await line.connection.send_raw(json.dumps(event))
            error = (await line.next("error"))["error"]
            assert error["event_id"] == "event_mine", (what, error)
            assert error["type"] == "invalid_request_error", (what, error)
            assert error["code"], (what, error)
            assert error["message"], (what, error)
        for text in ("{", "[]", "null", '"hello"', "{}"):
            await line.connection.send_raw(text)
            await line.next("error")
        await is_well(line)
        assert len(line.events("error")) == len(MISTAKES) + 5


async def test_a_second_response_and_a_second_item_of_one_name_are_refused(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        await line.type("count slowly")
        await line.connection.response.create()
        await line.next("response.created")
        await line.connection.response.create(event_id="event_mine")
        error = (await line.next("error"))["error"]
        assert (error["code"], error["event_id"]) == (
            "conversation_already_has_active_response",
            "event_mine",
        )
        await line.connection.response.cancel()
        await line.next("response.done")
        for _ in range(2):
            await line.connection.conversation.item.create(item=message(id="item_mine"))  # type: ignore[arg-type]
        await line.next("error")
        await is_well(line)


async def test_a_reply_cannot_be_cut_behind_its_end(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        answer = await line.answer("hello")
        item_id = answer["output"][0]["id"]
        for audio_end_ms in (60_000, -1):
            cut = mine(
                "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=audio_end_ms
            )
            await line.connection.send_raw(json.dumps(cut))
            assert (await line.next("error"))["error"]["event_id"] == "event_mine"
        await is_well(line)


async def test_floods_of_sound_do_no_harm_and_keep_nobody_waiting(server: Server) -> None:
    sample = base64.b64encode(bytes(2)).decode()
    piece = json.dumps({"type": "input_audio_buffer.append", "audio": sample})
    large = base64.b64encode(bytes(15 * 2**20)).decode()

    async def flood(line: Line) -> None:
        for number in range(100_000):  # more than is taken while this lasts: the client is made to wait
            await line.connection.send_raw(piece)
            if number % 100 == 0:
                await asyncio.sleep(0)

    async with (
        Line.open(server, speaks=False) as tiny,
        Line.open(server, speaks=False) as huge,
        Line.open(server, speaks=False) as other,
    ):
        for line in (tiny, huge):
            await line.update(audio={"input": {"turn_detection": None}})
        flooding = asyncio.create_task(flood(tiny))
        await huge.connection.input_audio_buffer.append(audio=large, event_id="event_mine")
        for _ in range(5):
            await is_well(other)
        await huge.connection.input_audio_buffer.clear()
        await huge.next("input_audio_buffer.cleared", within=30)
        for event in huge.events("error"):
            assert event["error"]["event_id"] == "event_mine"
        await is_well(huge)
        assert tiny.events("error") == []
        flooding.cancel()
        tiny.drop()  # its goodbye would have to wait behind what it has sent


async def test_keys_that_are_forged_open_nothing(server: Server) -> None:
    genuine = client_secret(server, {"type": "realtime"})
    head, tail = genuine[:-1], genuine[-1]
    for key in ("ek_made_up", head + ("A" if tail != "A" else "B")):
        with pytest.raises(InvalidStatus) as refused:
            async with Line.open(server, key=key, speaks=False):
                pass
        assert refused.value.response.status_code == 401
    async with Line.open(server, key=genuine, speaks=False) as line:
        await is_well(line)


async def test_a_call_that_is_not_there_has_no_sideband(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with Line.open(server, call_id="rtc_nowhere", speaks=False):
            pass
    assert refused.value.response.status_code == 404


async def test_nothing_but_text_is_a_message(server: Server) -> None:
    async with client(server) as sdk, sdk.realtime.connect(model="gpt-realtime") as connection:
        await connection.send_raw(b"\x00\x01")
        while (event := json.loads(await connection.recv_bytes()))["type"] != "error":
            pass
        assert event["error"]["type"] == "invalid_request_error"

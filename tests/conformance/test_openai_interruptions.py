"""PyPI ``openai``: replies that are cancelled, interrupted and truncated, to what was heard of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from voicertc.audio.pcm import Samples

from .line import Line
from .server import Server
from .speech import RATE_HZ, numbers_heard
from .words import WORD_SECONDS, counted_in

pytestmark = pytest.mark.network

Speech = Callable[[str], Samples]

VAD = {"type": "server_vad", "silence_duration_ms": 300}
CONFIRMED = 0.2
"""Seconds of speech over a reply before clients are told of it, at the least."""


def story_in(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the long answer from the history that the agent was given."""
    (story,) = [item for item in asked["history"] if item["role"] == "assistant"]
    return dict(story)


async def begin_story(line: Line, words: str) -> tuple[str, str, float]:
    """Ask for the long answer; return its response, its item, and when its first sound came."""
    await line.type(words)
    await line.connection.response.create()
    first = await line.next("response.output_audio.delta")
    return first["response_id"], first["item_id"], line.time_of(first)


async def truncate(line: Line, item_id: str, audio_end_ms: int) -> None:
    """Say what was played, and wait until that is taken; the server's own estimate may come before."""
    await line.connection.conversation.item.truncate(
        item_id=item_id, content_index=0, audio_end_ms=audio_end_ms
    )
    while (await line.next("conversation.item.truncated"))["audio_end_ms"] != audio_end_ms:
        pass


async def test_a_barge_in_cancels_a_reply_that_is_being_made(server: Server, speech: Speech) -> None:
    async with Line.open(server) as line:
        await line.update(audio={"input": {"turn_detection": VAD}})
        response_id, item_id, first_sound = await begin_story(line, "count slowly")
        await asyncio.sleep(1.5)
        words = asyncio.create_task(line.mouth.say(speech("go forward ten meters")))
        began_at = asyncio.get_running_loop().time()
        started = await line.next("input_audio_buffer.speech_started")
        told_at = line.time_of(started)
        done = await line.next("response.done")
        began = await words
        assert told_at - began_at > CONFIRMED, "a cough would have been told"
        assert started["audio_start_ms"] / 1000 == pytest.approx(began + 0.1 - 0.3, abs=0.15)
        assert done["response"]["id"] == response_id
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        assert done["response"]["output"][0]["status"] == "incomplete"

        played_ms = round((told_at - first_sound) * 1000)
        await truncate(line, item_id, played_ms)
        answer = (await line.next("response.done"))["response"]
        assert answer["output"][0]["content"][0]["transcript"] == "You said: go forward ten meters."
        assert max(numbers_heard(line.sound(response_id))) < 40, "the reply was not stopped"
        story = story_in(server.asked(line.session_id)[-1])
        assert counted_in(story["text"]) == pytest.approx(played_ms / 1000 / WORD_SECONDS, abs=1.5)


async def test_a_reply_that_was_sent_faster_than_heard_is_cut_to_what_was_played(
    server: Server, speech: Speech
) -> None:
    async with Line.open(server) as line:
        await line.update(audio={"input": {"turn_detection": VAD}})
        response_id, item_id, first_sound = await begin_story(line, "count")
        done = await line.next("response.done", within=20)
        assert done["response"]["status"] == "completed"
        assert numbers_heard(line.sound(response_id)) == list(range(1, 41))
        assert line.time_of(done) - first_sound < 2, "what the client paces comes faster than it is heard"
        await asyncio.sleep(2.5)
        await line.mouth.say(speech("go forward ten meters"))
        started = await line.next("input_audio_buffer.speech_started")
        assert line.time_of(started) > line.time_of(done)
        # The client had begun to play late, and knows: five words and a half were heard.
        await truncate(line, item_id, 1650)
        await line.connection.conversation.item.retrieve(item_id=item_id)
        item = (await line.next("conversation.item.retrieved"))["item"]
        assert counted_in(item["content"][0]["transcript"]) == 5
        await line.next("response.done")
        story = story_in(server.asked(line.session_id)[-1])
        assert counted_in(story["text"]) == 5


async def test_a_cough_over_a_reply_is_not_told_and_stops_nothing(server: Server, speech: Speech) -> None:
    cough = speech("ten of clubs")[round(0.1 * RATE_HZ) : round(0.3 * RATE_HZ)]
    async with Line.open(server) as line:
        await line.update(audio={"input": {"turn_detection": VAD}})
        response_id, _, _ = await begin_story(line, "count")
        await asyncio.sleep(1.0)
        await line.mouth.say(cough)
        done = await line.next("response.done", within=20)
        await asyncio.sleep(1.5)  # whatever came of the cough would be here by now
        assert done["response"]["status"] == "completed"
        assert numbers_heard(line.sound(response_id)) == list(range(1, 41))
        told = line.events("input_audio_buffer.speech_started", "conversation.item.truncated")
        assert told == []


async def test_without_interrupt_response_the_reply_goes_on(server: Server, speech: Speech) -> None:
    async with Line.open(server) as line:
        detection = {**VAD, "interrupt_response": False, "create_response": False}
        await line.update(audio={"input": {"turn_detection": detection}})
        response_id, _, _ = await begin_story(line, "count slowly")
        await line.mouth.say(speech("go forward ten meters"))
        done = await line.next("response.done", within=20)
        assert (done["response"]["id"], done["response"]["status"]) == (response_id, "completed")
        assert numbers_heard(line.sound(response_id)) == list(range(1, 41))


async def test_a_client_cancels_a_response(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        response_id, item_id, _ = await begin_story(line, "count slowly")
        await line.connection.response.cancel(response_id=response_id)
        response = (await line.next("response.done"))["response"]
        assert (response["status"], response["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        assert (response["output"][0]["id"], response["output"][0]["status"]) == (item_id, "incomplete")
        # While it is being thought of, before anything is said, too.
        await line.type("wait")
        await line.connection.response.create()
        await line.next("response.created")
        await line.connection.response.cancel()
        response = (await line.next("response.done"))["response"]
        assert (response["status"], response["output"]) == ("cancelled", [])
        answer = await line.answer("hello")
        assert answer["status"] == "completed"


async def test_an_agent_that_fails_is_told_as_a_failed_response(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        await line.update(output_modalities=["text"])
        response = await line.answer("fail")
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"]
        assert (await line.answer("hello"))["status"] == "completed"

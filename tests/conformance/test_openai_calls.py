"""PyPI ``openai``: keys for browsers, calls over WebRTC made with the SDK, and a sideband to steer them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from openai import APIStatusError, NotFoundError
from websockets.exceptions import InvalidStatus

from voicertc.audio.pcm import HEARING_RATE_HZ, Samples
from voicertc.testing.client import HeadlessClient

from .line import Line, client, client_secret
from .server import Server
from .speech import RATE_HZ, numbers_heard, resampled
from .test_openai_tools import GET_AGE
from .words import counted_in

pytestmark = pytest.mark.network

SESSION = {
    "type": "realtime",
    "instructions": "Be brief.",
    "output_modalities": ["audio"],
    "audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}},
}


class Call:
    """A call over WebRTC that the SDK has made; ``caller`` is whoever talks."""

    def __init__(self, server: Server, session: dict[str, Any] | None = None) -> None:
        self._server = server
        self._session = {"session": session} if session else {}
        self.id = ""
        self.caller = HeadlessClient(self._answer)

    async def _answer(self, offer: str) -> str:
        async with client(self._server) as sdk:
            raw = await sdk.realtime.calls.with_raw_response.create(sdp=offer, **self._session)  # type: ignore[arg-type]
            assert raw.http_response.status_code == 201
            assert raw.headers["Content-Type"] == "application/sdp"
            self.id = raw.headers["Location"].rsplit("/", 1)[-1]
            return raw.http_response.text

    @staticmethod
    @asynccontextmanager
    async def open(server: Server, session: dict[str, Any] | None = None) -> AsyncIterator[Call]:
        call = Call(server, session)
        async with call.caller:
            await call.caller.channel_opened()
            yield call

    async def told(self, kind: str, within: float = 20) -> dict[str, Any]:
        return dict((await self.caller.next_event(kind, timeout=within)).event)


async def test_a_key_for_browsers_carries_a_session(server: Server) -> None:
    async with client(server) as sdk:
        secret = await sdk.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session=SESSION,  # type: ignore[arg-type]
        )
        assert secret.value.startswith("ek_")
        assert secret.expires_at == pytest.approx(time.time() + 60, abs=5)
        assert secret.session.to_dict()["instructions"] == "Be brief."
        transcription = await sdk.realtime.client_secrets.create(session={"type": "transcription"})
        assert transcription.session.type == "transcription"
        with pytest.raises(APIStatusError) as refused:
            await sdk.realtime.client_secrets.create(
                expires_after={"anchor": "created_at", "seconds": 1_000_000}
            )
        assert refused.value.status_code == 400
    # One key opens several sessions; each may say otherwise.
    for _ in range(2):
        async with Line.open(server, key=secret.value, speaks=False) as line:
            session = line.events("session.created")[0]["session"]
            assert session["instructions"] == "Be brief."
            session = await line.update(instructions="Be kind.")
            assert session["instructions"] == "Be kind."
    async with Line.open(server, key=transcription.value, speaks=False) as line:
        assert line.events("session.created")[0]["session"]["type"] == "transcription"


@pytest.mark.parametrize("session", [None, SESSION], ids=["raw", "multipart"])
async def test_the_sdk_makes_and_ends_a_call(server: Server, session: dict[str, Any] | None) -> None:
    async with Call.open(server, session) as call:
        created = (await call.told("session.created"))["session"]
        assert created["instructions"] == (session or {}).get("instructions", "")
        async with client(server) as sdk:
            for _ in range(2):  # known for a while after its end
                await sdk.realtime.calls.hangup(call.id)
            with pytest.raises(NotFoundError) as refused:
                await sdk.realtime.calls.hangup("rtc_nowhere")
            assert refused.value.code
            with pytest.raises(APIStatusError):
                await sdk.realtime.calls.accept(call.id, type="realtime")
        with pytest.raises(InvalidStatus):
            async with Line.open(server, call_id=call.id, speaks=False):
                pass


async def test_push_to_talk_over_webrtc(server: Server, speech: Callable[[str], Samples]) -> None:
    session = {**SESSION, "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
    async with Call.open(server, session) as call:
        await call.told("session.created")
        await call.caller.say(resampled(speech("go forward ten meters"), RATE_HZ, HEARING_RATE_HZ))
        call.caller.send({"type": "input_audio_buffer.clear"})
        await call.told("input_audio_buffer.cleared")
        await call.caller.say(resampled(speech("ten of clubs"), RATE_HZ, HEARING_RATE_HZ))
        call.caller.send({"type": "input_audio_buffer.commit"})
        call.caller.send({"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "event_mine"})
        assert (await call.told("error"))["error"]["event_id"] == "event_mine"  # its sound is on the track
        call.caller.send({"type": "response.create"})
        response = (await call.told("response.done"))["response"]
        assert response["output"][0]["content"] == [
            {"type": "output_text", "text": "You said: ten of clubs."}
        ]
        assert [event for event in call.caller.events if "speech" in event.type] == []


async def test_a_key_for_browsers_reaches_its_own_calls_only(server: Server) -> None:
    one, other = (client_secret(server, {"type": "realtime"}) for _ in range(2))
    async with Line.open(server, key=one, speaks=False) as line:
        call_id = "rtc_" + line.session_id.removeprefix("sess_")
        async with Line.open(server, call_id=call_id, key=one, speaks=False) as sideband:
            assert sideband.session_id == line.session_id
        with pytest.raises(InvalidStatus) as refused:
            async with Line.open(server, call_id=call_id, key=other, speaks=False):
                pass
        assert refused.value.response.status_code == 404
        async with client(server, other) as sdk:
            with pytest.raises(NotFoundError):
                await sdk.realtime.calls.hangup(call_id)
        await line.answer("hello")


async def test_a_sideband_sees_and_steers_a_call(server: Server, speech: Callable[[str], Samples]) -> None:
    question = resampled(speech("how old is the brooklyn bridge"), RATE_HZ, HEARING_RATE_HZ)
    async with (
        Call.open(server, SESSION) as call,
        Line.open(server, call_id=call.id, speaks=False) as line,
    ):
        created = await call.told("session.created")
        assert line.session_id == created["session"]["id"]
        await line.update(tools=[GET_AGE], audio={"output": {"speed": 1.0}})
        assert (await call.told("session.updated"))["session"]["tools"] == [GET_AGE]

        await call.caller.say(question)
        called = await line.next("response.function_call_arguments.done")
        await line.next("response.done")
        output = {"type": "function_call_output", "call_id": called["call_id"], "output": "very old"}
        await line.connection.conversation.item.create(item=output)  # type: ignore[arg-type]
        await line.connection.response.create()
        response = (await line.next("response.done"))["response"]
        transcript = response["output"][0]["content"][0]["transcript"]
        assert transcript == "The answer is very old."
        assert [event for event in line.events() if event["type"] == "response.output_audio.delta"] == []
        await call.told("output_audio_buffer.stopped")
        assert numbers_heard(sound_of(call)) == [0]

        # What goes wrong is told to who did it.
        await line.connection.conversation.item.delete(item_id="item_nowhere")
        await line.next("error")
        assert [event for event in call.caller.events if event.type == "error"] == []

        await line.type("count")
        await line.connection.response.create()
        await line.next("output_audio_buffer.started")
        await asyncio.sleep(1.5)
        await call.caller.say(resampled(speech("ten of clubs"), RATE_HZ, HEARING_RATE_HZ))
        truncated = await line.next("conversation.item.truncated")
        await line.next("response.done")
        asked = server.asked(line.session_id)[-1]
        story = [item for item in asked["history"] if item["role"] == "assistant"][-1]
        assert story["id"] == truncated["item_id"]
        counted = counted_in(story["text"])
        await line.next("output_audio_buffer.stopped")
        first, *numbers = numbers_heard(sound_of(call))  # of "The answer is very old." and the story
        last = numbers.index(0)
        assert (first, numbers[:last]) == (0, list(range(1, last + 1)))
        assert 0 < counted <= last <= counted + 2

        await line.type("count")
        await line.connection.response.create()
        await line.next("output_audio_buffer.started")
        await line.connection.output_audio_buffer.clear()
        await line.next("output_audio_buffer.cleared")

        async with client(server) as sdk:
            await sdk.realtime.calls.hangup(call.id)
        await line.ended()


def sound_of(call: Call) -> Samples:
    """Return all that the caller heard so far, at 24 kHz."""
    return np.concatenate([frame.samples for frame in call.caller.reply_audio(rate_hz=RATE_HZ)])

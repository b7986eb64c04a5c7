"""Orders of events that a fake server does not give, on a socket that reads."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, cast

import pytest

from voicertc.core.replies import Usage
from voicertc.errors import ProviderCrashed, ProviderError
from voicertc.providers.openai_reader_socket import ReaderSocket, Reading
from voicertc.providers.openai_socket import RealtimeSocket
from voicertc.testing import virtual_time

from .realtime_sockets import LIMIT, PLANTED_KEY, PretendedSocket

FAILED = {"code": "server_error", "message": f"No, {PLANTED_KEY}."}
SOUND = b"\1\2\3\4"


class SpeakingSocket(PretendedSocket):
    def create(self, response_id: str, utterance: str) -> None:
        self.say("response.created", response={"id": response_id, "metadata": {"utt": utterance}})

    def sound(self, response_id: str, sound: bytes = SOUND) -> None:
        delta = base64.b64encode(sound).decode()
        self.say("response.output_audio.delta", response_id=response_id, delta=delta)

    def done(self, response_id: str, status: str = "completed", **fields: Any) -> None:
        self.say("response.done", response={"id": response_id, "status": status, **fields})


class Rig:
    def __init__(self) -> None:
        self.socket = SpeakingSocket()
        self.lost: list[ReaderSocket] = []
        self.reader = ReaderSocket(cast(RealtimeSocket, self.socket), self.lost.append)

    async def begun(self) -> Reading:
        reading = await self.reader.begin("Hello.", 300)
        self.socket.create("r1", reading.utterance)
        return reading


async def all_of(reading: Reading) -> bytes:
    heard = b""
    async with asyncio.timeout(LIMIT):
        while (sound := await reading.next_sound()) is not None:
            heard += sound
    return heard


async def test_only_the_response_that_was_asked_for_is_heard() -> None:
    rig = Rig()
    reading = await rig.reader.begin("Hello.", 300)
    rig.socket.sound("r0")
    rig.socket.create("r9", "another's")
    rig.socket.sound("r9")
    rig.socket.create("r1", reading.utterance)
    rig.socket.sound("r0")
    rig.socket.say("response.output_audio_transcript.delta", response_id="r0", delta="No")
    rig.socket.sound("r1", b"\5\6")
    rig.socket.done("r0")
    rig.socket.sound("r1", b"\7\7")
    rig.socket.done("r1")
    assert await all_of(reading) == b"\5\6\7\7"
    assert reading.transcript == ""


async def test_what_the_last_clause_still_says_is_not_the_next_ones() -> None:
    rig = Rig()
    first = await rig.begun()
    rig.socket.done("r1", "cancelled")
    second = await rig.reader.begin("Two.", 300)
    rig.socket.sound("r1")
    rig.socket.create("r2", second.utterance)
    rig.socket.sound("r1")
    rig.socket.sound("r2", b"\5\6")
    rig.socket.done("r2")
    assert await all_of(second) == b"\5\6"
    with pytest.raises(ProviderCrashed, match="cancelled"):
        await all_of(first)


async def test_what_came_before_an_end_is_taken_before_it_is_told() -> None:
    rig = Rig()
    reading = await rig.begun()
    rig.socket.sound("r1")
    rig.socket.on_lost(ProviderCrashed("lost", provider="openai-test"))
    assert await reading.next_sound() == SOUND
    with pytest.raises(ProviderCrashed, match="lost"):
        await reading.next_sound()
    assert reading.is_lost
    assert rig.lost == [rig.reader]


@pytest.mark.parametrize("delta", ["%", "AA", "ü", None, 7])
async def test_what_is_no_base64_is_a_crash_or_nothing(delta: object) -> None:
    rig = Rig()
    reading = await rig.begun()
    rig.socket.say("response.output_audio.delta", response_id="r1", delta=delta)
    rig.socket.done("r1")
    if isinstance(delta, str):
        with pytest.raises(ProviderCrashed, match="no sound"):
            await all_of(reading)
    else:
        assert await all_of(reading) == b""


async def test_more_sound_than_can_be_meant_is_a_crash() -> None:
    rig = Rig()
    reading = await rig.begun()
    for _ in range(12):
        rig.socket.sound("r1", bytes(1_000_000))
    with pytest.raises(ProviderCrashed, match="more sound"):
        await all_of(reading)


@pytest.mark.parametrize(
    ("status", "fields", "words"),
    [
        ("failed", {"status_details": {"error": FAILED}}, r"\*\*\*"),
        ("failed", {"status_details": None}, "no reason given"),
        ("incomplete", {"status_details": {"reason": "content_filter"}}, "content_filter"),
        ("", {}, "no reason given"),
    ],
)
async def test_a_response_that_is_not_completed_says_why(
    status: str, fields: dict[str, Any], words: str
) -> None:
    rig = Rig()
    reading = await rig.begun()
    rig.socket.done("r1", status, **fields)
    with pytest.raises(ProviderCrashed, match=words) as caught:
        await all_of(reading)
    assert PLANTED_KEY not in caught.value.message


async def test_a_request_that_is_refused_is_over() -> None:
    rig = Rig()
    reading = await rig.reader.begin("Hello.", 300)
    rig.socket.refuse("create_u1", "invalid_value")
    with pytest.raises(ProviderError):
        await all_of(reading)
    assert await rig.reader.settle(reading, 1.0)
    assert [event["type"] for event in rig.socket.sent] == ["response.create"]


async def test_a_response_without_a_name_yet_is_cancelled_when_it_has_one() -> None:
    rig = Rig()
    reading = await rig.reader.begin("Hello.", 300)
    settling = asyncio.create_task(rig.reader.settle(reading, LIMIT))
    await asyncio.sleep(0)
    assert len(rig.socket.sent) == 1
    rig.socket.has_sent.clear()
    rig.socket.create("r1", reading.utterance)
    await asyncio.wait_for(rig.socket.has_sent.wait(), LIMIT)
    cancel = {"type": "response.cancel", "event_id": "cancel_u1", "response_id": "r1"}
    assert rig.socket.sent[1] == cancel
    rig.socket.refuse("cancel_u1", "response_cancel_not_active")
    assert await settling


def test_a_cancel_that_is_not_answered_gives_the_socket_up() -> None:
    async def settle() -> bool:
        rig = Rig()
        return await rig.reader.settle(await rig.begun(), 2.0)

    assert virtual_time.run(settle()) is False


async def test_what_a_response_cost_is_read_with_its_parts() -> None:
    rig = Rig()
    reading = await rig.begun()
    usage = {
        "input_tokens": 90,
        "output_tokens": 50,
        "input_token_details": {
            "audio_tokens": 0,
            "cached_tokens": 64,
            "cached_tokens_details": {"audio_tokens": 0, "text_tokens": 64},
        },
        "output_token_details": {"audio_tokens": 40, "text_tokens": 10},
    }
    rig.socket.done("r1", usage=usage)
    assert reading.tokens == Usage(90, 50, 64, output_audio_tokens=40, provider="openai-test")
    assert await all_of(reading) == b""

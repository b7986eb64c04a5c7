from __future__ import annotations

import asyncio

import numpy as np
import pytest

from voicertc.errors import ClientError
from voicertc.testing.client import ClientOptions, HeadlessClient
from voicertc.testing.received import ReceivedPacket, in_order
from voicertc.testing.utterance import Utterance

from ..rtc.calls import Owner, call, pitch, tone
from .answering import answering

network = pytest.mark.network


def packet(number: int, at: float = 0.0) -> ReceivedPacket:
    return ReceivedPacket(at, number, 0, b"")


def test_packets_are_put_in_order_over_the_wrap_and_each_kept_once() -> None:
    numbers = [65_534, 0, 65_535, 1, 1, 3, 2]
    assert [p.sequence_number for p in in_order(map(packet, numbers))] == [65_534, 65_535, 0, 1, 2, 3]
    assert in_order([]) == []
    first, again = packet(5, 1.0), packet(5, 2.0)
    assert in_order([first, again]) == [first]


@network
async def test_a_call_over_http_is_spoken_to_and_heard() -> None:
    async with answering() as (url, calls), HeadlessClient(url) as client:
        assert client.location == "/prefix/v1/realtime/calls/rtc_1"
        assert 0 < client.setup_time < 10
        said = Utterance.from_samples(np.concatenate((tone(0.4, 16_000), np.zeros(1600, np.int16))))
        spoken = await client.say(said)
        assert len(spoken.sent) == len(said.packets) == 25
        assert spoken.sent == sorted(spoken.sent)
        assert spoken.onset == spoken.sent[0]
        assert spoken.end == spoken.sent[19]
        await calls[0].until("playout_drained", "reply-1")
        frames = client.reply_audio(rate_hz=24_000, since=spoken.end)
    sound = np.concatenate([frame.samples for frame in frames])
    begin = np.flatnonzero(np.abs(sound) > 4000)[0]
    assert pitch(sound[begin + 2400 : begin + 14_400], 24_000) == pytest.approx(440, abs=5)
    assert [frame.at for frame in frames] == sorted(frame.at for frame in frames)


@network
async def test_events_are_awaited_by_type_in_the_order_they_came() -> None:
    async with answering() as (url, _), HeadlessClient(url) as client:
        await client.channel_opened()
        for name in ("one", "two", "three"):
            client.send({"type": name})
        assert (await client.next_event("two")).type == "two"
        assert (await client.next_event()).type == "three"
        with pytest.raises(TimeoutError, match=r"no four in 0\.05 s, only"):
            await client.next_event("four", timeout=0.05)
        assert [event.type for event in client.events] == ["one", "two", "three"]


@network
async def test_several_clients_say_the_same_packets() -> None:
    said = Utterance.from_samples(tone(0.2, 16_000))
    async with call() as (one, first), call() as (two, second):
        await asyncio.gather(first.say(said), second.say(said))
        for owner in (one, two):
            await owner.when(lambda owner=owner: any(np.abs(f.samples).max() > 4000 for f in owner.frames))


@network
async def test_what_is_said_while_something_is_being_said_queues_up() -> None:
    async with call() as (_, client):
        first = client.begin_saying(tone(0.1, 16_000))
        second = await client.say(tone(0.1, 16_000))
    assert first.is_over
    assert first.sent[-1] < second.sent[0]


@network
async def test_a_client_with_dtx_sends_next_to_nothing_in_silence_and_speaks_at_once() -> None:
    async with call(client_options=ClientOptions(uses_dtx=True)) as (_, client):
        await asyncio.sleep(0.3)
        before = asyncio.get_running_loop().time()
        spoken = await client.say(tone(0.1, 16_000))
    assert spoken.sent[0] == pytest.approx(before, abs=0.05)


@network
async def test_packets_go_to_whoever_takes_them_and_are_not_kept() -> None:
    taken: list[ReceivedPacket] = []
    async with call(client_options=ClientOptions(on_packet=taken.append)) as (owner, client):
        await owner.when(lambda: len(taken) > 3)
        assert client.packets == []


@network
async def test_a_client_may_come_without_a_data_channel() -> None:
    async with call(client_options=ClientOptions(opens_channel=False)) as (owner, client):
        await owner.when(lambda: len(owner.frames) > 3)
        with pytest.raises(ConnectionError):
            client.send({})
    assert ("channel_opened",) not in owner.log


@network
async def test_a_call_that_ends_while_something_is_said_is_an_error() -> None:
    async with call() as (owner, client):
        speaking = asyncio.create_task(client.say(tone(5.0, 16_000)))
        await owner.when(lambda: len(owner.frames) > 3)
        await owner.close()
        with pytest.raises(ConnectionError):
            await speaking


@network
async def test_a_refusal_is_the_error_that_the_server_raised() -> None:
    async with answering(refuses_after=0) as (url, _):
        with pytest.raises(ClientError) as caught:
            await HeadlessClient(url).connect()
        assert (caught.value.status, caught.value.code, caught.value.message) == (
            503,
            "too_many_calls",
            "Busy.",
        )
        with pytest.raises(ClientError) as caught:
            await HeadlessClient(url + "/nowhere").connect()
        assert (caught.value.status, caught.value.code) == (404, "refused")


@network
async def test_a_server_that_is_not_there_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="cannot be reached"):
        await HeadlessClient("http://127.0.0.1:1").connect()


@network
async def test_a_server_that_answers_and_then_is_silent_is_a_timeout() -> None:
    owner = Owner()

    async def answer(offer: str) -> str:
        return (await owner.answer(offer)).replace("a=ice-pwd:", "a=ice-pwd:wrong")

    with pytest.raises(TimeoutError):
        async with HeadlessClient(answer, ClientOptions(connect_timeout=0.5)):
            pass
    await owner.close()

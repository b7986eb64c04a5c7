"""Two real peers over loopback: ours, and a headless client or a bare one of aiortc's."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from itertools import pairwise

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from voicertc.audio.opus import SILENCE
from voicertc.audio.pcm import PcmFrame
from voicertc.audio.playout import EAR_DELAY
from voicertc.errors import ClientError
from voicertc.rtc import aiortc_patch
from voicertc.rtc.aiortc_patch import addresses as addresses_offered
from voicertc.rtc.peer import IceServer, RtcOptions
from voicertc.testing.client import ClientOptions, HeadlessClient

from .calls import Owner, call, pitch, tone
from .offers import audio, data, offer

pytestmark = pytest.mark.network

IMPATIENT = RtcOptions(pause_after=0.4, close_after=1.2)


async def offer_of(pc: RTCPeerConnection) -> str:
    """An offer with candidates on loopback alone."""
    description = await pc.createOffer()
    aiortc_patch.offer_loopback(pc, only=True)
    await pc.setLocalDescription(description)
    return pc.localDescription.sdp


@pytest.fixture
async def bare() -> AsyncGenerator[RTCPeerConnection]:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield pc
    await pc.close()


async def connect(pc: RTCPeerConnection, owner: Owner) -> str:
    answer = await owner.answer(await offer_of(pc))
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    await owner.until("connected")
    return answer


async def test_sound_flows_both_ways_and_messages_too() -> None:
    async with call() as (owner, client):
        await client.channel_opened()
        await owner.until("channel_opened")
        client.send({"type": "hello"})
        owner.peer.send('{"type": "welcome"}')
        owner.speak(tone(0.5, 24_000, 660.0))
        await client.say(tone(0.5, 16_000))
        assert (await client.next_event("welcome")).event == {"type": "welcome"}
        await owner.until("playout_drained", "reply")
        await owner.when(lambda: len(owner.frames) > 40)
    assert owner.messages == ['{"type": "hello"}']
    loud = [frame for frame in owner.frames if np.abs(frame.samples).max() > 4000]
    assert 24 <= len(loud) <= 27
    assert all((after.position - before.position) % 320 == 0 for before, after in pairwise(loud))
    assert pitch(np.concatenate([frame.samples for frame in loud[2:-2]]), 16_000) == pytest.approx(440, abs=5)
    reply = np.concatenate([frame.samples for frame in client.reply_audio()])
    loud_reply = reply[np.flatnonzero(np.abs(reply) > 4000)[0] :][1600:6400]
    assert pitch(loud_reply, 16_000) == pytest.approx(660, abs=5)


async def test_the_answer_is_passive_speaks_opus_alone_and_names_loopback(bare: RTCPeerConnection) -> None:
    bare.addTrack(AudioStreamTrack())
    owner = Owner()
    answer = await owner.answer(await offer_of(bare))
    await owner.close()
    lines = answer.splitlines()
    assert [line for line in lines if line.startswith(("a=setup", "a=rtpmap", "a=sendrecv"))] == [
        "a=sendrecv",
        "a=rtpmap:96 opus/48000/2",
        "a=setup:passive",
    ]
    assert any(line.startswith("a=msid:") for line in lines)
    assert any(" 127.0.0.1 " in line for line in lines if line.startswith("a=candidate"))


async def test_a_client_elsewhere_is_not_offered_loopback(
    bare: RTCPeerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.addTrack(AudioStreamTrack())
    text = await offer_of(bare)
    for addresses, is_offered in ((["127.0.0.2"], False), ([], True)):
        monkeypatch.setattr(
            "aioice.ice.get_host_addresses", lambda *, use_ipv4, use_ipv6, found=addresses: found
        )
        monkeypatch.setattr(
            addresses_offered, "get_host_addresses", lambda *, use_ipv4, use_ipv6, found=addresses: found
        )
        owner = Owner()
        assert (" 127.0.0.1 " in await owner.peer.answer(text)) == is_offered
        await owner.close()


async def test_an_offer_without_candidates_connects() -> None:
    owner = Owner()

    async def answer(text: str) -> str:
        return await owner.answer("\r\n".join(line for line in text.splitlines() if "candidate" not in line))

    async with HeadlessClient(answer):
        await owner.until("connected")
    await owner.close()


async def test_an_offer_with_nothing_but_mdns_names_connects() -> None:
    """As Firefox writes it; unchanged it would cost a second and then fail."""
    owner = Owner()

    async def answer(text: str) -> str:
        assert "a=end-of-candidates" in text
        return await owner.answer(text.replace(" 127.0.0.1 ", " 3b5a-11.local "))

    async with HeadlessClient(answer):
        await owner.until("connected")
    await owner.close()


async def test_an_announced_address_is_what_clients_are_told(bare: RTCPeerConnection) -> None:
    bare.addTrack(AudioStreamTrack())
    owner = Owner(RtcOptions(announced_address="203.0.113.4"))
    answer = await owner.answer(await offer_of(bare))
    await owner.close()
    hosts = {line.split(" ")[4] for line in answer.splitlines() if line.startswith("a=candidate")}
    assert {host for host in hosts if "." in host} <= {"203.0.113.4", "127.0.0.1"}


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="voice"):
        RtcOptions(announced_address="voice.example")
    with pytest.raises(ValueError, match="pause_after"):
        RtcOptions(pause_after=20.0)
    assert "secret" not in repr(IceServer(("turn:192.0.2.1",), "user", "secret"))


async def test_a_client_that_only_sends_is_heard_and_replies_pass_unheard(bare: RTCPeerConnection) -> None:
    bare.addTransceiver(AudioStreamTrack(), direction="sendonly")
    owner = Owner()
    assert "a=recvonly" in await connect(bare, owner)
    owner.speak(tone(0.1, 24_000))
    await owner.until("playout_drained", "reply")
    await owner.when(lambda: len(owner.frames) > 3)
    await owner.close()


async def test_a_client_that_only_listens_is_spoken_to(bare: RTCPeerConnection) -> None:
    bare.addTransceiver("audio", direction="recvonly")
    owner = Owner()
    tracks = []
    bare.on("track", tracks.append)
    assert "a=sendonly" in await connect(bare, owner)
    owner.speak(tone(0.5, 24_000))
    for _ in range(10):
        await tracks[0].recv()
    await owner.until("playout_drained", "reply")
    await owner.close()
    assert owner.frames == []


async def test_a_client_without_sound_either_way_still_has_its_messages(bare: RTCPeerConnection) -> None:
    bare.addTransceiver("audio", direction="inactive")
    channel = bare.createDataChannel("oai-events")
    received: asyncio.Queue[str] = asyncio.Queue()
    channel.on("message", received.put_nowait)
    owner = Owner()
    await connect(bare, owner)
    await owner.until("channel_opened")
    owner.peer.send("hello")
    assert await asyncio.wait_for(received.get(), 5) == "hello"
    channel.send(b"\x00\x01")
    await owner.when(lambda: owner.messages == [b"\x00\x01"])
    await owner.close()


async def test_video_is_declined_and_the_call_goes_on(bare: RTCPeerConnection) -> None:
    bare.addTrack(AudioStreamTrack())
    bare.addTransceiver("video")
    bare.addTransceiver("video")
    bare.createDataChannel("oai-events")
    owner = Owner()
    answer = await connect(bare, owner)
    await owner.until("channel_opened")
    await owner.when(lambda: len(owner.frames) > 3)
    await owner.close()
    assert [line.split(" ")[0] for line in answer.splitlines() if line.startswith("m=")] == [
        "m=audio",
        "m=video",
        "m=video",
        "m=application",
    ]
    assert answer.count("a=inactive") == 2


async def test_a_client_that_likes_another_codec_best_is_given_opus() -> None:
    owner = Owner()

    async def answer(text: str) -> str:
        lines = text.splitlines()
        (index,) = [n for n, line in enumerate(lines) if line.startswith("m=audio")]
        fields = lines[index].split(" ")
        lines[index] = " ".join([*fields[:3], "0", *(number for number in fields[3:] if number != "0")])
        codec = lines.index("a=rtpmap:0 PCMU/8000")
        lines.insert(index + 1, lines.pop(codec))
        return await owner.answer("\r\n".join(lines))

    async with HeadlessClient(answer) as client:
        owner.speak(tone(0.3, 24_000))
        await owner.until("playout_drained", "reply")
        await owner.when(lambda: any(packet.payload != SILENCE for packet in client.packets))
    await owner.close()


async def test_other_channels_are_left_alone_and_none_is_needed(bare: RTCPeerConnection) -> None:
    bare.addTrack(AudioStreamTrack())
    bare.createDataChannel("something").on("open", lambda: None)
    owner = Owner()
    await connect(bare, owner)
    await owner.when(lambda: len(owner.frames) > 10)
    owner.peer.send("nobody gets this")
    await owner.close()
    assert owner.log == [("connected",)]


async def test_a_message_the_client_cannot_take_is_dropped_and_the_next_is_not() -> None:
    async with call(RtcOptions(max_message_bytes=20)) as (owner, client):
        await client.channel_opened()
        await owner.until("channel_opened")
        owner.peer.send('{"type": "much too long"}')
        owner.peer.send('{"type": "short"}')
        assert (await client.next_event()).type == "short"


async def test_sending_to_a_client_that_has_gone_raises_nothing() -> None:
    async with call() as (owner, client):
        await client.channel_opened()
        await owner.until("channel_opened")
        await client.close()
        owner.peer.send("{}")
        await owner.until("closed", "closed")
        owner.peer.send("{}")


async def test_a_client_that_does_not_take_its_messages_is_given_up() -> None:
    async with call(RtcOptions(max_buffered_bytes=200_000)) as (owner, client):
        await client.channel_opened()
        await owner.until("channel_opened")
        client.cut_link()
        for _ in range(10):
            owner.peer.send("x" * 50_000)
        assert ("closed", "slow_client") in owner.log


async def test_a_hang_up_is_told_once_and_closing_twice_is_nothing() -> None:
    async with call() as (owner, client):
        await client.close()
        await owner.until("closed", "closed")
        await asyncio.gather(owner.close(), owner.close())
    assert owner.log.count(("closed", "closed")) == 1


async def test_who_closes_a_peer_is_not_told_of_it() -> None:
    async with call() as (owner, client):
        await owner.close()
        await owner.when(lambda: not client.is_connected)
    assert not [entry for entry in owner.log if entry[0] == "closed"]


async def test_a_client_that_never_connects_is_given_up(bare: RTCPeerConnection) -> None:
    bare.addTrack(AudioStreamTrack())
    owner = Owner(RtcOptions(connect_timeout=0.2))
    await owner.answer(await offer_of(bare))
    await owner.until("closed", "never_connected")
    await owner.close()


async def test_a_client_that_falls_silent_is_away_and_comes_back() -> None:
    async with call(RtcOptions(pause_after=0.4, close_after=5.0)) as (owner, client):
        client.cut_link()
        await owner.until("away")
        client.mend_link()
        await owner.until("back")
        await owner.when(lambda: len(owner.frames) > 20)
    assert [entry for entry in owner.log if entry[0] in ("away", "back", "closed")] == [("away",), ("back",)]


async def test_a_client_that_stays_silent_is_lost() -> None:
    async with call(IMPATIENT) as (owner, client):
        client.cut_link()
        await owner.until("closed", "lost")
    assert [entry for entry in owner.log if entry[0] in ("away", "back", "closed")] == [
        ("away",),
        ("closed", "lost"),
    ]


async def test_a_client_in_dtx_is_neither_away_nor_misplaced_in_time() -> None:
    options = RtcOptions(pause_after=1.0, close_after=2.0)
    async with call(options, ClientOptions(uses_dtx=True)) as (owner, client):
        await asyncio.sleep(2.0)  # of silence that is not sent
        await client.say(tone(0.4, 16_000))
        await owner.when(lambda: bool(owner.frames) and np.abs(owner.frames[-1].samples).max() > 4000)
        loud = next(frame for frame in owner.frames if np.abs(frame.samples).max() > 4000)
    assert ("away",) not in owner.log
    assert 1.8 < loud.start < 2.8


async def test_a_fault_in_the_owners_ear_ends_the_call_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Owner):
        def hear(self, frame: PcmFrame) -> None:
            raise ZeroDivisionError

    owner = Faulty()
    async with HeadlessClient(owner.answer):
        await owner.until("closed", "failed")
    await owner.close()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["peer_failed"]


async def test_the_round_trip_moves_the_moment_that_counts_as_heard() -> None:
    async with call(RtcOptions(pause_after=0.5)) as (owner, _):
        await owner.when(lambda: owner.playout.ear_delay != EAR_DELAY)
        assert owner.peer.round_trip is not None
        assert owner.playout.ear_delay == pytest.approx(EAR_DELAY + owner.peer.round_trip / 2, abs=0.01)


async def test_a_closed_call_leaves_nothing_behind() -> None:
    async def once() -> None:
        async with call() as (owner, client):
            await client.channel_opened()
            await owner.when(lambda: len(owner.frames) > 3)

    await once()  # what is made once per process
    for _ in range(20):
        await asyncio.sleep(0)
    fds, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    await once()
    for _ in range(20):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(os.listdir("/proc/self/fd")) == fds
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    "text", ["", "v=0", offer(audio(codecs="pcmu"), data()), offer(audio("0", "a=setup:x"))]
)
async def test_a_bad_offer_is_the_clients_mistake_and_closes_the_peer(text: str) -> None:
    owner = Owner()
    with pytest.raises(ClientError):
        await owner.answer(text)
    await owner.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert owner.log == []


async def test_all_calls_of_a_process_share_a_certificate(bare: RTCPeerConnection) -> None:
    bare.addTrack(AudioStreamTrack())
    text = await offer_of(bare)
    prints = set()
    for _ in range(2):
        owner = Owner()
        answer = await owner.answer(text)
        prints.add(next(line for line in answer.splitlines() if "fingerprint:sha-256" in line))
        await owner.close()
    assert len(prints) == 1

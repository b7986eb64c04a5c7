"""What may change on a connection that is up, and how another one takes its place."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from itertools import pairwise

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from voicertc.errors import ClientError
from voicertc.rtc import aiortc_patch
from voicertc.rtc.aiortc_patch.addresses import connections_of
from voicertc.rtc.ice import MAX_CANDIDATES, TrickledCandidate
from voicertc.testing.client import HeadlessClient

from .calls import Owner, call, tone
from .offers import audio, data, offer

pytestmark = pytest.mark.network


@pytest.fixture
async def bare() -> AsyncGenerator[RTCPeerConnection]:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield pc
    await pc.close()


async def begin(pc: RTCPeerConnection, owner: Owner) -> None:
    description = await pc.createOffer()
    aiortc_patch.offer_loopback(pc, only=True)
    await pc.setLocalDescription(description)
    answer = await owner.answer(pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    await owner.until("connected")


async def go_on(pc: RTCPeerConnection, owner: Owner) -> str:
    await pc.setLocalDescription(await pc.createOffer())
    answer = await owner.peer.answer_again(pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    return answer


async def test_a_microphone_may_be_brought_later(bare: RTCPeerConnection) -> None:
    transceiver = bare.addTransceiver("audio", direction="recvonly")
    owner = Owner()
    await begin(bare, owner)
    assert owner.frames == []
    transceiver.sender.replaceTrack(AudioStreamTrack())
    transceiver.direction = "sendrecv"
    assert "a=sendrecv" in await go_on(bare, owner)
    await owner.when(lambda: len(owner.frames) > 5)
    await owner.close()


async def test_a_client_may_ask_for_our_voice_later(bare: RTCPeerConnection) -> None:
    transceiver = bare.addTransceiver(AudioStreamTrack(), direction="sendonly")
    tracks: list[object] = []
    bare.on("track", tracks.append)
    owner = Owner()
    await begin(bare, owner)
    owner.speak(tone(0.1, 24_000))
    await owner.until("playout_drained", "reply")
    transceiver.direction = "sendrecv"
    assert "a=sendrecv" in await go_on(bare, owner)
    owner.log.clear()
    owner.speak(tone(0.5, 24_000))
    loud = 0
    while loud < 15:
        frame = await asyncio.wait_for(tracks[0].recv(), 5)  # type: ignore[attr-defined]  # aiortc's tracks
        loud += bool(np.abs(frame.to_ndarray()).max() > 4000)
    await owner.until("playout_drained", "reply")
    await owner.close()


async def test_messages_go_on_when_a_connection_is_negotiated_again() -> None:
    async with call() as (owner, client):
        await client.channel_opened()

        async def answer(text: str) -> str:
            return await owner.peer.answer_again(text)

        client._target = answer
        await client.offer_again()
        client.send({"type": "hello"})
        await owner.when(lambda: owner.messages == ['{"type": "hello"}'])
        owner.peer.send('{"type": "welcome"}')
        assert (await client.next_event()).type == "welcome"
    assert owner.log.count(("connected",)) == 1


async def test_an_offer_of_another_connection_is_told_to_say_so() -> None:
    async with call() as (owner, client):
        for text, code in ((offer(audio("0"), data("1")), "restart_required"), ("v=1", "invalid_sdp")):
            with pytest.raises(ClientError) as caught:
                await owner.peer.answer_again(text)
            assert caught.value.code == code
        assert client.is_connected


async def test_an_address_that_comes_later_is_tried() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        there.setblocking(False)
        port = there.getsockname()[1]
        owner = Owner()
        await owner.answer(offer(audio("0"), data("1")))
        await owner.peer.add_candidates(
            [TrickledCandidate(f"candidate:1 1 udp 99 127.0.0.1 {port} typ host", "0")]
        )
        check = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(there, 2000), 5)
        await owner.close()
        await owner.peer.add_candidates([TrickledCandidate("candidate:what", "0")])
    assert check[4:8] == b"\x21\x12\xa4\x42"  # STUN (RFC 8489 §5)


async def test_addresses_of_another_ice_session_are_refused_and_too_many_left_out() -> None:
    owner = Owner()
    await owner.answer(offer(audio("0"), data("1")))
    good = [
        TrickledCandidate(f"candidate:1 1 udp 99 192.0.2.1 {port} typ host", "0")
        for port in range(5000, 5000 + MAX_CANDIDATES + 8)
    ]
    await owner.peer.add_candidates(good, ufrag="frag")
    with pytest.raises(ClientError) as caught:
        await owner.peer.add_candidates(good, ufrag="other")
    assert (caught.value.status, caught.value.code) == (422, "ice_restart_unsupported")
    (connection,) = connections_of(owner.peer._connection.pc)
    assert len(connection.remote_candidates) == MAX_CANDIDATES
    await owner.close()


async def test_another_connection_takes_the_place_of_a_lost_one_and_time_goes_on() -> None:
    async with call() as (owner, lost):
        await lost.say(tone(0.2, 16_000))
        await owner.when(lambda: bool(owner.frames))
        lost.cut_link()
        peer, owner.peer = owner.peer, owner.peer.successor()
        await peer.close()
        owner.log.clear()
        n_before = len(owner.frames)
        await asyncio.sleep(0.5)
        async with HeadlessClient(owner.answer) as client:
            await owner.until("connected")
            owner.speak(tone(0.3, 24_000))
            await client.say(tone(0.4, 16_000))
            await owner.until("playout_drained", "reply")
            await owner.when(lambda: len(owner.frames) > n_before + 20)
            assert any(np.abs(frame.samples).max() > 4000 for frame in client.reply_audio())
    assert ("closed", "lost") not in owner.log
    positions = [frame.position for frame in owner.frames]
    assert all(after > before for before, after in pairwise(positions))
    assert positions[n_before] - positions[n_before - 1] > 0.4 * 16_000


async def test_a_connection_on_another_network_takes_over_without_a_gap() -> None:
    """The one before carries on until the new one is up; then it frees itself, and nobody is told."""
    async with call() as (owner, former):
        await former.channel_opened()
        await owner.until("channel_opened")
        owner.speak(tone(3.0, 24_000))
        speaking = asyncio.create_task(former.say(tone(3.0, 16_000)))
        await owner.when(lambda: len(owner.frames) > 20)
        owner.peer = owner.peer.successor()
        owner.peer.send('{"type": "still on the former one"}')
        assert (await former.next_event()).type == "still on the former one"
        async with HeadlessClient(owner.answer) as client:
            await owner.when(lambda: owner.log.count(("connected",)) == 2)
            n_before = len(owner.frames)
            await client.say(tone(0.5, 16_000))
            await owner.until("playout_drained", "reply")
            await owner.when(lambda: not former.is_connected)
            with pytest.raises(ConnectionError):
                await speaking
            arrivals = [packet.at for packet in former.packets], [packet.at for packet in client.packets]
            handover = arrivals[1][0] - arrivals[0][-1]
            heard = former.reply_audio() + client.reply_audio()
            n_loud = sum(np.abs(frame.samples).max() > 4000 for frame in heard)
    assert handover < 0.045, "at most one packet's time more than between any two"
    assert 146 <= n_loud <= 153, "all of the reply but what a busy machine skips, and nothing twice"
    positions = [frame.position for frame in owner.frames]
    assert all(after >= before + 320 for before, after in pairwise(positions))
    assert positions[n_before] - positions[n_before - 1] < 0.2 * 16_000
    assert [entry for entry in owner.log if entry[0] in ("away", "closed")] == []

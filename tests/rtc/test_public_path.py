"""The way through aiortc's public API alone, which a server runs on whose aiortc is not the one it knows."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from voicertc.rtc import aiortc_patch
from voicertc.rtc.media_plane import MediaPlane
from voicertc.rtc.options import RtcOptions
from voicertc.testing.client import HeadlessClient

from .calls import Owner, pitch, tone

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def loopback_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aioice itself offer an address that is always there: this path adds none."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda *, use_ipv4, use_ipv6: ["127.0.0.1"])


async def test_sound_flows_both_ways() -> None:
    owner = Owner(only_public=True)
    async with HeadlessClient(owner.answer) as client:
        await owner.until("connected")
        owner.speak(tone(0.5, 24_000, 660.0))
        await client.say(tone(0.5, 16_000))
        await owner.until("playout_drained", "reply")
        await owner.when(lambda: len(owner.frames) > 40)
        reply = np.concatenate([frame.samples for frame in client.reply_audio()])
    await owner.close()
    loud = [frame.samples for frame in owner.frames if np.abs(frame.samples).max() > 4000]
    assert 24 <= len(loud) <= 27
    assert pitch(np.concatenate(loud[2:-2]), 16_000) == pytest.approx(440, abs=5)
    loud_reply = reply[np.flatnonzero(np.abs(reply) > 4000)[0] :][1600:6400]
    assert pitch(loud_reply, 16_000) == pytest.approx(660, abs=5)


async def test_what_nobody_wants_to_hear_passes_in_real_time() -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver(AudioStreamTrack(), direction="sendonly")
    owner = Owner(only_public=True)
    await pc.setLocalDescription(await pc.createOffer())
    answer = await owner.answer(pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    await owner.until("connected")
    owner.speak(tone(0.1, 24_000))
    await owner.until("playout_drained", "reply")
    await owner.when(lambda: len(owner.frames) > 3)
    await owner.close()
    await pc.close()


async def test_a_goodbye_is_noticed_and_nothing_is_left() -> None:
    owner = Owner(only_public=True)
    async with HeadlessClient(owner.answer) as client:
        await owner.until("connected")
        await owner.when(lambda: len(owner.frames) > 3)
        await client.close()
        await owner.until("closed", "closed")
    await owner.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_silent_client_is_not_taken_for_lost() -> None:
    """Nobody tells of its RTCP and STUN here, so that it is silent says nothing."""
    owner = Owner(RtcOptions(pause_after=0.3, close_after=0.6), only_public=True)
    async with HeadlessClient(owner.answer) as client:
        await owner.until("connected")
        client.cut_link()
        await asyncio.sleep(1.0)
    await owner.close()
    assert owner.log == [("connected",)]


async def test_another_version_of_aiortc_is_told_of_and_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    missing = aiortc_patch.missing_names([("aioice", "Connection", "_gone")])
    monkeypatch.setattr(aiortc_patch, "MISSING", missing)
    plane = MediaPlane(RtcOptions())
    assert plane.is_public
    assert plane.port is None
    assert plane.hearing_delay == 0.08
    plane.close()
    (record,) = caplog.records
    assert record.message == "media_path_public"
    assert "aioice.Connection._gone" in str(record.__dict__)


async def test_a_data_channel_that_would_hang_aiortc_is_refused_here_too() -> None:
    owner = Owner(only_public=True)
    async with HeadlessClient(owner.answer) as client:
        await client.channel_opened()
        await owner.until("channel_opened")
        association = owner.peer._connection.pc.sctp
        endless = bytes(12) + bytes([4, 0, 0, 8, 0, 1, 0, 0])  # a HEARTBEAT whose parameter has no length
        await asyncio.wait_for(association._handle_data(endless), 5)
        client.send({"type": "still here"})
        await owner.when(lambda: owner.messages == ['{"type": "still here"}'])
    await owner.close()

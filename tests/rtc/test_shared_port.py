"""Real calls on one UDP port: each hears its own client, whatever else arrives there."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import AsyncExitStack

import pytest

from voicertc.audio.pcm import HEARING_RATE_HZ
from voicertc.errors import SettingsError
from voicertc.rtc.options import RtcOptions
from voicertc.rtc.peer import CallAudio, MediaPlane, Peer
from voicertc.testing.client import HeadlessClient

from .calls import Owner, pitch, tone

pytestmark = pytest.mark.network

PITCHES = (300.0, 500.0, 700.0)


def owner_on(plane: MediaPlane, options: RtcOptions) -> Owner:
    """An owner whose peer shares what other peers use."""
    owner = Owner(options)
    owner.peer = Peer(CallAudio(owner.playout, owner.hear), owner, plane, options, name="call")
    return owner


def ports_in(answer: str) -> set[int]:
    return {int(line.split(" ")[5]) for line in answer.splitlines() if line.startswith("a=candidate:")}


def forgeries(rng: random.Random) -> list[bytes]:
    """Bytes of a stranger who knows how packets look: STUN, DTLS, RTP, RTCP, and the rest."""
    cookie = bytes.fromhex("2112a442")
    checks = [b"\x00\x01" + rng.randbytes(2) + cookie + rng.randbytes(rng.randrange(200)) for _ in range(50)]
    others = [bytes([first]) + rng.randbytes(rng.randrange(1500)) for first in range(256) for _ in range(2)]
    return [*checks, *others, b""]


async def test_calls_at_the_same_time_hear_their_own_clients_and_leave_nothing() -> None:
    options = RtcOptions()
    plane = MediaPlane(options)
    assert plane.port is not None
    owners = [owner_on(plane, options) for _ in PITCHES]
    rng = random.Random(5)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(HeadlessClient(owner.answer)) for owner in owners]
        [local] = plane.port.open(["127.0.0.1"])
        assert local.n_lanes == len(owners)
        for owner in owners:
            await owner.until("connected")
        speaking = [
            asyncio.create_task(client.say(tone(1.0, HEARING_RATE_HZ, hz)))
            for client, hz in zip(clients, PITCHES, strict=True)
        ]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for forgery in forgeries(rng):
                stranger.sendto(forgery, ("127.0.0.1", local.port))
                await asyncio.sleep(0.001)
        await asyncio.gather(*speaking)
        for owner in owners:
            await owner.when(lambda: len(owner.frames) > 50)  # noqa: B023 (awaited here)
            await owner.peer.close()
    heard = [round(pitch(owner.heard(), HEARING_RATE_HZ), -1) for owner in owners]
    assert heard == list(PITCHES)
    assert plane.port.dropped >= 500
    assert (local.n_lanes, local.n_routes) == (0, 0)
    plane.close()


async def test_every_candidate_names_the_one_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    options = RtcOptions(udp_port=free)
    owner = Owner(options)
    answers: list[str] = []

    async def answer(offer: str) -> str:
        answers.append(await owner.answer(offer))
        return answers[0]

    async with HeadlessClient(answer):
        await owner.until("connected")
    assert ports_in(answers[0]) == {free}

    second = Owner(options)
    with pytest.raises(SettingsError, match=f"UDP port {free} cannot be opened"):
        await HeadlessClient(second.answer).connect()
    await owner.close()
    await second.close()


async def test_random_ports_remain_possible() -> None:
    owner = Owner(RtcOptions(udp_port=None))
    assert owner.plane.port is None
    async with HeadlessClient(owner.answer) as client:
        await client.say(tone(0.4, HEARING_RATE_HZ))
        await owner.when(lambda: len(owner.frames) > 20)
    await owner.close()

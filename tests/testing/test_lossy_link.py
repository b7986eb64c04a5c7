"""The link between plain sockets, between two real peers, and in front of a server that speaks HTTP."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from voicertc.testing.client import HeadlessClient
from voicertc.testing.lossy_link import (
    CLEAN,
    RTP_ONLY,
    Direction,
    Kind,
    LinkModel,
    LossyLink,
)

from ..rtc.calls import Owner, tone

pytestmark = pytest.mark.network

DEADLINE = 5.0


def answer_sdp(*candidates: str) -> str:
    lines = ["v=0", "m=audio 9 UDP/TLS/RTP/SAVPF 96", *(f"a=candidate:{text}" for text in candidates)]
    return "\r\n".join([*lines, "a=end-of-candidates"]) + "\r\n"


def host(address: str, port: int, number: int = 1) -> str:
    return f"{number} 1 udp 2130706431 {address} {port} typ host"


def addresses_in(sdp: str) -> list[tuple[str, int]]:
    fields = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate:")]
    return [(field[4], int(field[5])) for field in fields]


class Port:
    """A UDP socket that keeps what arrives."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()[:2]

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.get_running_loop().sock_recvfrom(self.socket, 2048)

    async def receive_all(self, n: int) -> list[bytes]:
        return [(await self.receive())[0] for _ in range(n)]


@pytest.fixture
def ports() -> Iterator[list[Port]]:
    opened = [Port() for _ in range(3)]
    yield opened
    for port in opened:
        port.socket.close()


@contextmanager
def link_to(server: Port, *models: LinkModel, seed: int = 1) -> Iterator[tuple[LossyLink, tuple[str, int]]]:
    link = LossyLink(*models, seed=seed)
    try:
        yield link, addresses_in(link.rewrite_answer(answer_sdp(host(*server.address))))[0]
    finally:
        link.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something of a link, which tells nobody."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 (see above)
            await asyncio.sleep(0.001)


def rtp(number: int) -> bytes:
    return b"\x80\x60" + number.to_bytes(2) + bytes(12)


def numbers(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4]) for packet in packets]


async def test_each_client_has_a_way_of_its_own_to_the_server_and_back(ports: list[Port]) -> None:
    server, one, other = ports
    with link_to(server) as (_, front):
        one.socket.sendto(rtp(1), front)
        first, from_one = await server.receive()
        other.socket.sendto(rtp(2), front)
        second, from_other = await server.receive()
        assert (first, second) == (rtp(1), rtp(2))
        assert from_one != from_other
        server.socket.sendto(b"\x00to one", from_one)
        server.socket.sendto(b"\x00to other", from_other)
        assert await other.receive() == (b"\x00to other", front)
        assert await one.receive() == (b"\x00to one", front)


async def lost_numbers(ports: list[Port], model: LinkModel, seed: int, stun_every: int) -> set[int]:
    """Send 400 packets through a link, STUN between them; return which were lost."""
    server, client, _ = ports
    sent_on: list[bytes] = []
    link = LossyLink(model, seed=seed, watch=lambda _, datagram: sent_on.append(datagram))
    (front,) = addresses_in(link.rewrite_answer(answer_sdp(host(*server.address))))
    rtp_counts, stun_counts = (link.counts[Direction.UP][kind] for kind in (Kind.RTP, Kind.STUN))
    for number in range(400):
        client.socket.sendto(rtp(number), front)
        if number % stun_every == 0:
            client.socket.sendto(b"\x00\x01", front)
        await asyncio.sleep(0)
    await until(lambda: rtp_counts.received == 400)
    link.close()
    assert (rtp_counts.lost + rtp_counts.sent, stun_counts.received) == (400, -(-400 // stun_every))
    lost = set(range(400)) - set(numbers([packet for packet in sent_on if packet[0] == 0x80]))
    assert len(lost) == rtp_counts.lost
    return lost


async def test_the_same_seed_loses_the_same_packets_whatever_goes_between(ports: list[Port]) -> None:
    model = LinkModel(loss=0.1, burst=2.0)
    lost = await lost_numbers(ports, model, 1, 10)
    assert 15 < len(lost) < 80
    assert await lost_numbers(ports, model, 1, 3) == lost
    assert await lost_numbers(ports, model, 2, 10) != lost


async def test_the_directions_have_models_of_their_own_that_may_change(ports: list[Port]) -> None:
    server, client, _ = ports
    with link_to(server, CLEAN, LinkModel(loss=1.0)) as (link, front):
        client.socket.sendto(rtp(1), front)
        _, way_back = await server.receive()
        server.socket.sendto(rtp(2), way_back)
        down = link.counts[Direction.DOWN][Kind.RTP]
        await until(lambda: bool(down.lost))
        link.down = CLEAN
        server.socket.sendto(rtp(3), way_back)
        assert await client.receive_all(1) == [rtp(3)]
        assert (down.received, down.lost, down.sent) == (2, 1, 1)


async def test_each_datagram_leaves_at_its_own_time_and_later_ones_may_pass(ports: list[Port]) -> None:
    server, client, _ = ports
    with link_to(server, LinkModel(delay=0.03, reorder=1.0, reorder_by=0.05)) as (link, front):
        client.socket.sendto(rtp(1), front)
        counts = link.counts[Direction.UP][Kind.RTP]
        await until(lambda: bool(counts.received))
        assert counts.sent == 0
        link.up = LinkModel(delay=0.01)
        client.socket.sendto(rtp(2), front)
        assert numbers(await server.receive_all(2)) == [2, 1]
        assert (counts.received, counts.lost, counts.sent, counts.reordered) == (2, 0, 2, 1)


async def test_doubles_are_sent_twice_and_counted(ports: list[Port]) -> None:
    server, client, _ = ports
    with link_to(server, LinkModel(duplicate=1.0)) as (link, front):
        client.socket.sendto(rtp(7), front)
        assert await server.receive_all(2) == [rtp(7), rtp(7)]
        counts = link.counts[Direction.UP][Kind.RTP]
        assert (counts.received, counts.duplicated, counts.sent, counts.reordered) == (1, 1, 2, 0)


async def test_a_watch_sees_what_is_sent_on_and_nothing_else(ports: list[Port]) -> None:
    server, client, _ = ports
    seen: list[tuple[Direction, bytes]] = []
    model = LinkModel(loss=1.0, hurts=RTP_ONLY)
    link = LossyLink(model, watch=lambda way, datagram: seen.append((way, datagram)))
    (front,) = addresses_in(link.rewrite_answer(answer_sdp(host(*server.address))))
    client.socket.sendto(rtp(1), front)
    client.socket.sendto(b"\x00\x01", front)
    await server.receive()
    link.close()
    assert seen == [(Direction.UP, b"\x00\x01")]


async def test_a_server_that_is_not_there_breaks_nothing(ports: list[Port]) -> None:
    server, client, other = ports
    with link_to(server) as (link, front):
        server.socket.close()
        for _ in range(3):
            client.socket.sendto(rtp(1), front)
            await asyncio.sleep(0.01)
        assert link.counts[Direction.UP][Kind.RTP].received == 3
        (second,) = addresses_in(link.rewrite_answer(answer_sdp(host(*other.address))))
        client.socket.sendto(rtp(2), second)
        assert await other.receive_all(1) == [rtp(2)]


async def test_a_closed_link_holds_nothing_and_sends_nothing_more(ports: list[Port]) -> None:
    server, client, _ = ports
    n_open = len(os.listdir("/proc/self/fd"))
    with link_to(server, LinkModel(delay=0.01)) as (link, front):
        client.socket.sendto(rtp(1), front)
        await server.receive()
        client.socket.sendto(rtp(2), front)
        counts = link.counts[Direction.UP][Kind.RTP]
        await until(lambda: counts.received == 2)
        assert len(os.listdir("/proc/self/fd")) > n_open
    link.close()
    assert len(os.listdir("/proc/self/fd")) == n_open
    await asyncio.sleep(0.03)
    assert counts.sent == 1


async def test_an_answer_names_the_links_fronts_and_no_address_that_has_none(ports: list[Port]) -> None:
    server = ports[0]
    port = server.address[1]
    link = LossyLink()
    relayed = f"3 1 udp 1 203.0.113.9 {port} typ relay raddr 127.0.0.1 rport {port}"
    over_tcp = f"4 1 tcp 1 127.0.0.1 {port} typ host tcptype passive"
    text = answer_sdp(host("127.0.0.1", port), host("::1", port, 2), relayed, over_tcp)
    rewritten = link.rewrite_answer(text)
    fronts = addresses_in(rewritten)
    assert [address for address, _ in fronts] == ["127.0.0.1", "::1"]
    assert port not in [front for _, front in fronts]
    assert rewritten.splitlines()[:2] + rewritten.splitlines()[-1:] == [
        *text.splitlines()[:2],
        "a=end-of-candidates",
    ]
    assert link.rewrite_answer(text) == rewritten, "a server's one port has one front for all calls"
    link.close()


async def test_a_link_that_is_given_a_host_opens_its_fronts_there() -> None:
    link = LossyLink(host="127.0.0.1")
    assert addresses_in(link.rewrite_answer(answer_sdp(host("203.0.113.9", 5000))))[0][0] == "127.0.0.1"
    link.close()


# --- calls --------------------------------------------------------------------------------------------


async def test_a_call_goes_through_the_link_and_nothing_goes_past_it() -> None:
    owner = Owner()
    link = LossyLink()
    try:
        async with HeadlessClient(link.through(owner.answer)) as client:
            await client.channel_opened()
            owner.speak(tone(0.3, 24_000))
            spoken = await client.say(tone(0.3, 16_000))
            await owner.until("playout_drained", "reply")
            await owner.when(lambda: sum(np.abs(frame.samples).max() > 4000 for frame in owner.frames) > 12)
            up, down = link.counts[Direction.UP], link.counts[Direction.DOWN]
            assert down[Kind.RTP].sent >= len(client.packets) > 10
        assert up[Kind.RTP].received >= len(spoken.sent)
        for counts in (up, down):
            assert all(counts[kind].received for kind in (Kind.STUN, Kind.DTLS, Kind.RTP))
            assert all(counts[kind].lost == 0 for kind in Kind)
    finally:
        await owner.close()
        link.close()


async def test_a_call_lives_on_a_link_that_hurts_only_rtp() -> None:
    owner = Owner()
    link = LossyLink(LinkModel(loss=1.0, hurts=RTP_ONLY), LinkModel(loss=1.0, hurts=RTP_ONLY))
    try:
        async with HeadlessClient(link.through(owner.answer)) as client:
            await client.channel_opened()
            await client.say(tone(0.2, 16_000))
            assert client.packets == []
            await owner.when(lambda: link.counts[Direction.UP][Kind.RTP].lost >= 10)
    finally:
        await owner.close()
        link.close()

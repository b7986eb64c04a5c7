"""Calls that share a port: each is given what is its own, and nobody can make it otherwise."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import AsyncGenerator

import pytest
from aioice import stun as aioice_stun
from aioice.candidate import Candidate
from aioice.ice import Connection, StunProtocol
from aioice.stun import Class, Message, Method

from voicertc.rtc import lanes
from voicertc.rtc.udp_port import Address, Lane, UdpPort

from .datagrams import HOST, RTP, Client, Receiver, check, password, response, until

pytestmark = pytest.mark.network


class Calls:
    """A port with one socket, the calls on it, and clients."""

    def __init__(self) -> None:
        self.port = UdpPort()
        [self.local] = self.port.open([HOST])
        self._clients: list[Client] = []

    def call(self, ufrag: str) -> tuple[Receiver, Lane]:
        receiver = Receiver()
        return receiver, self.port.join(self.local, ufrag, password(ufrag), receiver)

    def client(self) -> Client:
        self._clients.append(Client(self.local))
        return self._clients[-1]

    async def dropped(self, n_datagrams: int) -> None:
        await until(lambda: self.port.dropped >= n_datagrams)
        assert self.port.dropped == n_datagrams

    def close(self) -> None:
        self.port.close()
        for client in self._clients:
            client.close()


@pytest.fixture
async def calls() -> AsyncGenerator[Calls]:
    calls = Calls()
    yield calls
    calls.close()
    await asyncio.sleep(0)


async def test_what_follows_a_check_reaches_the_call_that_it_named(calls: Calls) -> None:
    (first, _), (second, _) = calls.call("first"), calls.call("second")
    here, there = calls.client(), calls.client()
    sent_here = [here.check("first", password("first")), here.send(RTP), here.send(b"\x16dtls")]
    sent_there = [there.check("second", password("second")), there.send(RTP)]
    await until(lambda: len(first.received) == 3 and len(second.received) == 2)
    assert first.received == [(data, here.address) for data in sent_here]
    assert second.received == [(data, there.address) for data in sent_there]
    assert calls.port.dropped == 0


async def test_what_nobody_announced_is_dropped(calls: Calls) -> None:
    receiver, _ = calls.call("first")
    stranger = calls.client()
    stranger.send(RTP)
    stranger.send(b"")
    stranger.check("nobody", password("nobody"))
    stranger.check("first", "a-guessed-password-of-22")
    stranger.send(RTP)
    await calls.dropped(5)
    assert receiver.received == []
    assert calls.local.n_routes == 0


async def test_a_check_without_integrity_opens_nothing(calls: Calls) -> None:
    receiver, _ = calls.call("first")
    unsigned = Message(Method.BINDING, Class.REQUEST, attributes={"USERNAME": "first:them"})
    calls.client().send(bytes(unsigned))
    await calls.dropped(1)
    assert receiver.received == []


async def test_an_address_in_use_cannot_be_taken_even_with_a_password(calls: Calls) -> None:
    (victim, _), (thief, _) = calls.call("victim"), calls.call("thief")
    client = calls.client()
    client.check("victim", password("victim"))
    client.check("thief", password("thief"))  # as if forged from the victim's address
    client.send(RTP)
    await until(lambda: len(victim.received) == 2)
    assert victim.received[1] == (RTP, client.address)
    assert thief.received == []


async def test_an_address_that_fell_silent_goes_to_the_next_call(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "QUIET", 0.05)
    (former, _), (following, _) = calls.call("former"), calls.call("following")
    client = calls.client()
    client.check("former", password("former"))
    await until(lambda: len(former.received) == 1)
    await asyncio.sleep(0.06)
    client.check("following", "not-its-password-at-all")
    client.send(RTP)
    await until(lambda: len(former.received) == 2)
    await asyncio.sleep(0.06)
    client.check("following", password("following"))
    client.send(RTP)
    await until(lambda: len(following.received) == 2)
    assert former.received[1:] == [(RTP, client.address)]
    assert calls.local.n_routes == 1


async def test_a_quiet_call_keeps_its_address_by_checks_alone(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "QUIET", 0.4)
    (owner, _), (thief, _) = calls.call("owner"), calls.call("thief")
    client = calls.client()
    for n_checks in range(1, 5):
        client.check("owner", password("owner"))
        await until(lambda: len(owner.received) == n_checks)  # noqa: B023 (awaited here)
        client.check("thief", password("thief"))
        await asyncio.sleep(0.15)
    assert calls.port.dropped == 4
    assert thief.received == []


async def test_a_client_behind_a_rebound_nat_is_known_again_after_a_check(calls: Calls) -> None:
    receiver, _ = calls.call("first")
    before, after = calls.client(), calls.client()
    before.check("first", password("first"))
    after.send(RTP)
    await calls.dropped(1)
    after.check("first", password("first"))
    after.send(RTP)
    await until(lambda: len(receiver.received) == 3)
    assert receiver.received[2] == (RTP, after.address)


async def test_a_response_reaches_whoever_asked(calls: Calls) -> None:
    (first, first_lane), (second, second_lane) = calls.call("first"), calls.call("second")
    client = calls.client()
    for lane in (first_lane, second_lane):
        lane.sendto(check("them", "their-password"), client.address)
    requests = [(await client.receive())[0] for _ in range(2)]
    answers = [client.send(response(request)) for request in reversed(requests)]
    await until(lambda: bool(first.received and second.received))
    assert (first.received, second.received) == (
        [(answers[1], client.address)],
        [(answers[0], client.address)],
    )
    client.send(answers[0])  # a second time: nobody waits any more, but the address is the second call's
    client.send(response(check("x", "y")))
    await until(lambda: len(second.received) == 3)
    assert first.received == [(answers[1], client.address)]


async def test_media_of_a_client_that_only_answers_checks_is_known(calls: Calls) -> None:
    receiver, lane = calls.call("first")
    client = calls.client()
    lane.sendto(check("them", "their-password"), client.address)
    request, source = await client.receive()
    assert source == (calls.local.host, calls.local.port)
    client.send(response(request))
    client.send(RTP)
    await until(lambda: len(receiver.received) == 2)
    assert receiver.received[1] == (RTP, client.address)


@pytest.mark.parametrize("kind", [Class.RESPONSE, Class.ERROR])
async def test_an_answer_from_elsewhere_or_a_refusal_opens_nothing(calls: Calls, kind: Class) -> None:
    receiver, lane = calls.call("first")
    asked, other = calls.client(), calls.client()
    lane.sendto(check("them", "their-password"), asked.address)
    request, _ = await asked.receive()
    answering = other if kind is Class.RESPONSE else asked
    answering.send(response(request, kind))
    answering.send(RTP)
    await calls.dropped(1)
    assert len(receiver.received) == 1
    assert calls.local.n_routes == 0


async def test_the_addresses_of_a_call_are_bounded_and_the_live_one_stays(calls: Calls) -> None:
    receiver, _ = calls.call("first")
    live, *others = [calls.client() for _ in range(lanes.MAX_ROUTES + 9)]
    n_sent = 0
    for client in (live, *others):
        client.check("first", password("first"))
        live.send(RTP)
        n_sent += 2
        await until(lambda: len(receiver.received) == n_sent)  # noqa: B023 (awaited here)
    assert calls.local.n_routes == lanes.MAX_ROUTES
    others[0].send(RTP)
    await calls.dropped(1)


async def test_strangers_push_out_nobody(calls: Calls) -> None:
    receiver, _ = calls.call("first")
    client = calls.client()
    client.check("first", password("first"))
    strangers = [calls.client() for _ in range(lanes.MAX_ROUTES * 2)]
    for stranger in strangers:
        stranger.check("first", "a-guessed-password-of-22")
    await calls.dropped(len(strangers))
    client.send(RTP)
    await until(lambda: len(receiver.received) == 2)


async def test_the_requests_of_a_call_are_bounded(calls: Calls) -> None:
    (first, first_lane), (second, second_lane) = calls.call("first"), calls.call("second")
    client = calls.client()
    second_lane.sendto(check("them", "their-password"), client.address)
    asked = [check("them", "their-password") for _ in range(lanes.MAX_ASKED + 1)]
    for request in asked:
        first_lane.sendto(request, client.address)
        first_lane.sendto(request, client.address)  # a retransmission is the same request
        await client.receive()
    client.send(response(asked[0], Class.ERROR))
    client.send(response(asked[1], Class.ERROR))
    client.send(response(asked[-1], Class.ERROR))
    await until(lambda: len(first.received) == 2)
    assert calls.port.dropped == 1
    assert [data for data, _ in first.received] == [response(r, Class.ERROR) for r in (asked[1], asked[-1])]
    assert second.received == []


async def test_a_closed_lane_is_told_once_and_given_nothing_any_more(calls: Calls) -> None:
    receiver, lane = calls.call("first")
    client = calls.client()
    client.check("first", password("first"))
    await until(lambda: len(receiver.received) == 1)
    lane.close()
    lane.abort()
    assert lane.is_closing()
    assert receiver.lost == []
    await asyncio.sleep(0)
    assert receiver.lost == [None]
    client.send(RTP)
    client.check("first", password("first"))
    await calls.dropped(2)
    lane.sendto(RTP, client.address)
    again, next_lane = calls.call("first")  # the name is free
    next_lane.sendto(b"\x80next", client.address)
    assert await client.receive() == (b"\x80next", (HOST, calls.port.port))
    client.check("first", password("first"))
    await until(lambda: len(again.received) == 1)
    assert len(receiver.received) == 1
    assert (calls.local.n_lanes, calls.local.n_routes) == (1, 1)


async def test_two_calls_cannot_have_one_name(calls: Calls) -> None:
    calls.call("first")
    with pytest.raises(ValueError, match="another call has the ufrag first"):
        calls.call("first")


async def test_a_receiver_that_fails_disturbs_nobody_and_is_logged_once(
    calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    (broken, _), (whole, _) = calls.call("broken"), calls.call("whole")
    given: list[bytes] = []

    def fail(data: bytes, addr: Address) -> None:
        given.append(data)
        raise KeyError("PRIORITY")

    broken.datagram_received = fail  # type: ignore[method-assign]
    ours, theirs = calls.client(), calls.client()
    theirs.check("broken", password("broken"))
    theirs.send(RTP)
    ours.check("whole", password("whole"))
    await until(lambda: len(whole.received) == 1)
    assert len(given) == 2
    assert [record.message for record in caplog.records].count("datagram_refused") == 1


async def test_each_receiver_runs_in_the_context_of_its_call(calls: Calls) -> None:
    of_call: contextvars.ContextVar[str] = contextvars.ContextVar("of_call", default="nobody")
    seen: list[tuple[str, str]] = []

    class Looking(Receiver):
        def datagram_received(self, data: bytes, addr: Address, /) -> None:
            seen.append(("received", of_call.get()))

        def connection_lost(self, exc: Exception | None, /) -> None:
            seen.append(("lost", of_call.get()))

    lanes_by_name: list[Lane] = []
    for name in ("first", "second"):
        token = of_call.set(name)
        lanes_by_name.append(calls.port.join(calls.local, name, password(name), Looking()))
        of_call.reset(token)
    for name in ("second", "first"):
        calls.client().check(name, password(name))
        await until(lambda: bool(seen) and seen[-1] == ("received", name))  # noqa: B023 (awaited here)
    lanes_by_name[1].close()
    await asyncio.sleep(0)
    assert seen == [("received", "second"), ("received", "first"), ("lost", "second")]


async def test_no_datagram_whatever_disturbs_a_call(calls: Calls) -> None:
    rng = random.Random(4)
    connection = Connection(ice_controlling=False, local_username="real", local_password="s" * 22)
    protocol = StunProtocol(connection)
    protocol.local_candidate = Candidate("1", 1, "udp", 1, HOST, calls.port.port, "host")
    lane = calls.port.join(calls.local, "real", connection.local_password, protocol)
    protocol.connection_made(lane)
    client = calls.client()
    request = client.check("real", connection.local_password)
    assert (await client.receive())[0][:2] == b"\x01\x01"
    for datagram in _hostile(rng, request):
        client.send(datagram)
        await asyncio.sleep(0)
    again = client.check("real", connection.local_password)
    while aioice_stun.parse_message((await client.receive())[0]).transaction_id != again[8:20]:
        pass
    await protocol.close()
    assert (calls.local.n_lanes, calls.local.n_routes) == (0, 0)


def _hostile(rng: random.Random, request: bytes) -> list[bytes]:
    found = [request[:n] for n in range(len(request))]
    found += [rng.randbytes(rng.randrange(1, 200)) for _ in range(300)]
    found += [bytes([rng.randrange(4), rng.randrange(256)]) + rng.randbytes(n) for n in range(120)]
    for _ in range(600):
        changed = bytearray(request)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        found.append(bytes(changed))
    return [*found, rng.randbytes(60_000), request + bytes(60_000), b""]

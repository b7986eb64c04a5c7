"""The sockets of the port that calls share."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import socket
import weakref

import pytest

from voicertc.errors import SettingsError
from voicertc.rtc.udp_port import UdpPort

from .datagrams import HOST, RTP, Client, Receiver, password, until

pytestmark = pytest.mark.network


async def test_all_addresses_have_one_port(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voicertc")
    port = UdpPort()
    found = port.open([HOST, "127.0.0.2", HOST, "::1", "fe80::1"])
    assert [each.host for each in found] == [HOST, "127.0.0.2", "::1"]
    assert {each.port for each in found} == {port.port}
    assert port.open(["127.0.0.2", "127.0.0.3"])[0] is found[1]
    opened = [record for record in caplog.records if record.message == "udp_port_opened"]
    told = [record.voicertc_fields for record in opened]  # type: ignore[attr-defined]
    assert [fields["addresses"] for fields in told] == ["127.0.0.1,127.0.0.2,::1", "127.0.0.3"]
    assert all(fields["buffer_bytes"] > 100_000 for fields in told)
    port.close()
    port.close()


async def test_a_reply_leaves_from_the_address_that_was_asked() -> None:
    port = UdpPort()
    for local in port.open([HOST, "127.0.0.2", "::1"]):
        receiver = Receiver()
        lane = port.join(local, "same", password("same"), receiver)
        client = Client(local, "::1" if ":" in local.host else HOST)
        client.check("same", password("same"))
        await until(lambda: len(receiver.received) == 1)  # noqa: B023 (awaited here)
        assert receiver.received[0][1] == client.address
        lane.sendto(b"\x80hello", client.address)
        data, source = await client.receive()
        assert (data, source[:2]) == (b"\x80hello", (local.host, port.port))
        assert lane.get_extra_info("sockname") == (local.host, port.port)
        client.close()
    port.close()
    await asyncio.sleep(0)


async def test_an_address_that_is_not_ours_is_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = UdpPort()
    for _ in range(2):
        assert [each.host for each in port.open(["192.0.2.1", HOST])] == [HOST]
    assert [record.message for record in caplog.records] == ["udp_address_skipped"]
    port.close()


async def test_a_port_that_is_taken_is_the_operators_mistake() -> None:
    taken = UdpPort()
    taken.open([HOST])
    port = UdpPort(taken.port)
    with pytest.raises(SettingsError, match=rf"rtc\.udp_port: UDP port {taken.port} .*in use"):
        port.open([HOST])
    assert [each.host for each in port.open([HOST, "127.0.0.2"])] == ["127.0.0.2"]
    assert port.open([]) == []
    taken.close()
    assert [each.host for each in port.open([HOST])] == [HOST]
    port.close()


async def test_a_number_that_is_taken_on_one_address_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = UdpPort()
    [other] = taken.open(["127.0.0.2"])
    bind = socket.socket.bind
    asked: list[int] = []

    class Choosing(socket.socket):
        """A kernel that would give the taken number first."""

        def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            asked.append(address[1])
            bind(self, (address[0], other.port) if len(asked) == 1 else address)

    monkeypatch.setattr(socket, "socket", Choosing)
    port = UdpPort()
    found = port.open([HOST, "127.0.0.2"])
    assert [each.host for each in found] == [HOST, "127.0.0.2"]
    assert asked[:3] == [0, other.port, 0]
    assert port.port != other.port
    port.close()
    taken.close()


async def test_what_the_kernel_does_not_take_is_counted_and_never_raised() -> None:
    port = UdpPort()
    [local] = port.open([HOST])
    lane = port.join(local, "first", password("first"), Receiver())
    lane.sendto(bytes([0x80]) * 70_000, (HOST, 9))  # EMSGSIZE
    lane.sendto(RTP, ("192.0.2.1", 9))  # from loopback to the world: EINVAL
    lane.sendto(RTP, ("::1", 9))
    assert port.unsent == 3
    lane.sendto(RTP, (HOST, 9))
    assert port.unsent == 3
    port.close()
    await asyncio.sleep(0)


async def test_closing_the_port_ends_its_lanes() -> None:
    port = UdpPort()
    receivers = [Receiver(), Receiver()]
    [local] = port.open([HOST])
    for name, receiver in zip(("first", "second"), receivers, strict=True):
        port.join(local, name, password(name), receiver)
    port.close()
    await asyncio.sleep(0)
    assert [receiver.lost for receiver in receivers] == [[None], [None]]


async def test_sockets_of_addresses_that_were_given_up_are_closed() -> None:
    port = UdpPort()
    [kept] = port.open(["127.0.1.1"])
    port.join(kept, "first", password("first"), Receiver())
    port.open([f"127.0.1.{number}" for number in range(2, 60)])
    port.open([HOST])
    port.open([HOST])
    assert port.n_sockets <= 33
    assert port.open(["127.0.1.1"]) == [kept]
    port.close()
    await asyncio.sleep(0)


async def test_the_port_keeps_nothing_of_the_call_that_was_first() -> None:
    class Belonging:
        pass

    of_call: contextvars.ContextVar[Belonging] = contextvars.ContextVar("of_call")
    port = UdpPort()

    def begin() -> weakref.ref[Belonging]:
        belonging = Belonging()
        of_call.set(belonging)
        [local] = port.open([HOST])
        port.join(local, "first", password("first"), Receiver()).close()
        return weakref.ref(belonging)

    belonging = contextvars.copy_context().run(begin)
    await asyncio.sleep(0)
    gc.collect()
    assert belonging() is None
    port.close()

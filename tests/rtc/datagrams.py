"""Whoever sends datagrams to a port that calls share, and whoever is given them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from aioice.stun import Class, Message, Method

from voicertc.rtc import stun
from voicertc.rtc.udp_port import Address, LocalSocket

HOST = "127.0.0.1"
RTP = bytes([0x80, 111]) + bytes(range(30))


@dataclass
class Receiver:
    """Remembers what it is given."""

    received: list[tuple[bytes, Address]] = field(default_factory=list)
    lost: list[Exception | None] = field(default_factory=list)

    def datagram_received(self, data: bytes, addr: Address, /) -> None:
        self.received.append((data, addr))

    def connection_lost(self, exc: Exception | None, /) -> None:
        self.lost.append(exc)


class Client:
    """A socket of somebody else's."""

    def __init__(self, local: LocalSocket, host: str = HOST) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self.address: Address = self._socket.getsockname()[:2]
        self._to = (local.host, local.port)

    def send(self, data: bytes) -> bytes:
        self._socket.sendto(data, self._to)
        return data

    def check(self, ufrag: str, password: str) -> bytes:
        return self.send(check(ufrag, password))

    async def receive(self) -> tuple[bytes, Address]:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(self._socket, 2048), 5)

    def close(self) -> None:
        self._socket.close()


def check(ufrag: str, password: str) -> bytes:
    message = Message(Method.BINDING, Class.REQUEST, attributes={"USERNAME": f"{ufrag}:them"})
    message.attributes["PRIORITY"] = 1
    message.add_message_integrity(password.encode())
    return bytes(message)


def response(request: bytes, kind: Class = Class.RESPONSE) -> bytes:
    return bytes(Message(Method.BINDING, kind, transaction_id=stun.transaction_id(request)))


def password(ufrag: str) -> str:
    return f"the-password-of-{ufrag}"


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 (counters have no event)
            await asyncio.sleep(0.001)

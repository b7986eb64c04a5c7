"""A WebSocket's two directions: nothing is lost, nothing piles up, every end is one. On a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from tests.calls.sockets import TestSocket
from voicertc.calls.socket_line import SocketLine
from voicertc.testing import virtual_time


class Owner:
    """Has a line, and notes what it is told."""

    def __init__(self, *, work: float = 0.0) -> None:
        self.socket = TestSocket()
        self.taken: list[str | bytes] = []
        self.n_slow = 0
        self._work = work
        self.line = SocketLine("test", self.take, self.slow)

    async def take(self, message: str | bytes) -> None:
        if self._work:
            await asyncio.sleep(self._work)
        if message == "bug":
            raise RuntimeError("bug")
        self.taken.append(message)

    def slow(self) -> None:
        self.n_slow += 1


def run(main: Coroutine[None, None, None]) -> None:
    virtual_time.run(main)


def test_messages_go_both_ways_in_order_until_the_client_says_goodbye() -> None:
    async def main() -> None:
        owner = Owner()
        owner.line.send("one")
        owner.line.send("two")
        owner.socket.says("a", "b")
        owner.socket.hangs_up()
        assert await owner.line.serve(owner.socket) is True
        assert (owner.taken, owner.socket.sent) == (["a", "b"], ["one", "two"])
        assert owner.socket.closed == (1000, "")

    run(main())


def test_a_lost_connection_is_told_from_a_goodbye() -> None:
    async def main() -> None:
        owner = Owner()
        owner.socket.breaks()
        assert await owner.line.serve(owner.socket) is False

    run(main())


def test_the_end_comes_behind_all_that_was_to_be_sent() -> None:
    async def main() -> None:
        owner = Owner()
        serving = asyncio.create_task(owner.line.serve(owner.socket))
        await asyncio.sleep(1.0)
        owner.line.send("goodbye")
        owner.line.end(1001, "closing")
        owner.line.end(1000)
        owner.line.send("too late")
        await owner.line.ended()
        assert await serving is False
        assert (owner.socket.sent, owner.socket.closed) == (["goodbye"], (1001, "closing"))

    run(main())


@pytest.mark.parametrize(("n", "length"), [(600, 10), (40, 300_000)])
def test_a_client_that_does_not_read_is_cut_off(n: int, length: int) -> None:
    async def main() -> None:
        owner = Owner()
        owner.socket.stops_reading()
        serving = asyncio.create_task(owner.line.serve(owner.socket))
        for _ in range(n):
            await asyncio.sleep(0.01)
            owner.line.send("x" * length)
        assert await serving is False
        assert (owner.n_slow, owner.socket.closed) == (1, (1008, "too slow"))
        assert asyncio.get_running_loop().time() < n * 0.01 + 1.1

    run(main())


def test_a_client_that_reads_slowly_but_reads_is_not() -> None:
    async def main() -> None:
        owner = Owner()
        serving = asyncio.create_task(owner.line.serve(owner.socket))
        for n in range(3000):
            await asyncio.sleep(0)
            owner.line.send(str(n))
        owner.socket.hangs_up()
        await serving
        assert owner.socket.sent == [str(n) for n in range(3000)]
        assert owner.n_slow == 0

    run(main())


def test_an_end_does_not_wait_long_for_a_client_that_does_not_read() -> None:
    async def main() -> None:
        owner = Owner()
        owner.socket.stops_reading()
        serving = asyncio.create_task(owner.line.serve(owner.socket))
        await asyncio.sleep(0.1)
        owner.line.send("hello?")
        await asyncio.sleep(0.1)
        owner.line.end()
        await serving
        assert asyncio.get_running_loop().time() == pytest.approx(1.2)
        assert owner.socket.sent == []

    run(main())


def test_unsent_sound_can_be_dropped_and_nothing_else_goes() -> None:
    async def main() -> None:
        owner = Owner()
        for n in range(3):
            owner.line.send(f"text {n}")
            owner.line.send(f"sound {n}", reply_id=f"r{n % 2}")
        owner.line.drop_sound("r0")
        owner.socket.hangs_up()
        await owner.line.serve(owner.socket)
        assert owner.socket.sent == ["text 0", "text 1", "sound 1", "text 2"]

    run(main())


def test_messages_are_taken_one_after_the_other_and_no_faster_than_is_bearable() -> None:
    async def main() -> None:
        owner = Owner()
        owner.socket.says(*(str(n) for n in range(10_000)))
        serving = asyncio.create_task(owner.line.serve(owner.socket))
        await asyncio.sleep(0.0)
        await asyncio.sleep(1.0)
        assert len(owner.taken) == pytest.approx(5_000, abs=50)  # 4,000 at once, then 1,000 a second
        await asyncio.sleep(6.0)
        assert owner.taken == [str(n) for n in range(10_000)]
        owner.socket.hangs_up()
        await serving

    run(main())


def test_a_mistake_of_ours_ends_the_line_and_is_told() -> None:
    async def main() -> None:
        owner = Owner()
        owner.socket.says("bug")
        with pytest.raises(RuntimeError):
            await owner.line.serve(owner.socket)
        assert owner.socket.closed == (1011, "internal error")

    run(main())


def test_a_line_that_was_ended_before_it_was_served_says_nothing() -> None:
    async def main() -> None:
        owner = Owner()
        owner.line.end()
        await owner.line.ended()
        owner.line.send("hello")
        await owner.line.serve(owner.socket)
        assert (owner.socket.sent, owner.socket.closed) == ([], (1000, ""))

    run(main())


def test_an_end_while_a_message_is_being_taken_does_not_wait_for_it() -> None:
    async def main() -> None:
        owner = Owner(work=60.0)
        owner.socket.says("long")
        serving = asyncio.create_task(owner.line.serve(owner.socket))
        await asyncio.sleep(1.0)
        owner.line.end()
        await serving
        assert asyncio.get_running_loop().time() < 2.1

    run(main())


def test_cancelling_whoever_serves_closes_the_socket() -> None:
    async def main() -> None:
        owner = Owner()
        serving = asyncio.create_task(owner.line.serve(owner.socket))
        await asyncio.sleep(1.0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert owner.socket.closed == (1011, "internal error")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())

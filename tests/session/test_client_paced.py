"""Playout that a client paces itself: what it was handed, what it can have heard by when."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import numpy as np
import pytest

from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.session.client_paced import ClientPacedPlayout
from voicertc.testing import virtual_time


def sound(seconds: float) -> Samples:
    return np.ones(round(seconds * PLAYOUT_RATE_HZ), np.int16)


class Client:
    """Notes what it is handed and what the session is told, with the time."""

    def __init__(self) -> None:
        self.playout = ClientPacedPlayout(self.take)
        self.playout.listener = self
        self.log: list[tuple[float, str, str | int, float | int]] = []

    def note(self, what: str, reply_id: str, more: float | int = 0) -> None:
        now = round(asyncio.get_running_loop().time(), 3)
        self.log.append((now, what, reply_id, more))

    def take(self, reply_id: str, samples: Samples) -> None:
        self.note("sound", reply_id, len(samples) / PLAYOUT_RATE_HZ)

    def playout_started(self, reply_id: str) -> None:
        self.note("started", reply_id)

    def clause_began(self, reply_id: str, index: int) -> None:
        self.note("clause", reply_id, index)

    def playout_drained(self, reply_id: str) -> None:
        self.note("drained", reply_id)

    def room_made(self, reply_id: str) -> None:
        self.note("room", reply_id)

    def playout_starved(self, reply_id: str) -> None:
        self.note("starved", reply_id)

    def playout_fed(self, reply_id: str) -> None:
        self.note("fed", reply_id)

    def says(self, reply_id: str, seconds: float, index: int = 0) -> None:
        self.playout.mark_clause(reply_id, index)
        self.playout.append(reply_id, sound(seconds))

    def heard(self, reply_id: str) -> float:
        now = asyncio.get_running_loop().time()
        return round(self.playout.heard_samples(reply_id, now) / PLAYOUT_RATE_HZ, 3)

    def cancel(self, reply_id: str) -> float:
        now = asyncio.get_running_loop().time()
        return round(self.playout.cancel(reply_id, now) / PLAYOUT_RATE_HZ, 3)


def run(main: Coroutine[None, None, None]) -> None:
    virtual_time.run(main)


def test_words_and_sound_leave_at_once_and_the_end_is_told_when_the_client_is_there() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.says("r1", 1.0)
        client.says("r1", 2.0, 1)
        client.playout.finish("r1")
        await asyncio.sleep(1.5)
        assert client.heard("r1") == 1.5
        await asyncio.sleep(5.0)
        assert client.heard("r1") == 3.0
        assert client.log == [
            (0.0, "started", "r1", 0),
            (0.0, "clause", "r1", 0),
            (0.0, "sound", "r1", 1.0),
            (0.0, "clause", "r1", 1),
            (0.0, "sound", "r1", 2.0),
            (3.0, "drained", "r1", 0),
        ]

    run(main())


def test_a_client_that_paces_itself_is_sent_sound_and_no_packets() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.playout.append("r1", sound(0.01))
        assert client.playout.fill_frame("r1") == 0
        client.playout.append("r1", sound(0.04), (b"packet", b"packet"))
        assert [entry for entry in client.log if entry[1] == "sound"] == [
            (0.0, "sound", "r1", 0.01),
            (0.0, "sound", "r1", 0.04),
        ]

    run(main())


def test_a_client_that_ran_dry_plays_what_comes_next_from_then_on() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.says("r1", 1.0)
        await asyncio.sleep(4.0)
        assert client.heard("r1") == 1.0
        client.playout.append("r1", sound(1.0))
        await asyncio.sleep(0.25)
        assert client.heard("r1") == 1.25
        client.playout.finish("r1")
        await asyncio.sleep(2.0)
        assert client.log[-1] == (5.0, "drained", "r1", 0)

    run(main())


def test_nothing_can_hold_what_the_client_has() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.says("r1", 2.0)
        client.playout.duck("r1")
        client.playout.hold("r1")
        await asyncio.sleep(1.0)
        client.playout.resume("r1")
        assert client.heard("r1") == 1.0

    run(main())


def test_what_was_not_handed_over_can_be_kept_back() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.playout.hold("r1")
        client.says("r1", 1.0)
        client.says("r1", 2.0, 1)
        client.playout.finish("r1")
        await asyncio.sleep(5.0)
        assert client.log == []
        client.playout.resume("r1")
        await asyncio.sleep(5.0)
        assert client.log == [
            (5.0, "started", "r1", 0),
            (5.0, "clause", "r1", 0),
            (5.0, "sound", "r1", 1.0),
            (5.0, "clause", "r1", 1),
            (5.0, "sound", "r1", 2.0),
            (8.0, "drained", "r1", 0),
        ]

    run(main())


def test_a_voice_is_at_most_thirty_seconds_ahead_of_who_is_handed_nothing() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.playout.hold("r1")
        client.says("r1", 30.0)
        assert not client.playout.is_full("r1")
        client.playout.append("r1", sound(4.0))
        assert client.playout.is_full("r1")
        await asyncio.sleep(10.0)
        assert client.log == []
        client.playout.resume("r1")
        await asyncio.sleep(10.0)
        assert client.log[-1] == (14.0, "room", "r1", 0)

    run(main())


def test_what_is_cancelled_before_it_was_handed_over_was_never_there() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.playout.hold("r1")
        client.says("r1", 1.0)
        assert client.cancel("r1") == 0.0
        client.playout.resume("r1")
        client.playout.begin("r2")
        client.says("r2", 1.0)
        assert [entry[1:3] for entry in client.log] == [("started", "r2"), ("clause", "r2"), ("sound", "r2")]

    run(main())


def test_the_next_reply_sounds_where_the_one_before_ends() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.says("r1", 2.0)
        client.playout.finish("r1")
        await asyncio.sleep(0.5)
        client.playout.begin("r2")
        client.says("r2", 1.0)
        client.playout.finish("r2")
        await asyncio.sleep(1.75)
        assert (client.heard("r1"), client.heard("r2")) == (2.0, 0.25)
        await asyncio.sleep(2.0)
        drained = [entry for entry in client.log if entry[1] == "drained"]
        assert drained == [(2.0, "drained", "r1", 0), (3.0, "drained", "r2", 0)]

    run(main())


def test_a_second_reply_is_not_begun_before_the_first_is_finished() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        with pytest.raises(AssertionError):
            client.playout.begin("r2")

    run(main())


def test_cancelling_tells_what_was_heard_of_each_and_ends_all_talk_of_them() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.says("r1", 2.0)
        client.playout.finish("r1")
        client.playout.begin("r2")
        client.says("r2", 4.0)
        await asyncio.sleep(1.0)
        n_told = len(client.log)
        assert (client.cancel("r1"), client.cancel("r2")) == (1.0, 0.0)
        await asyncio.sleep(9.0)
        client.playout.append("r2", sound(1.0))
        client.playout.finish("r2")
        assert (client.cancel("r1"), client.cancel("r2"), client.cancel("r3")) == (1.0, 0.0, 0.0)
        assert client.log[n_told:] == []

    run(main())


def test_what_follows_a_cancelled_reply_sounds_at_once() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.says("r1", 5.0)
        client.playout.finish("r1")
        client.playout.begin("r2")
        client.says("r2", 1.0)
        client.playout.finish("r2")
        await asyncio.sleep(1.0)
        assert client.cancel("r1") == 1.0
        await asyncio.sleep(0.5)
        assert client.heard("r2") == 0.5
        await asyncio.sleep(5.0)
        assert client.log[-1] == (2.0, "drained", "r2", 0)
        client.playout.begin("r3")
        client.says("r3", 1.0)
        await asyncio.sleep(0.25)
        assert client.heard("r3") == 0.25

    run(main())


def test_a_voice_is_at_most_thirty_seconds_ahead_of_the_client() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.says("r1", 30.0)
        assert not client.playout.is_full("r1")
        client.playout.append("r1", sound(4.0))
        assert client.playout.is_full("r1")
        await asyncio.sleep(10.0)
        assert client.log[-1] == (4.0, "room", "r1", 0)
        assert not client.playout.is_full("r1")

    run(main())


def test_a_reply_without_sound_is_over_at_once() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        client.playout.append("r1", sound(0.0))
        client.playout.finish("r1")
        assert client.log == [(0.0, "drained", "r1", 0)]

    run(main())


def test_a_voice_slower_than_speech_is_heard_as_it_comes() -> None:
    async def main() -> None:
        client = Client()
        client.playout.begin("r1")
        for _ in range(500):
            client.playout.append("r1", sound(0.1))
            await asyncio.sleep(0.2)
        assert client.heard("r1") == 50.0

    run(main())

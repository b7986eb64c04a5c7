"""Keeping a call's socket ready, for hours of virtual time, with sockets that only pretend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, cast

import numpy as np
import pytest

from voicertc.audio.pcm import HEARING_RATE_HZ, PcmFrame
from voicertc.errors import ProviderCrashed, ProviderError, ProviderUnavailable
from voicertc.providers.base import RecognitionRequest
from voicertc.providers.openai_live_ear import LiveEar
from voicertc.providers.openai_live_line import LiveLine
from voicertc.providers.openai_live_turn import BYTES_PER_SECOND, Pace, TurnSound
from voicertc.testing import virtual_time

REQUEST = RecognitionRequest(language="en")
CRASHED = ProviderCrashed("lost", provider="openai-live")
REFUSED = ProviderUnavailable("no key", provider="openai-live", fix="Set one.")


class PretendedSocket:
    def __init__(self) -> None:
        self.is_open = True
        self._opened_at = asyncio.get_running_loop().time()

    @property
    def age(self) -> float:
        return asyncio.get_running_loop().time() - self._opened_at


class PretendedEar:
    def __init__(self, on_lost: Callable[[LiveEar, ProviderError], None]) -> None:
        self.socket = PretendedSocket()
        self.n_due = 0
        self.configured: list[object] = []
        self._on_lost = on_lost

    def lose(self) -> None:
        self.socket.is_open = False
        self._on_lost(cast(LiveEar, self), CRASHED)

    async def settled(self) -> None:
        self.configured.append("settled")

    async def configure(self, session: object) -> None:
        self.configured.append(session)

    async def close(self) -> None:
        self.socket.is_open = False


class Service:
    """Opens pretended sockets; ``failures`` come first."""

    def __init__(self, failures: Iterable[ProviderError | None] = (), life: float | None = None) -> None:
        self.ears: list[PretendedEar] = []
        self.tried_at: list[float] = []
        self._failures = iter(failures)
        self._life = life

    async def open(
        self, request: RecognitionRequest, on_lost: Callable[[LiveEar, ProviderError], None]
    ) -> LiveEar:
        loop = asyncio.get_running_loop()
        self.tried_at.append(loop.time())
        await asyncio.sleep(0.1)
        if (failure := next(self._failures, None)) is not None:
            raise failure
        ear = PretendedEar(on_lost)
        self.ears.append(ear)
        if self._life is not None:
            loop.call_later(self._life, ear.lose)
        return cast(LiveEar, ear)

    @property
    def n_open(self) -> int:
        return sum(ear.socket.is_open for ear in self.ears)

    def line(self, max_age: float = 3000.0) -> LiveLine:
        return LiveLine(
            "openai-live", self.open, lambda request: {"language": request.language}, REQUEST, max_age
        )


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        virtual_time.run(test())

    run.__name__ = test.__name__
    return run


@in_virtual_time
async def test_a_call_of_a_day_has_one_socket_at_a_time_and_none_that_is_too_old() -> None:
    service = Service()
    line = service.line()
    oldest = 0.0
    for _ in range(24 * 60):
        await asyncio.sleep(60.0)
        assert service.n_open == 1
        oldest = max(oldest, *(ear.socket.age for ear in service.ears if ear.socket.is_open))
    assert oldest <= 3060.0
    assert len(service.ears) == 24 * 3600 // 3000 + 1
    await line.close()
    assert service.n_open == 0


@in_virtual_time
async def test_a_successor_that_cannot_be_opened_is_tried_again_while_the_old_one_serves() -> None:
    service = Service([None, CRASHED, CRASHED])
    line = service.line()
    await asyncio.sleep(3050.0)
    assert await line.ear(REQUEST) is service.ears[0]
    await asyncio.sleep(50.0)
    assert len(service.ears) == 2
    assert await line.ear(REQUEST) is service.ears[1]
    assert service.n_open == 1
    await line.close()


@in_virtual_time
async def test_an_old_socket_stays_until_its_words_have_come() -> None:
    service = Service()
    line = service.line()
    old = await line.ear(REQUEST)
    old.n_due = 1
    await asyncio.sleep(3001.0)
    assert await line.ear(REQUEST) is not old
    assert service.n_open == 2
    old.n_due = 0
    line.release(old)
    await asyncio.sleep(1.0)
    assert service.n_open == 1
    await line.close()


@in_virtual_time
async def test_a_service_that_is_away_is_tried_ever_more_seldom_and_then_no_more() -> None:
    service = Service([CRASHED] * 1000)
    line = service.line()
    await asyncio.sleep(3600.0)
    pauses = np.diff(service.tried_at)
    assert len(service.tried_at) == 9
    assert pauses[0] < 0.7
    assert all(pauses[n + 2] > pauses[n] for n in range(5))
    with pytest.raises(ProviderCrashed):
        await line.ear(REQUEST)
    assert len(service.tried_at) == 10
    await line.close()


@in_virtual_time
async def test_a_refused_key_is_not_tried_again_until_the_next_turn() -> None:
    service = Service([REFUSED, REFUSED])
    line = service.line()
    await asyncio.sleep(3600.0)
    assert len(service.tried_at) == 1
    with pytest.raises(ProviderUnavailable):
        await line.ear(REQUEST)
    assert (await line.ear(REQUEST)).socket.is_open
    await line.close()


@in_virtual_time
async def test_sockets_that_die_young_are_not_opened_in_a_hot_loop() -> None:
    service = Service(life=0.5)
    line = service.line()
    await asyncio.sleep(3600.0)
    assert len(service.tried_at) < 12
    assert (await line.ear(REQUEST)).socket.is_open
    await line.close()


@in_virtual_time
async def test_a_turn_waits_for_the_attempt_that_is_being_made() -> None:
    service = Service()
    line = service.line()
    await asyncio.sleep(0.05)
    ears = await asyncio.gather(line.ear(REQUEST), line.ear(REQUEST))
    assert ears == [service.ears[0], service.ears[0]]
    await line.close()


@in_virtual_time
async def test_only_what_has_changed_is_told() -> None:
    service = Service()
    line = service.line()
    for language, grammar in (("en", None), ("en", "other phrases"), ("nb", None), ("nb", None)):
        await line.ear(RecognitionRequest(language, grammar=grammar))
    # An update would delete what the service has not taken out of its buffer.
    assert service.ears[0].configured == ["settled", {"language": "nb"}]
    await line.close()


@in_virtual_time
async def test_sound_goes_out_at_three_times_its_speed_after_a_short_burst() -> None:
    pace, loop = Pace(), asyncio.get_running_loop()
    for _ in range(100):
        await asyncio.sleep(pace.pause_before(0.2))
    assert loop.time() == pytest.approx((20.0 - 0.5) / 3.0)
    await asyncio.sleep(10.0)
    assert pace.pause_before(0.2) == 0.0


@in_virtual_time
async def test_a_turn_keeps_half_a_minute_and_waits_for_its_sender() -> None:
    n_taken = 0

    async def minutes() -> Any:
        nonlocal n_taken
        for n in range(120):
            n_taken += 1
            yield PcmFrame(np.full(HEARING_RATE_HZ, n, np.int16))

    sound = TurnSound()
    collecting = asyncio.create_task(sound.collect(minutes()))
    await asyncio.sleep(1.0)
    assert n_taken < 32
    assert sound.can_be_sent_again
    place = 0
    while not sound.has_ended or place < sound.n_bytes:
        place += len(sound.take(place))
        await asyncio.sleep(0.0)
    await collecting
    assert place == 120 * BYTES_PER_SECOND
    assert not sound.can_be_sent_again

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.errors import ProviderBusy
from voicertc.providers.plan_b.gate import Gate, GateOptions
from voicertc.testing import virtual_time


def test_beyond_the_cap_requests_wait_in_order() -> None:
    async def main() -> None:
        gate, order = Gate("x", GateOptions(most=1)), list[int]()

        async def request(number: int) -> None:
            await gate.enter()
            order.append(number)
            await asyncio.sleep(0.1)
            gate.leave()

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(request(number))
        assert (order, gate.n_inside, gate.n_waiting) == ([0, 1, 2, 3], 0, 0)

    virtual_time.run(main())


def test_who_waits_too_long_is_told_that_the_provider_is_busy() -> None:
    async def main() -> None:
        gate, now = Gate("x", GateOptions(most=1)), asyncio.get_running_loop().time
        await gate.enter()
        with pytest.raises(ProviderBusy, match="x has 1 requests to answer already"):
            await gate.enter()
        assert (now(), gate.n_waiting) == (0.5, 0)

    virtual_time.run(main())


def test_a_full_queue_refuses_at_once() -> None:
    async def main() -> None:
        gate, now = Gate("x", GateOptions(most=1, waiting=0)), asyncio.get_running_loop().time
        await gate.enter()
        with pytest.raises(ProviderBusy):
            await gate.enter()
        assert now() == 0.0

    virtual_time.run(main())


def test_a_place_given_to_somebody_who_just_left_goes_to_the_next() -> None:
    async def main() -> None:
        gate = Gate("x", GateOptions(most=1))
        await gate.enter()
        leaving, next_one = (asyncio.create_task(gate.enter()) for _ in range(2))
        await asyncio.sleep(0)
        gate.leave()  # gives the place to the first of the queue …
        leaving.cancel()  # … who does not take it any more
        await next_one
        assert leaving.cancelled()
        gate.leave()
        assert (gate.n_inside, gate.n_waiting) == (0, 0)

    virtual_time.run(main())


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.3, 0.5]),  # comes so much after the one before
        st.sampled_from([0.0, 0.2, 0.5, 0.9]),  # takes so long
        st.sampled_from([None, None, 0.0, 0.1, 0.2, 0.4, 0.5]),  # is cancelled after this
    ),
    max_size=25,
)


@settings(deadline=None)
@given(REQUESTS, st.integers(1, 3), st.integers(0, 4))
def test_there_are_never_too_many_and_every_place_is_given_back(
    requests: list[tuple[float, float, float | None]], most: int, waiting: int
) -> None:
    async def main() -> None:
        options = GateOptions(most=most, waiting=waiting)
        gate, now = Gate("x", options), asyncio.get_running_loop().time
        inside, arrived, entered = 0, list[int](), list[int]()

        async def request(number: int, length: float) -> None:
            nonlocal inside
            came = now()
            arrived.append(number)
            try:
                await gate.enter()
            except ProviderBusy:
                waited = now() - came
                assert waited <= options.patience + 1e-9
                # Nobody is refused while there is a place, unless one is given back in the same moment.
                assert inside == most or waited == pytest.approx(options.patience)
                return
            assert now() - came <= options.patience + 1e-9
            entered.append(number)
            inside += 1
            try:
                assert inside <= most
                await asyncio.sleep(length)
            finally:
                inside -= 1
                gate.leave()

        tasks = []
        for number, (pause, length, cancelled_after) in enumerate(requests):
            await asyncio.sleep(pause)
            task = asyncio.create_task(request(number, length))
            tasks.append(task)
            if cancelled_after is not None:
                asyncio.get_running_loop().call_later(cancelled_after, task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [each for each in results if isinstance(each, Exception)]
        assert (inside, gate.n_inside, gate.n_waiting) == (0, 0, 0)
        assert entered == [number for number in arrived if number in entered]

    virtual_time.run(main())

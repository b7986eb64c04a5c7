"""Whatever arrives, from strangers or from clients that mean harm: no other call is disturbed."""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc

import pytest

from voicertc.rtc import lanes

from . import fuzz
from .attack import Scene, Strangers, pour
from .insider import Bounds, attack, check_tables, insider_on

pytestmark = [
    pytest.mark.network,
    pytest.mark.usefixtures("nobody_holds_the_loop", "nobody_has_to_act"),
]


async def test_strangers_disturb_nobody() -> None:
    rng = random.Random(1)
    async with Scene() as scene:
        witness = scene.witness
        witness.begin(4.0)
        ufrag = witness.ufrag
        ways = [fuzz.stun(rng, ufrag), fuzz.dtls(rng), fuzz.sealed(rng)]
        shots = (next(rng.choice(ways)) for _ in range(3000))
        with Strangers(scene.local, 40) as strangers:
            n_sent = await pour(shots, strangers.send)
        await witness.end()
        assert scene.plane.port is not None
        assert scene.plane.port.dropped == n_sent, "no one's"
        assert (scene.local.n_lanes, scene.local.n_routes) == (1, 1)
    assert (scene.local.n_lanes, scene.local.n_routes) == (0, 0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_an_insider_that_sends_anything_disturbs_nobody(seed: int) -> None:
    rng = random.Random(seed)
    before = Bounds()
    async with Scene() as scene:
        scene.witness.begin(8.0)
        for _ in range(3):
            async with insider_on(scene) as insider:
                await attack(insider, rng, 500)
                check_tables(insider)
        await scene.witness.end()
        assert scene.local.n_lanes == 1
        assert scene.local.n_routes == 1
        assert len(scene.local._asked) <= lanes.MAX_ASKED
    await asyncio.sleep(0.1)
    assert Bounds() == before


async def test_a_client_may_negotiate_while_it_is_attacked_and_attacks() -> None:
    rng = random.Random(4)
    async with Scene() as scene, insider_on(scene) as insider:
        scene.witness.begin(4.0)
        attacking = asyncio.create_task(attack(insider, rng, 200))
        for owner, client in ((scene.witness.owner, scene.witness.client), (insider.owner, insider.client)):
            client._target = owner.peer.answer_again
            for _ in range(5):
                await client.offer_again()
                await asyncio.sleep(0.05)
        await attacking
        await scene.witness.end()
        check_tables(insider)


@pytest.mark.usefixtures("no_records")
async def test_rounds_of_insiders_leave_no_memory() -> None:
    rng = random.Random(6)
    sizes = []
    async with Scene() as scene:
        for count in range(7):
            async with insider_on(scene) as insider:
                await attack(insider, rng, 100)
            del insider
            scene.witness.forget()
            gc.collect()
            if count == 2:  # whatever is made once has been made
                tracemalloc.start()
            if count > 2:
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert sizes[-1] - sizes[0] < 100_000, "one call that is not freed has 250,000 bytes"

"""What calls cost, how many a core carries, and how late sound is on a clean link."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
from aiortc.rtcrtpreceiver import StreamStatistics

from . import callers as calling
from .callers import Caller, connect
from .case import Case, Result
from .machine import SERVER_CORE, busy_time, percentiles
from .material import as_utterance
from .servers import Server, server

LOAD = 0.6
"""Part of the server's core that is busy where latency is measured under load."""
_N_MARKED = 4
"""Calls whose latency is measured, among the talking ones."""
_FILL = 0
"""In place of a number of calls: as many as make the server as busy as that."""
_TURN = 0.35
"""Part of the time that either side speaks in a usual conversation; the rest is silence."""


async def set_up(case: Case) -> Result:
    """Offer to connected, one call after the other."""
    n_calls = case.pick(10, 30)
    async with server(case.kind, case.directory) as running:
        waits, cpu = [], 0.0
        for index in range(n_calls + 1):
            caller = Caller(running, f"call-{index}", {})
            before = running.cpu
            await connect([caller])
            if index:  # the first one pays for what is made once
                waits.append(caller.client.setup_time)
                cpu += running.cpu - before
            await caller.close()
    return {"wall_ms": percentiles(waits, 1000), "cpu_ms": round(1000 * cpu / n_calls, 1)}


async def talk(case: Case) -> Result:
    """Both sides talk: latency at rest, then what calls cost and how they fare at each number of them."""
    loads = case.pick([60], [60, _FILL, 100]) if case.kind == "our" else case.pick([10], [8, _FILL])
    if case.n_calls:
        loads = [case.n_calls]
    async with server(case.kind, case.directory) as running:
        marked = [
            Caller(running, f"marked-{index}", {"says": "bursts", "keeps": True, "offset": index})
            for index in range(_N_MARKED)
        ]
        await connect(marked)
        for caller in marked:
            caller.talk(case.material.marks)
        found: Result = {"rest": await _latency(marked, case.pick(1.5, 20.0)), "loads": []}
        at_rest = running.memory_mb
        talking: list[Caller] = []
        for load in loads:
            n_calls = load or round(1000 * LOAD / found["loads"][-1]["cpu_ms"])
            await _add(talking, n_calls - len(marked), running, case)
            lengths = {"seconds": case.pick(2.5, 20.0), "warm_up": case.pick(0.5, 2.0)}
            window = await _window(running, talking, marked, **lengths)
            window["memory_mb"] = round((running.memory_mb - at_rest) / max(1, len(talking)), 3)
            found["loads"].append(window)
        return found


async def voip(case: Case) -> Result:
    """Both sides talk, and clients report 5 % of loss, so that the voice is coded for lossy links."""
    # Told by the clients, so that it is the server's own way from reports to coding that is measured.
    setattr(StreamStatistics, "fraction_lost", property(lambda self: 256 // 20))  # noqa: B010 (it is none)
    talking: list[Caller] = []
    async with server(case.kind, case.directory) as running:
        await _add(talking, case.n_calls or case.pick(20, 60), running, case)
        return await _window(running, talking, seconds=case.pick(2.5, 20.0), warm_up=case.pick(2.0, 5.0))


async def mix(case: Case) -> Result:
    """Each side speaks 35 % of the time, one after the other, with DTX; the calls' turns are spread."""
    n_calls, period = case.n_calls or case.pick(50, 200), case.pick(3.0, 10.0)
    words = as_utterance(case.material.talk_packets[: round(period * _TURN * 50)])
    begins = time.monotonic()
    async with server(case.kind, case.directory) as running:
        talking = []
        for index in range(n_calls):
            phase = begins + period * index / n_calls
            turn = {"period": period, "lasts": period * _TURN, "begins": phase + 0.4 * period}
            talking.append(Caller(running, f"call-{index}", {"says": "turns", **turn}, uses_dtx=True))
        await connect(talking)
        for index, caller in enumerate(talking):
            caller.take_turns(words, begins + period * index / n_calls, period)
        return await _window(running, talking, seconds=case.pick(1, 3) * period, warm_up=period / 2)


async def idle(case: Case) -> Result:
    """Calls that are up and silent on both sides."""
    async with server(case.kind, case.directory) as running:
        at_first = running.memory_mb
        n_calls = case.n_calls or case.pick(250, 800)
        silent = [Caller(running, f"call-{index}", {}, uses_dtx=True) for index in range(n_calls)]
        await connect(silent)
        found = await _window(running, silent, seconds=case.pick(2.5, 20.0), warm_up=case.pick(0.5, 2.0))
        found["memory_mb"] = round((running.memory_mb - at_first) / n_calls, 3)
        return found


async def churn(case: Case) -> Result:
    """Calls begin and end, four a second, while others talk: does it make those stutter?"""
    talking: list[Caller] = []
    async with server(case.kind, case.directory) as running:
        await _add(talking, case.n_calls or 50, running, case)

        async def come_and_go() -> None:
            number = 0
            while True:
                number += 1
                guest = Caller(running, f"guest-{number}", {"says": "speech", "offset": number})
                await connect([guest])
                guest.talk(case.material.talk_from(number))
                await asyncio.sleep(2.0)
                await guest.close()

        guests = [asyncio.create_task(come_and_go()) for _ in range(8)]
        found = await _window(running, talking, seconds=case.pick(5.0, 30.0))
        for task in guests:
            task.cancel()
        return found


async def memory(case: Case) -> Result:
    """Whether talking calls grow: memory once a second, and the slope of the last two thirds."""
    talking: list[Caller] = []
    async with server(case.kind, case.directory) as running:
        at_first = running.memory_mb
        await _add(talking, case.n_calls or 40, running, case)
        samples: list[float] = []
        began = time.monotonic()
        while time.monotonic() - began < (case.seconds or case.pick(10.0, 120.0)):
            await asyncio.sleep(1.0)
            samples.append(running.memory_mb)
            for caller in talking:
                caller.forget()
        late = samples[len(samples) // 3 :]
        slope = float(np.polyfit(np.arange(len(late)), late, 1)[0])  # MB a second
        return {
            "calls": len(talking),
            "seconds": len(samples),
            "memory_mb": round((samples[-1] - at_first) / len(talking), 3),
            "growth_kb_per_call_minute": round(slope * 60 * 1024 / len(talking), 2),
        }


# --- the parts ----------------------------------------------------------------------------------------


async def _add(talking: list[Caller], n_calls: int, running: Server, case: Case) -> None:
    """Bring the number of talking calls to ``n_calls``."""
    while len(talking) > n_calls:
        await talking.pop().close()
    first = len(talking)
    new = [
        Caller(running, f"call-{index}", {"says": "speech", "offset": index * 37})
        for index in range(first, n_calls)
    ]
    await connect(new)
    for index, caller in enumerate(new, first):
        caller.talk(case.material.talk_from(index))
    talking += new


async def _latency(marked: Sequence[Caller], seconds: float) -> Result:
    await asyncio.sleep(0.5)
    since = time.monotonic()
    await asyncio.sleep(seconds)
    until = time.monotonic()
    await asyncio.sleep(0.4)
    return {
        "mic_to_pcm_ms": await calling.mic_to_pcm(marked, since, until),
        "pcm_to_wire_ms": await calling.pcm_to_wire(marked, since, until),
    }


async def _window(
    running: Server,
    talking: Sequence[Caller],
    marked: Sequence[Caller] = (),
    *,
    seconds: float,
    warm_up: float = 1.0,
) -> Result:
    """Measure what calls cost and how they fare while they go on."""
    await asyncio.sleep(warm_up)
    everybody = [*talking, *marked]
    counted = await running.ask("stats")
    for caller in everybody:
        caller.forget()
    client_skipped = sum(caller.client.skipped for caller in everybody)
    busy, own = busy_time(SERVER_CORE), time.process_time()
    cpu, since = running.cpu, time.monotonic()
    await asyncio.sleep(seconds)
    cpu, until = running.cpu - cpu, time.monotonic()
    busy, own = busy_time(SERVER_CORE) - busy, time.process_time() - own
    found: Result = {
        "calls": len(everybody),
        "seconds": round(until - since, 1),
        "cpu_ms": round(1000 * cpu / (until - since) / len(everybody), 3),
        "core": round(cpu / (until - since), 3),
        "others_core": round(max(0.0, busy - cpu) / (until - since), 3),
        "client_core": round(own / (until - since), 3),
        "client_skipped": sum(caller.client.skipped for caller in everybody) - client_skipped,
        **calling.quality(talking),
    }
    after = await running.ask("stats")
    found["counted"] = {name: after[name] - counted[name] for name in after}
    if marked:
        await asyncio.sleep(0.4)
        found["mic_to_pcm_ms"] = await calling.mic_to_pcm(marked, since, until)
        found["pcm_to_wire_ms"] = await calling.pcm_to_wire(marked, since, until)
    return found

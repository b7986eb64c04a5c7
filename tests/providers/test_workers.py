"""The worker pool, with real child processes that misbehave in every way we could think of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from voicertc.providers.workers import PoolOptions, WorkerPool

LIMIT = 20.0
ENGINE = f"{__package__}.engines:Obedient"
OPTIONS = PoolOptions(workers=1, wait=LIMIT, deadline=LIMIT, reset_deadline=LIMIT, first_pause=0.01)


def make_pool(options: PoolOptions = OPTIONS, engine: str = ENGINE, **load: object) -> WorkerPool:
    return WorkerPool("echo", engine, options, load)


@contextlib.asynccontextmanager
async def started(options: PoolOptions = OPTIONS, **load: object) -> AsyncGenerator[WorkerPool, None]:
    pool = make_pool(options, **load)
    async with asyncio.timeout(4 * LIMIT):
        await pool.start()
        try:
            yield pool
        finally:
            await pool.close()


async def ask(
    pool: WorkerPool, kind: str, body: bytes = b"", **fields: object
) -> list[tuple[str, dict, bytes]]:
    """All messages of one answer."""
    answer = []
    async with pool.lease() as lease:
        await lease.send(kind, body, **fields)
        lease.expect()
        while not answer or not answer[-1][1].get("last"):
            message = await lease.receive()
            answer.append((message.kind, dict(message.fields), message.body))
    return answer


async def echo(pool: WorkerPool, text: str) -> str:
    [(kind, fields, _)] = await ask(pool, "echo", text=text)
    assert kind == "echo"
    return fields["text"]


def processes_of(pool: WorkerPool) -> list[int]:
    return [worker._process.pid for worker in pool._workers.values()]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.001)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def open_files() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return found


# What goes right


async def test_the_engines_facts_are_known_when_the_first_worker_is_ready() -> None:
    pool = make_pool(colour="blue")
    facts = await pool.start()
    await pool.close()
    assert (facts["options"], facts["version"]) == ({"colour": "blue"}, "1")


async def test_a_request_and_its_answer_keep_text_and_bytes() -> None:
    async with started() as pool:
        answer = await ask(pool, "echo", bytes(range(256)) * 1000, text="Grüße 你好 \0")
        assert answer == [("echo", {"text": "Grüße 你好 \0", "last": True}, bytes(range(256)) * 1000)]


async def test_requests_follow_each_other_on_one_worker() -> None:
    async with started() as pool:
        assert [await echo(pool, str(n)) for n in range(20)] == [str(n) for n in range(20)]
        assert (pool.n_alive, pool.n_free, pool.restarts) == (1, 1, 0)


async def test_callers_beyond_the_pool_wait_their_turn() -> None:
    async with started(replace(OPTIONS, workers=2)) as pool:
        answers = await asyncio.gather(*(echo(pool, str(n)) for n in range(20)))
        assert answers == [str(n) for n in range(20)]


async def test_a_request_may_be_sent_in_parts_while_its_answer_is_received() -> None:
    async with started() as pool, pool.lease() as lease:
        await lease.send("count")
        seen = []
        for _ in range(3):
            await lease.send("one more")
            seen.append((await lease.receive()).fields["n"])
        await lease.send("end")
        lease.expect()
        done = await lease.receive()
        assert (seen, done.kind, done.fields["n"]) == ([1, 2, 3], "done", 3)


async def test_a_worker_is_free_when_its_answer_has_arrived_however_slowly_it_is_consumed() -> None:
    async with started() as pool, pool.lease() as slow:
        await slow.send("flood", n=100, size=1000)
        assert await echo(pool, "next") == "next"
        received = [await slow.receive() for _ in range(101)]
        assert [message.kind for message in received] == ["water"] * 100 + ["done"]


async def test_an_answer_too_long_for_the_inbox_waits_in_the_worker() -> None:
    async with started() as pool:
        answer = await ask(pool, "flood", n=30, size=1 << 20)
        assert [(kind, len(body)) for kind, _, body in answer] == [("water", 1 << 20)] * 30 + [("done", 0)]


async def test_sending_after_the_answer_does_nothing() -> None:
    async with started() as pool:
        async with pool.lease() as lease:
            await lease.send("echo", text="a")
            await lease.receive()
            await lease.send("echo", text="b")
        assert await echo(pool, "c") == "c"


async def test_what_libraries_print_does_not_break_the_messages() -> None:
    async with started() as pool:
        assert await ask(pool, "chatter") == [("done", {"last": True}, b"")]
        assert await echo(pool, "still here") == "still here"


async def test_a_worker_knows_no_keys_and_imports_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    monkeypatch.setenv("HARMLESS", "yes")
    async with started() as pool:
        [(_, fields, _)] = await ask(pool, "environment")
    assert {"OPENAI_API_KEY", "DATABASE_PASSWORD", "HARMLESS"} & set(fields["names"]) == {"HARMLESS"}
    heavy = {"numpy", "aiortc", "aiohttp", "openai", "av", "asyncio", "pydantic"}
    assert heavy & {name.partition(".")[0] for name in fields["modules"]} == set()


# What goes wrong in a worker


async def test_a_crash_costs_the_one_request_that_was_on_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    async with started() as pool:
        with pytest.raises(ProviderCrashed, match="status 3: the last words") as caught:
            await ask(pool, "crash")
        assert (caught.value.provider, caught.value.retryable) == ("echo", True)
        assert await echo(pool, "again") == "again"
        assert (pool.n_alive, pool.restarts) == (1, 1)
    (ended,) = (record for record in caplog.records if record.message == "worker_ended")
    assert ended.voicertc_fields["worker"] == "echo-0"  # type: ignore[attr-defined]


async def test_an_exception_in_the_engine_is_a_crash_too() -> None:
    async with started() as pool:
        with pytest.raises(ProviderCrashed, match="ValueError: a bug in the engine"):
            await ask(pool, "fail")
        assert await echo(pool, "again") == "again"


async def test_a_worker_that_dies_while_free_is_replaced() -> None:
    async with started() as pool:
        [old] = processes_of(pool)
        os.kill(old, signal.SIGKILL)
        await until(lambda: pool.n_alive == 0)
        assert await echo(pool, "again") == "again"
        assert processes_of(pool) != [old]


async def test_a_refused_request_leaves_the_worker_as_it_was() -> None:
    async with started() as pool:
        before = processes_of(pool)
        with pytest.raises(ProviderError, match="that is not possible") as caught:
            await ask(pool, "refuse")
        assert (type(caught.value), caught.value.retryable) == (ProviderError, False)
        assert await echo(pool, "again") == "again"
        assert processes_of(pool) == before


async def test_what_is_sent_after_a_refusal_reaches_nobody() -> None:
    async with started() as pool:
        async with pool.lease() as lease:
            await lease.send("refuse")
            await lease.send("echo", text="too late")
            with pytest.raises(ProviderError):
                await lease.receive()
        assert await echo(pool, "next") == "next"


async def test_a_worker_that_hangs_is_a_timeout_and_is_killed() -> None:
    async with started(replace(OPTIONS, deadline=0.05)) as pool:
        [old] = processes_of(pool)
        async with pool.lease() as lease:
            await lease.send("hang")
            assert (await lease.receive()).kind == "hanging"
            lease.expect()
            with pytest.raises(ProviderTimeout, match="no answer"):
                await lease.receive()
        assert await eventually_echo(pool) == "again"
        assert not is_running(old)


async def test_an_answer_becomes_due_while_it_is_waited_for() -> None:
    async with started(replace(OPTIONS, deadline=0.05)) as pool, pool.lease() as lease:
        await lease.send("hang")
        await lease.receive()
        waiting = asyncio.create_task(lease.receive())
        await asyncio.sleep(0)
        lease.expect()
        with pytest.raises(ProviderTimeout):
            await waiting


async def test_a_worker_that_does_not_take_its_request_is_a_timeout() -> None:
    async with started(replace(OPTIONS, deadline=0.05)) as pool, pool.lease() as lease:
        await lease.send("hang")
        await lease.receive()
        with pytest.raises(ProviderTimeout):
            await lease.send("more", b"m" * (1 << 21))


async def test_a_worker_that_breaks_the_protocol_is_killed() -> None:
    async with started() as pool:
        with pytest.raises(ProviderCrashed, match="it broke the protocol"):
            await ask(pool, "garbage")
        assert await echo(pool, "again") == "again"


async def test_messages_after_the_last_reach_nobody() -> None:
    async with started() as pool:
        assert await ask(pool, "spill") == [("done", {"last": True}, b"")]
        assert [await echo(pool, str(n)) for n in range(3)] == ["0", "1", "2"]


async def test_a_receiver_can_be_told_of_an_error_elsewhere() -> None:
    async with started() as pool:
        async with pool.lease() as lease:
            await lease.send("work")
            await lease.receive()
            lease.interrupt(RuntimeError("the ear broke"))
            lease.interrupt(RuntimeError("only the first counts"))
            with pytest.raises(RuntimeError, match="the ear broke"):
                await lease.receive()
        assert await echo(pool, "again") == "again"


# What goes wrong with a caller


async def eventually_echo(pool: WorkerPool) -> str:
    """An echo from a pool whose deadline may be too short for the first word of a new child."""
    while True:
        with contextlib.suppress(ProviderTimeout, ProviderCrashed, ProviderBusy):
            return await echo(pool, "again")


async def test_a_lease_that_ends_before_its_answer_leaks_nothing_to_the_next() -> None:
    async with started() as pool:
        before = processes_of(pool)
        for n in range(10):
            async with pool.lease() as lease:
                await lease.send("flood", n=n, size=100)
            async with pool.lease() as lease:
                await lease.send("work")
                await lease.receive()
            async with pool.lease() as lease:
                await lease.send("count")
                await lease.send("one more")
            assert await echo(pool, str(n)) == str(n)
        assert (processes_of(pool), pool.restarts) == (before, 0)


async def test_a_cancelled_caller_gives_its_worker_back() -> None:
    async with started() as pool:
        before = processes_of(pool)
        caller = asyncio.create_task(ask(pool, "work"))
        await until(lambda: pool.n_free == 0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await echo(pool, "again") == "again"
        assert processes_of(pool) == before


async def test_a_lease_that_was_not_used_costs_nothing() -> None:
    async with started() as pool:
        async with pool.lease():
            assert pool.n_free == 0
        assert pool.n_free == 1


async def test_a_worker_that_does_not_give_up_is_killed() -> None:
    async with started(replace(OPTIONS, reset_deadline=0.02)) as pool:
        [old] = processes_of(pool)
        async with pool.lease() as lease:
            await lease.send("hang")
            await lease.receive()
        assert await echo(pool, "again") == "again"
        assert not is_running(old)


async def test_a_caller_who_waits_too_long_is_told_that_all_are_busy() -> None:
    async with started(replace(OPTIONS, wait=0.02)) as pool, pool.lease():
        with pytest.raises(
            ProviderBusy, match=r"no worker was free within 0\.02 s \(1 are taken\)"
        ) as caught:
            await echo(pool, "never")
        assert (caught.value.provider, caught.value.retryable) == ("echo", True)


async def test_a_caller_who_waits_for_workers_that_are_down_is_told_so() -> None:
    async with started(replace(OPTIONS, wait=0.02, first_pause=LIMIT)) as pool:
        with pytest.raises(ProviderCrashed):
            await ask(pool, "crash")
        with pytest.raises(ProviderCrashed, match="down and being started again"):
            await echo(pool, "never")


async def test_a_memory_is_as_old_as_its_child() -> None:
    async with started() as pool:
        async with pool.lease() as lease:
            lease.memory["a"] = None
        async with pool.lease() as lease:
            assert list(lease.memory) == ["a"]
            await lease.send("crash")
            with pytest.raises(ProviderCrashed):
                await lease.receive()
        async with pool.lease() as lease:
            assert list(lease.memory) == []


# Beginning and end


async def test_an_engine_that_is_not_there_says_how_to_fix_it() -> None:
    pool = make_pool(unavailable=True)
    with pytest.raises(ProviderUnavailable, match="there is no engine") as caught:
        await pool.start()
    assert (caught.value.provider, caught.value.fix) == ("echo", "install one")
    assert processes_of(pool) == []


@pytest.mark.parametrize(
    ("load", "reason"),
    [({"crash": True}, "RuntimeError: cannot load"), ({"hang": True}, "not loaded within 0.05 s")],
)
async def test_an_engine_that_cannot_load_is_unavailable(load: dict[str, object], reason: str) -> None:
    deadline = 0.05 if "hang" in load else LIMIT
    pool = make_pool(replace(OPTIONS, load_deadline=deadline), **load)
    with pytest.raises(ProviderUnavailable, match=reason):
        await pool.start()
    assert processes_of(pool) == []


async def test_a_machine_that_cannot_start_processes_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ProviderUnavailable, match="cannot start"):
        await make_pool().start()


async def test_a_worker_that_cannot_be_started_again_is_tried_until_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = sys.executable
    async with started() as pool:
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
        with pytest.raises(ProviderCrashed):
            await ask(pool, "crash")
        await until(lambda: pool.restarts > 0)
        monkeypatch.setattr(sys, "executable", python)
        assert await echo(pool, "again") == "again"


async def test_closing_leaves_no_process_no_file_and_no_task() -> None:
    await make_pool().close()
    tasks, files = asyncio.all_tasks(), open_files()
    async with started(replace(OPTIONS, workers=3)) as pool:
        await asyncio.gather(*(echo(pool, str(n)) for n in range(3)))
        children = processes_of(pool)
    await pool.close()
    assert [pid for pid in children if is_running(pid)] == []
    assert asyncio.all_tasks() == tasks
    assert open_files() <= files


async def test_closing_ends_what_is_under_way() -> None:
    tasks = asyncio.all_tasks()
    pool = make_pool(replace(OPTIONS, workers=3))
    await pool.start()
    callers = [asyncio.create_task(ask(pool, kind)) for kind in ("hang", "work", "count", "echo")]
    await until(lambda: pool.n_free == 0 and pool.n_alive == 3)
    children = processes_of(pool)
    async with asyncio.timeout(LIMIT):
        await pool.close()
        ends = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(end) for end in ends] == [ProviderCrashed] * 3 + [ProviderUnavailable]
    assert [pid for pid in children if is_running(pid)] == []
    assert asyncio.all_tasks() == tasks


async def test_closing_while_workers_are_loading_ends_them() -> None:
    tasks = asyncio.all_tasks()
    pool = make_pool(replace(OPTIONS, workers=2), hang=True)
    start = asyncio.create_task(pool.start())
    await until(lambda: len(processes_of(pool)) == 2)
    children = processes_of(pool)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert [pid for pid in children if is_running(pid)] == []
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("steps", range(8))
async def test_closing_while_a_worker_is_ending_waits_for_its_end(steps: int) -> None:
    tasks = asyncio.all_tasks()
    pool = make_pool()
    await pool.start()
    [worker] = pool._workers.values()
    worker.kill("the test wants it")
    for _ in range(steps):  # wherever the keeper is by then
        await asyncio.sleep(0.001)
    await pool.close()
    assert asyncio.all_tasks() == tasks
    assert worker._process.returncode == -signal.SIGKILL


async def test_a_closed_pool_serves_nobody() -> None:
    async with started() as pool:
        pass
    with pytest.raises(ProviderUnavailable, match="not running"):
        await echo(pool, "never")


async def test_signals_to_the_group_do_not_end_workers() -> None:
    async with started() as pool:
        [child] = processes_of(pool)
        assert os.getpgid(child) != os.getpgid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(child, number)
        assert await echo(pool, "still here") == "still here"
        assert processes_of(pool) == [child]


def test_workers_die_with_the_server_even_if_they_hang() -> None:
    program = textwrap.dedent("""
        import asyncio, os, signal
        from tests.providers.test_workers import make_pool, processes_of, replace, OPTIONS

        async def main():
            pool = make_pool(replace(OPTIONS, workers=2))
            await pool.start()
            async with pool.lease() as lease:
                await lease.send("hang")
                await lease.receive()
                print(*processes_of(pool), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        timeout=LIMIT,
    )
    assert done.returncode == -signal.SIGKILL
    children = [int(pid) for pid in done.stdout.split()]
    assert len(children) == 2
    for child in children:
        assert ends(child)


def ends(pid: int) -> bool:
    """Whether a process that is not our child ends soon."""
    handle = os.pidfd_open(pid) if is_running(pid) else None
    if handle is None:
        return True
    try:
        return bool(select.select([handle], [], [], LIMIT)[0])
    finally:
        os.close(handle)

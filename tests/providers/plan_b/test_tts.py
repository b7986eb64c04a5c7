from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import aclosing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from voicertc.providers.base import SpeechChunk, TextToSpeech, VoiceRequest
from voicertc.providers.plan_b.blame import Blame
from voicertc.providers.plan_b.gate import GateOptions
from voicertc.providers.plan_b.member import Member, MemberReport
from voicertc.providers.plan_b.rate_limits import RateLimits
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.testing import virtual_time

from .services import HANGS, Script, Service, bad_key, crash, sound

SPEAKS: Script = (0.1, sound(10), 0.1, sound(20))


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


def chain_of(*services: Service, **options: float) -> FallbackTextToSpeech:
    return FallbackTextToSpeech([Member[TextToSpeech](service) for service in services], **options)


async def say(voice: TextToSpeech, text: str = "Hello.", request: VoiceRequest | None = None) -> list[int]:
    """Speak; return the lengths of the chunks."""
    pieces = voice.synthesize(text, request or VoiceRequest())
    return [len(chunk.samples) async for chunk in pieces]


def on_virtual_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    def run() -> None:
        virtual_time.run(test())

    run.__name__ = test.__name__
    return run


@pytest.mark.parametrize(
    ("fails", "begins_after", "last_error"),
    [
        ((crash("a"),), 0.1, "a broke"),
        ((bad_key("a"),), 0.1, "a refused the key"),
        ((ProviderBusy("a is full", provider="a"),), 0.1, "a is full"),
        ((ProviderError("a does not say such things", provider="a"),), 0.1, "a does not say such things"),
        ((0.3, crash("a")), 0.4, "a broke"),
        ((HANGS,), 1.3, "a gave nothing within 1.2 s"),
        ((SpeechChunk(sound(0).samples), HANGS), 1.3, "a gave nothing within 1.2 s"),
        ((KeyError("a bug"),), 0.1, "KeyError"),
        ((SpeechChunk(np.zeros(480, np.float32)),), 0.1, "a yielded float32 sound, not int16"),  # type: ignore[arg-type]
        ((b"RIFF",), 0.1, "a yielded bytes, not SpeechChunk"),
    ],
    ids=[
        "crash",
        "key",
        "busy",
        "refusal",
        "late crash",
        "hang",
        "empty chunk and hang",
        "bug",
        "float",
        "bytes",
    ],
)
def test_a_clause_that_fails_before_its_first_sound_is_spoken_by_the_next_voice(
    fails: Script, begins_after: float, last_error: str
) -> None:
    async def main() -> None:
        first, second = Service("a", fails), Service("b", SPEAKS)
        voice = chain_of(first, second)
        async with aclosing(voice.synthesize("Hello.", VoiceRequest("marin", 1.2))) as pieces:
            assert len((await anext(pieces)).samples) == 10
            assert now() == pytest.approx(begins_after)
            assert [len(chunk.samples) async for chunk in pieces] == [20]
        assert first.requests == [("Hello.", VoiceRequest("marin", 1.2))]
        assert second.requests == [("Hello.", VoiceRequest("default", 1.2))]
        assert [member.error for member in voice.report().members] == [last_error, ""]
        assert (first.n_open, second.n_open) == (0, 0)

    virtual_time.run(main())


@on_virtual_time
async def test_what_fails_after_its_first_sound_is_not_said_again() -> None:
    first, second = Service("a", (sound(10), crash("a"))), Service("b", SPEAKS)
    voice = chain_of(first, second)
    for _ in range(3):
        pieces = voice.synthesize("Hello.", VoiceRequest())
        assert len((await anext(pieces)).samples) == 10
        with pytest.raises(ProviderCrashed, match="a broke"):
            await anext(pieces)
    assert second.n_requests == 0
    assert voice.report().members[0].state == "open"
    assert await say(voice) == [10, 20]


@on_virtual_time
async def test_a_wrong_sound_in_the_middle_is_a_failure_and_does_not_get_through() -> None:
    wrong = SpeechChunk(np.zeros((480, 2), np.int16))
    first, second = Service("a", (sound(10), wrong, sound(20))), Service("b", SPEAKS)
    voice = chain_of(first, second)
    pieces = voice.synthesize("Hello.", VoiceRequest())
    assert len((await anext(pieces)).samples) == 10
    with pytest.raises(ProviderCrashed, match=r"a yielded sound of shape \(480, 2\), not mono, \(n,\)"):
        await anext(pieces)
    assert (first.n_open, second.n_requests) == (0, 0)


@on_virtual_time
async def test_a_voice_with_nobody_behind_it_is_checked_too() -> None:
    with pytest.raises(ProviderCrashed, match="a yielded None, not SpeechChunk"):
        await say(chain_of(Service("a", (None,))))


@on_virtual_time
async def test_a_slow_voice_after_its_first_sound_has_the_time_it_wants() -> None:
    first, second = Service("a", (sound(10), 9.0, sound(20))), Service("b", SPEAKS)
    assert await say(chain_of(first, second)) == [10, 20]
    assert (now(), second.n_requests) == (9.0, 0)


@on_virtual_time
async def test_the_last_voice_has_no_deadline_but_its_own() -> None:
    assert await say(chain_of(Service("a", (crash(),)), Service("b", (5.0, sound(10))))) == [10]
    assert now() == 5.0


@on_virtual_time
async def test_a_text_without_a_sound_is_no_failure() -> None:
    first, second = Service("a", ()), Service("b", SPEAKS)
    assert await say(chain_of(first, second), "—") == []
    assert second.n_requests == 0


@on_virtual_time
async def test_if_all_fail_the_first_ones_error_is_raised() -> None:
    voice = chain_of(Service("a", (HANGS,)), Service("b", (bad_key("b"),)))
    with pytest.raises(ProviderTimeout, match="a gave nothing"):
        await say(voice)


@on_virtual_time
async def test_a_voice_that_failed_three_times_is_left_alone_for_half_a_minute() -> None:
    first, second = Service("a", *[(HANGS,)] * 3, SPEAKS), Service("b", (sound(1),))
    voice = chain_of(first, second)
    for _ in range(3):
        await say(voice)
    assert (now(), voice.report().current) == (pytest.approx(3.6), "b")
    await say(voice)
    assert (now(), first.n_requests) == (pytest.approx(3.6), 3)
    await asyncio.sleep(30.0)
    assert voice.report().members[0].state == "half_open"
    assert await say(voice) == [10, 20]
    assert voice.report().current == "a"
    assert voice.report().members[0] == MemberReport("a", "closed", False, 0, 0, "")


@on_virtual_time
async def test_while_one_request_tries_a_voice_the_others_go_past_it() -> None:
    first, second = Service("a", (bad_key(),), (0.5, sound(5))), Service("b", (sound(1),))
    voice = chain_of(first, second)
    await say(voice)
    await asyncio.sleep(300.0)
    heard = await asyncio.gather(*(say(voice) for _ in range(3)))
    assert heard == [[5], [1], [1]]


@on_virtual_time
async def test_listeners_who_leave_are_nobodys_failure() -> None:
    first, second = Service("a", (0.2, sound(10), HANGS)), Service("b", SPEAKS)
    voice = chain_of(first, second)
    for patience in (0.1, 0.5) * 5:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(say(voice), patience)
    report = voice.report().members[0]
    assert (report.state, report.n_requests, first.n_open, second.n_requests) == ("closed", 0, 0, 0)


@on_virtual_time
async def test_a_trial_that_was_heard_and_interrupted_has_succeeded() -> None:
    first, second = Service("a", (bad_key("a"),), (sound(10), HANGS)), Service("b", (sound(1),))
    voice = chain_of(first, second)
    await say(voice)
    await asyncio.sleep(300.0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(say(voice), 0.5)
    assert voice.report().members[0].state == "closed"


@on_virtual_time
async def test_a_trial_that_finds_no_place_leaves_the_trial_to_others() -> None:
    first, second = Service("a", (2.0, sound(2))), Service("b", (sound(1),))
    voice = FallbackTextToSpeech(
        [Member(first, gate=GateOptions(most=1, waiting=0)), Member(second)], first_timeout=9.0
    )
    early = asyncio.create_task(say(voice))
    await asyncio.sleep(0)
    breaker = voice.chain.members[0].breaker
    breaker.failed(breaker.admit(-300.0), Blame.OPERATOR, -300.0)
    assert voice.report().members[0].state == "half_open"
    assert await say(voice) == [1]
    assert breaker.allows(now())
    assert await early == [2]


@on_virtual_time
async def test_if_the_only_voice_has_no_place_it_is_busy() -> None:
    voice = FallbackTextToSpeech([Member(Service("a", SPEAKS), gate=GateOptions(most=1, waiting=0))])
    first = asyncio.create_task(say(voice))
    await asyncio.sleep(0)
    with pytest.raises(ProviderBusy, match="a has 1 requests to answer already"):
        await say(voice)
    assert await first == [10, 20]
    assert voice.report().members[0].state == "closed"


@on_virtual_time
async def test_if_all_are_left_alone_the_one_that_is_due_first_is_asked_first() -> None:
    first, second = Service("a", (bad_key("a"),)), Service("b", *[(crash("b"),)] * 3, SPEAKS)
    voice = chain_of(first, second)
    for _ in range(3):
        with pytest.raises(ProviderError):
            await say(voice)
    assert [member.state for member in voice.report().members] == ["open", "open"]
    assert await say(voice) == [10, 20]
    assert [member.state for member in voice.report().members] == ["open", "closed"]


@on_virtual_time
async def test_if_all_are_left_alone_all_are_asked_before_the_work_is_given_up() -> None:
    first, second = Service("a", (bad_key("a"),), (HANGS,)), Service("b", (bad_key("b"),), SPEAKS)
    voice = chain_of(first, second)
    with pytest.raises(ProviderUnavailable, match="a refused the key"):
        await say(voice)
    await asyncio.sleep(1.0)
    assert await say(voice) == [10, 20]
    assert (now(), voice.report().current) == (pytest.approx(2.4), "b")


@on_virtual_time
async def test_what_an_operator_must_mend_is_not_asked_for_twice_in_a_moment() -> None:
    first, second = Service("a", (bad_key("a"),)), Service("b", (bad_key("b"),), SPEAKS)
    alone, voice = chain_of(first), chain_of(Service("c", (bad_key("c"),)), second)
    for _ in range(3):  # as for a guess, and then for the turn itself
        with pytest.raises(ProviderUnavailable, match="a refused the key"):
            await say(alone)
        await asyncio.sleep(0.3)
    assert first.n_requests == 1
    await asyncio.sleep(0.2)
    with pytest.raises(ProviderUnavailable, match="a refused the key"):
        await say(alone)
    assert first.n_requests == 2
    with pytest.raises(ProviderUnavailable, match="c refused the key"):
        await say(voice)
    with pytest.raises(ProviderUnavailable, match="c refused the key"):
        await say(voice)
    assert second.n_requests == 1


@on_virtual_time
async def test_work_moves_on_before_the_allowance_is_used_and_back_when_it_is_renewed() -> None:
    limits = RateLimits()
    first, second = Service("a", SPEAKS), Service("b", (sound(1),))
    voice = FallbackTextToSpeech([Member(first, rate_limits=limits), Member(second)])
    limits.note("requests", limit=100, remaining=2, reset=20.0, now=now())
    assert await say(voice) == [1]
    assert voice.report().members[0].is_nearly_used
    await asyncio.sleep(20.0)
    assert await say(voice) == [10, 20]


@on_virtual_time
async def test_a_voice_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    busy = ProviderBusy("a is full", provider="a", retry_after=7.0)
    first, second = Service("a", (busy,), SPEAKS), Service("b", (sound(1),))
    voice = chain_of(first, second)
    assert [await say(voice), await say(voice)] == [[1], [1]]
    assert first.n_requests == 1
    await asyncio.sleep(7.0)
    assert await say(voice) == [10, 20]


@on_virtual_time
async def test_with_nobody_else_a_nearly_used_allowance_is_used() -> None:
    limits = RateLimits()
    limits.note("requests", limit=100, remaining=2, reset=20.0, now=now())
    voice = FallbackTextToSpeech([Member(Service("a", SPEAKS), rate_limits=limits)])
    assert await say(voice) == [10, 20]


@on_virtual_time
async def test_more_requests_than_a_voice_takes_wait_a_moment_then_go_to_the_next() -> None:
    first, second = Service("a", (0.8, sound(10))), Service("b", (sound(1),))
    members = [Member(first, gate=GateOptions(most=2, waiting=1)), Member(second)]
    voice = FallbackTextToSpeech(members)
    heard = await asyncio.gather(*(say(voice) for _ in range(4)))
    assert heard == [[10], [10], [1], [1]]
    report = voice.report().members[0]
    assert (report.state, report.n_requests, report.n_waiting, now()) == ("closed", 0, 0, 0.8)


@on_virtual_time
async def test_who_cannot_start_is_left_out() -> None:
    broken, well = Service("a", SPEAKS, start=bad_key("a")), Service("b", (sound(1),))
    voice = chain_of(broken, well)
    await voice.start()
    assert (voice.name, voice.report().current, broken.n_closed) == ("a", "b", 1)
    assert await say(voice) == [1]
    assert broken.n_requests == 0
    await voice.close()


@on_virtual_time
async def test_if_nobody_can_start_the_first_ones_reason_is_told() -> None:
    first, second = (Service(name, start=bad_key(name)) for name in "ab")
    voice = chain_of(first, second)
    with pytest.raises(ProviderUnavailable, match="a refused the key"):
        await voice.start()
    assert (first.n_closed, second.n_closed) == (1, 1)


@on_virtual_time
async def test_all_start_at_once() -> None:
    class Slow(Service):
        async def start(self) -> None:
            await asyncio.sleep(2.0)

    voice = chain_of(Slow("a"), Slow("b"), Slow("c"))
    await voice.start()
    assert now() == 2.0
    await voice.close()
    await voice.close()


def test_what_happens_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        voice = chain_of(Service("a", *[(crash("a"),)] * 3, SPEAKS), Service("b", SPEAKS))
        for _ in range(6):
            await say(voice)
        await asyncio.sleep(30.0)
        for _ in range(2):
            await say(voice)

    caplog.set_level(logging.DEBUG, logger="voicertc")
    virtual_time.run(main())
    assert [record.message for record in caplog.records] == [
        *["provider_failed"] * 3,
        "provider_skipped",
        "provider_recovered",
    ]
    fields = [record.voicertc_fields for record in caplog.records]  # type: ignore[attr-defined]  # see logs.event
    assert fields[2] == {
        "stage": "tts",
        "provider": "a",
        "reason": "a broke",
        "fix": None,
        "is_left_alone": True,
    }
    assert fields[1]["is_left_alone"] is None
    assert fields[3] == {
        "stage": "tts",
        "provider": "a",
        "is_left_alone": True,
        "is_nearly_used": None,
        "is_silent": None,
        "instead": "b",
    }
    assert caplog.records[4].levelno == logging.INFO


OUTCOMES = st.sampled_from(["well", "well", "crash", "key", "refusal", "hang", "late", "cut"])
SCRIPTS: dict[str, Script] = {
    "well": (0.1, sound(10), 0.1, sound(20)),
    "crash": (0.1, crash()),
    "key": (bad_key(),),
    "refusal": (ProviderError("no", provider="x"),),
    "hang": (8.0, ProviderTimeout("x hangs", provider="x")),
    "late": (1.3, sound(10), sound(20)),
    "cut": (sound(10), crash()),
}


@settings(deadline=None)
@given(
    outcomes=st.lists(st.lists(OUTCOMES, min_size=1, max_size=12), min_size=1, max_size=3),
    requests=st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 7.0, 40.0]), st.sampled_from([None, None, 0.05, 0.15, 2.0])),
        max_size=20,
    ),
    most=st.integers(1, 3),
    is_probed=st.booleans(),
)
def test_whatever_happens_a_clause_is_said_whole_or_cut_and_nothing_is_left_behind(
    outcomes: list[list[str]], requests: list[tuple[float, float | None]], most: int, is_probed: bool
) -> None:
    async def main() -> None:
        services = [
            Service(f"v{index}", *(SCRIPTS[each] for each in names), probes=() if is_probed else None)
            for index, names in enumerate(outcomes)
        ]
        voice = FallbackTextToSpeech(
            [Member(each, gate=GateOptions(most=most, waiting=2)) for each in services]
        )
        await voice.start()

        async def request() -> None:
            lengths = list[int]()
            try:
                async with aclosing(voice.synthesize("Hello.", VoiceRequest())) as pieces:
                    async for chunk in pieces:
                        lengths.append(len(chunk.samples))
            except ProviderError:
                assert lengths in ([], [10])  # what was heard was cut, never begun anew
            else:
                assert lengths == [10, 20]

        tasks = []
        for pause, patience in requests:
            await asyncio.sleep(pause)
            task = asyncio.create_task(request())
            tasks.append(task)
            if patience is not None:
                asyncio.get_running_loop().call_later(patience, task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [each for each in results if isinstance(each, Exception)]
        report = voice.report()
        assert [(each.n_requests, each.n_waiting) for each in report.members] == [(0, 0)] * len(services)
        assert [each.n_open for each in services] == [0] * len(services)
        await voice.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        # An hour later a voice that is well speaks, whatever it has been through.
        services[0].scripts = [SCRIPTS["well"]]
        await asyncio.sleep(3600.0)
        assert is_probed or await say(voice) == [10, 20]

    virtual_time.run(main())

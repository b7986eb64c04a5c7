from __future__ import annotations

import asyncio
import logging

import pytest

from voicertc.errors import ProviderUnavailable
from voicertc.providers.base import TextToSpeech
from voicertc.providers.plan_b.blame import NoCredit, NotDescribed, Refused
from voicertc.providers.plan_b.member import Member
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.testing import virtual_time

from .services import HANGS, Service, bad_key, crash, sound
from .test_tts import say


def states(voice: FallbackTextToSpeech) -> list[str]:
    return [member.state for member in voice.report().members]


def test_a_provider_is_probed_ever_less_often_until_it_is_back() -> None:
    async def main() -> None:
        loop, at = asyncio.get_running_loop(), list[float]()
        first = Service("a", (bad_key(),), (sound(10),), probes=())

        async def probe() -> None:
            at.append(loop.time())
            if len(at) < 7:
                raise bad_key()

        voice = FallbackTextToSpeech(
            [Member[TextToSpeech](first, probe=probe), Member[TextToSpeech](Service("b", (sound(1),)))]
        )
        await voice.start()
        assert await say(voice) == [1]
        await asyncio.sleep(254.0)
        assert await say(voice) == [1]
        await asyncio.sleep(2.0)
        assert at == [5.0, 15.0, 35.0, 75.0, 135.0, 195.0, 255.0]
        assert await say(voice) == [10]
        await asyncio.sleep(600.0)
        assert len(at) == 7
        await voice.close()

    virtual_time.run(main())


def test_a_probe_that_proves_too_little_is_believed_ever_less_often() -> None:
    async def main() -> None:
        first, second = Service("a", (bad_key(),), probes=()), Service("b", (sound(1),))
        voice = FallbackTextToSpeech([Member[TextToSpeech](first), Member[TextToSpeech](second)])
        await voice.start()
        for _ in range(300):
            assert await say(voice) == [1]
            await asyncio.sleep(1.0)
        # Asked again after 5, 10, 20, 40, 60, 60 … seconds, not after every 5.
        assert first.n_requests == 8
        await voice.close()

    virtual_time.run(main())


@pytest.mark.parametrize("trouble", [HANGS, crash(), KeyError("a bug")], ids=repr)
def test_a_probe_that_fails_in_any_way_is_repeated(
    trouble: Exception | float, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        first = Service("a", (bad_key(),), (sound(10),), probes=(trouble,))
        voice = FallbackTextToSpeech(
            [Member[TextToSpeech](first), Member[TextToSpeech](Service("b", (sound(1),)))]
        )
        await voice.start()
        await say(voice)
        await asyncio.sleep(21.0)
        assert (states(voice), first.n_probes) == (["closed", "closed"], 2)
        assert await say(voice) == [10]
        await voice.close()

    caplog.set_level(logging.ERROR, logger="voicertc")
    virtual_time.run(main())
    told = [record.message for record in caplog.records]
    assert told == ["provider_failed", *["provider_probe_broken"] * isinstance(trouble, KeyError)]


def test_a_provider_that_came_back_by_itself_is_probed_no_more() -> None:
    async def main() -> None:
        scripts = [(crash(),)] * 3
        first = Service("a", *scripts, (sound(10),), probes=[crash()] * 99)
        voice = FallbackTextToSpeech(
            [Member[TextToSpeech](first), Member[TextToSpeech](Service("b", (sound(1),)))]
        )
        await voice.start()
        for _ in range(3):
            await say(voice)
        await asyncio.sleep(31.0)
        assert await say(voice) == [10]
        n_probes = first.n_probes
        await asyncio.sleep(600.0)
        assert first.n_probes == n_probes
        await voice.close()

    virtual_time.run(main())


def test_probes_end_with_the_chain() -> None:
    async def main() -> None:
        first = Service("a", (bad_key(),), probes=[HANGS])
        voice = FallbackTextToSpeech(
            [Member[TextToSpeech](first), Member[TextToSpeech](Service("b", (sound(1),)))]
        )
        await voice.start()
        await say(voice)
        await asyncio.sleep(6.0)
        assert first.n_probes == 1
        await voice.close()
        await say(voice)
        assert [task.get_name() for task in asyncio.all_tasks() if "probe" in task.get_name()] == []

    virtual_time.run(main())


def test_after_the_end_nothing_is_probed_any_more() -> None:
    async def main() -> None:
        first, second = Service("a", (bad_key(),), probes=()), Service("b", (sound(1),))
        voice = FallbackTextToSpeech([Member[TextToSpeech](first), Member[TextToSpeech](second)])
        await voice.start()
        await voice.close()
        assert await say(voice) == [1]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(main())


LEFT_ALONE = {
    "no credit": NoCredit("a has no credit", provider="a", fix="Pay."),
    "not known": Refused("a does not know that", provider="a", fix="Check the model."),
    "not reached": ProviderUnavailable("a is nowhere", provider="a", fix="Check the address."),
}
UNDESCRIBED = NotDescribed("a describes no models", provider="a")


@pytest.mark.parametrize(
    ("failure", "told", "is_asked_again_after"),
    [
        ("no credit", None, 300.0),  # a model is described also to who has not paid
        ("not known", UNDESCRIBED, 300.0),  # that it is not known is just what was the matter
        ("not known", None, 5.0),
        ("not reached", UNDESCRIBED, 5.0),
    ],
)
def test_a_probe_is_believed_only_what_it_can_know(
    failure: str, told: Exception | None, is_asked_again_after: float
) -> None:
    async def main() -> None:
        first = Service("a", (LEFT_ALONE[failure],), probes=[told] * 99)
        voice = FallbackTextToSpeech(
            [Member[TextToSpeech](first), Member[TextToSpeech](Service("b", (sound(1),)))]
        )
        await voice.start()
        await say(voice)
        await asyncio.sleep(is_asked_again_after - 0.1)
        await say(voice)
        assert first.n_requests == 1
        await asyncio.sleep(0.2)
        await say(voice)
        assert first.n_requests == 2
        await voice.close()

    virtual_time.run(main())


def test_only_a_request_that_succeeds_is_a_recovery(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        first = Service("a", (bad_key(),), (bad_key(),), (sound(10),), probes=[None] * 99)
        voice = FallbackTextToSpeech(
            [Member[TextToSpeech](first), Member[TextToSpeech](Service("b", (sound(1),)))]
        )
        await voice.start()
        for _ in range(3):
            await say(voice)
            await asyncio.sleep(15.0)
        await voice.close()

    caplog.set_level(logging.INFO, logger="voicertc")
    virtual_time.run(main())
    assert [record.message for record in caplog.records] == [
        *["provider_failed", "provider_on_probation"] * 2,
        "provider_recovered",
    ]


@pytest.mark.parametrize(
    ("trouble", "lines", "state"),
    [
        (None, [], "closed"),
        (bad_key("a"), ["provider_failed"], "open"),
        (crash("a"), ["provider_failed"], "closed"),  # it may pass by itself
        (HANGS, ["provider_failed"], "closed"),
        (UNDESCRIBED, ["provider_not_described"], "closed"),
        (KeyError("a bug"), ["provider_probe_broken"], "closed"),
    ],
    ids=repr,
)
def test_at_the_start_what_a_probe_finds_is_told_and_noted(
    trouble: Exception | float | None, lines: list[str], state: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        first = Service("a", (sound(10),), probes=[trouble])
        voice = FallbackTextToSpeech(
            [Member[TextToSpeech](first), Member[TextToSpeech](Service("b", (sound(1),)))]
        )
        await voice.start()
        voice.chain.look()
        assert first.n_probes == 0  # nobody waits for it
        await asyncio.sleep(5.5 if trouble == HANGS else 1.0)
        assert (states(voice), first.n_probes) == ([state, "closed"], 1)
        assert await say(voice) == [1 if state == "open" else 10]
        await voice.close()

    caplog.set_level(logging.INFO, logger="voicertc")
    virtual_time.run(main())
    assert [record.message for record in caplog.records if record.message != "provider_skipped"] == lines


def test_what_a_request_has_found_meanwhile_is_not_told_twice(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        first = Service("a", (bad_key(),))

        async def probe() -> None:
            await asyncio.sleep(1.0)
            raise bad_key()

        voice = FallbackTextToSpeech(
            [Member[TextToSpeech](first, probe=probe), Member[TextToSpeech](Service("b", (sound(1),)))]
        )
        await voice.start()
        voice.chain.look()
        await asyncio.sleep(0.5)
        await say(voice)
        voice.chain.look()
        await asyncio.sleep(1.0)
        await voice.close()

    caplog.set_level(logging.INFO, logger="voicertc")
    virtual_time.run(main())
    assert [record.message for record in caplog.records] == ["provider_failed"]

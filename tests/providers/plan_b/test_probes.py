from __future__ import annotations

import asyncio
import logging

import pytest

from voicertc.providers.base import TextToSpeech
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

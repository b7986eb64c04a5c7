"""An address from which nothing comes is learnt once, for all engines that are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from voicertc.errors import ProviderTimeout
from voicertc.providers.base import TextToSpeech
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_client import OpenAIClient
from voicertc.providers.openai_live import OpenAILiveOptions, OpenAILiveSpeechToText
from voicertc.providers.openai_socket import SocketTimes
from voicertc.providers.plan_b.address import Address
from voicertc.providers.plan_b.member import Member
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.testing import virtual_time
from voicertc.testing.fake_openai import FakeOpenAI, Scenario
from voicertc.testing.openai_realtime_scenario import RealtimeScenario

from ..openai_stages import LIMIT, client_of
from ..realtime_sockets import access_of
from .services import HANGS, Script, Service, sound
from .test_tts import say


def now() -> float:
    return asyncio.get_running_loop().time()


class Server:
    """Where several services are; ``answers``: seconds after which a probe brings something."""

    def __init__(self, answers: float = HANGS) -> None:
        self.address, self.answers, self.n_probes = Address(), answers, 0

    async def probe(self) -> None:
        self.n_probes += 1
        if self.answers == HANGS:
            await asyncio.Event().wait()
        await asyncio.sleep(self.answers)
        self.address.heard(now())

    def voice(self, *services: Service) -> FallbackTextToSpeech:
        """A voice of ``services`` that are here, with one behind them that is on this machine."""
        members = [Member[TextToSpeech](each, probe=self.probe, address=self.address) for each in services]
        return FallbackTextToSpeech([*members, Member[TextToSpeech](Service("local", (sound(1),)))])


SILENT: Script = (HANGS,)


def test_who_is_at_a_silent_address_is_given_up_early_and_then_passed_by() -> None:
    async def main() -> None:
        server = Server()
        first, second = Service("a", SILENT), Service("b", SILENT)
        voice, other = server.voice(first, second), server.voice(third := Service("c", SILENT))
        assert await say(voice) == [1]
        # 1.2 s for the first, and for the second only until the verdict.
        assert now() == pytest.approx(1.7)
        begun = now()
        for _ in range(5):
            assert await say(voice) == [1]
            assert await say(other) == [1]  # another stage knows it, too
        assert now() == begun
        assert (first.n_requests, second.n_requests, third.n_requests) == (1, 1, 0)
        await asyncio.sleep(60.0)
        assert server.n_probes > 5  # by one of them, all the while
        await voice.close()
        await other.close()

    virtual_time.run(main())


def test_an_address_that_is_heard_of_again_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Server()
        first = Service("a", SILENT, (sound(10),))
        voice = server.voice(first)
        assert await say(voice) == [1]
        await asyncio.sleep(1.0)
        assert await say(voice) == [1]
        server.answers = 0.1
        await asyncio.sleep(12.0)
        assert await say(voice) == [10]
        n_probes = server.n_probes
        await asyncio.sleep(60.0)
        assert server.n_probes == n_probes
        await voice.close()

    caplog.set_level(logging.INFO, logger="voicertc")
    virtual_time.run(main())
    assert [record.message for record in caplog.records] == [
        "provider_failed",
        "provider_skipped",
        "address_silent",
        "address_heard_again",
    ]


def test_a_slow_engine_of_a_server_that_answers_is_no_silent_address() -> None:
    async def main() -> None:
        server = Server(answers=0.3)
        first, second = Service("a", SILENT), Service("b", (0.9, sound(20)))
        voice = server.voice(first, second)
        assert await say(voice) == [20]
        assert now() == pytest.approx(2.1)
        assert await say(voice) == [20]
        assert (first.n_requests, server.n_probes) == (2, 2)
        await voice.close()

    virtual_time.run(main())


def test_where_nobody_else_is_a_silent_address_is_asked_all_the_same() -> None:
    async def main() -> None:
        server = Server()
        first = Service("a", (ProviderTimeout("a is silent", provider="a"),), (sound(10),))
        member = Member[TextToSpeech](first, probe=server.probe, address=server.address)
        voice = FallbackTextToSpeech([member])
        with pytest.raises(ProviderTimeout):
            await say(voice)
        await asyncio.sleep(1.0)
        assert server.address.is_silent
        assert await say(voice) == [10]
        await voice.close()

    virtual_time.run(main())


def test_when_nobody_probes_it_any_more_nobody_calls_it_silent() -> None:
    async def main() -> None:
        server = Server()
        voice = server.voice(Service("a", SILENT))
        await say(voice)
        await asyncio.sleep(1.0)
        assert server.address.is_silent
        await voice.close()
        await asyncio.sleep(0)
        assert (server.address.is_silent, server.address.is_watched) == (False, False)

    virtual_time.run(main())


@asynccontextmanager
async def black_hole() -> AsyncGenerator[str, None]:
    """A server that takes connections and never says anything; gives its base URL."""

    writers = list[asyncio.StreamWriter]()
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def test_both_ways_to_ask_say_what_was_heard() -> None:
    async with FakeOpenAI(Scenario()) as fake:
        client = client_of(fake)
        client.acquire("openai-chat")
        await client.probe("gpt-6-luna", "openai-chat")
        assert client.options.address.heard_at > 0
        await client.release()
        ears = OpenAILiveSpeechToText(OpenAILiveOptions(), access_of(fake))
        await ears.start()
        await ears.probe()
        assert ears.address.heard_at > 0
        await ears.close()


async def test_a_socket_that_is_opened_and_never_set_up_was_heard_of() -> None:
    async with FakeOpenAI(Scenario(realtime=RealtimeScenario(update_delay=LIMIT))) as fake:
        options = OpenAILiveOptions(times=SocketTimes(ready=0.1))
        ears = OpenAILiveSpeechToText(options, access_of(fake))
        await ears.start()
        with pytest.raises(ProviderTimeout):
            await ears.probe()
        assert ears.address.heard_at > 0
        await ears.close()


async def test_nothing_is_heard_of_a_black_hole() -> None:
    async with black_hole() as base_url:
        client = OpenAIClient(OpenAIOptions(base_url=base_url))
        client.acquire("openai-chat")
        begun = now()
        async with asyncio.timeout(LIMIT):
            with pytest.raises(ProviderTimeout):
                await client.probe("m", "openai-chat", timeout=0.1)
        client.options.address.judge(begun)
        assert client.options.address.is_silent
        await client.release()

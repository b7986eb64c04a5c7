"""From the settings to started providers, in the order in which they stand in for each other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from voicertc.errors import ProviderUnavailable
from voicertc.providers.base import RecognitionRequest
from voicertc.providers.plan_b.stt import FallbackSpeechToText
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.services import Services, ServiceSet
from voicertc.settings import Settings
from voicertc.testing import virtual_time
from voicertc.testing.contracts.sounds import audio, hear
from voicertc.testing.contracts.text_to_speech import speak, total
from voicertc.testing.fakes import ScriptedAgent

ELSEWHERE = "http://127.0.0.1:9/v1"
TODAY = date(2026, 11, 28)

THIRD_PARTY = """
import asyncio
import numpy as np
from voicertc.providers.base import EachTurn, Final, SpeechChunk

class Bells:
    name = "bells"
    fails_to_start = False

    def __init__(self, context):
        self.context = context

    async def start(self):
        if self.fails_to_start:
            raise OSError("the bells are in the cellar, with sk-planted-in-the-cellar")

    async def close(self):
        if self.fails_to_start:
            raise OSError("still in the cellar")

    async def synthesize(self, text, request):
        yield SpeechChunk(np.full(2400, 9000, np.int16))

class Cellar(Bells):
    name = "cellar"
    fails_to_start = True

class Stuck(Bells):
    name = "stuck"

    async def start(self):
        await asyncio.Event().wait()

    async def close(self):
        await asyncio.Event().wait()

class Slow(Bells):
    name = "slow"

    async def start(self):
        await asyncio.sleep(29.0)

class Late(Bells):
    name = "late"

    async def start(self):
        raise TimeoutError

class Ears:
    name = "ears"

    def __init__(self, context): ...
    async def start(self): ...
    async def close(self): ...

    def attend(self, request):
        return EachTurn(self.recognize)

    async def recognize(self, audio, request):
        async for _ in audio: ...
        yield Final("ding dong")

def raises(context):
    raise RuntimeError("out of bells")

def returns_something(context):
    return object()
"""

POINTS = """
[voicertc.tts]
bells = third_party:Bells
cellar = third_party:Cellar
late = third_party:Late
slow = third_party:Slow
stuck = third_party:Stuck
raises = third_party:raises
something = third_party:returns_something
gone = third_party:Nobody
nowhere = no_such_module_here:Voice
[voicertc.stt]
ears = third_party:Ears
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "third_party-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "third_party.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "third_party", raising=False)


class Started:
    """Services of settings, with an agent that costs nothing unless the settings name one."""

    def __init__(self, *, agent: bool = True, today: date = TODAY, **environ: str) -> None:
        settings = Settings.load(environ={name.upper(): value for name, value in environ.items()})
        self.set = ServiceSet(settings, ScriptedAgent(lambda text: text) if agent else None, today=today)

    async def __aenter__(self) -> Services:
        return await self.set.start()

    async def __aexit__(self, *_: object) -> None:
        await self.set.close()

    @property
    def lines(self) -> dict[str, str]:
        return {line.stage: line.text for line in self.set.lines}


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    return [record.voicertc_fields for record in caplog.records if record.message == name]  # type: ignore[attr-defined]


async def test_a_compatible_server_serves_all_three_and_the_order_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started = Started(
        agent=False,
        openai_base_url=ELSEWHERE,
        voicertc_stt="openai",
        voicertc_llm="openai,offline",
        voicertc_llm__model="llama3.3",
        voicertc_tts="openai-speech",
    )
    async with started as services:
        assert started.lines == {
            "hearing": f"openai-file gpt-transcribe at {ELSEWHERE}",
            "thinking": f"openai-chat llama3.3 at {ELSEWHERE}, then offline (on this machine)",
            "speaking": f"openai-speech gpt-4o-mini-tts at {ELSEWHERE}",
        }
        assert isinstance(services.recognizer, FallbackSpeechToText)
        assert isinstance(services.voice, FallbackTextToSpeech)
    assert logged(caplog, "model_shutdown") == []  # it is not OpenAI that ends it there


async def test_user_and_password_of_a_base_url_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    started = Started(
        agent=False, openai_base_url="http://me:sk-planted@127.0.0.1:9/v1", voicertc_tts="openai-speech"
    )
    async with started:
        assert started.lines["speaking"] == "openai-speech gpt-4o-mini-tts at http://***@127.0.0.1:9/v1"
        assert "planted" not in f"{started.lines} {caplog.text}"


async def test_at_openai_the_defaults_outlive_what_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    started = Started(agent=False, openai_api_key="sk-x", voicertc_tts="openai")
    async with started:
        assert started.lines == {
            "hearing": "openai-live gpt-live-transcribe, then openai-file gpt-transcribe",
            "thinking": "openai-responses gpt-6-luna",
            "speaking": "openai-reader gpt-realtime-2.1-mini",
        }
    assert logged(caplog, "model_shutdown") == []


async def test_every_model_that_ends_is_warned_of_also_one_that_stands_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started = Started(
        agent=False,
        openai_api_key="sk-x",
        voicertc_stt="openai-file",
        voicertc_stt__model="whisper-1",
        voicertc_llm__model="gpt-4o-mini",
        voicertc_tts="openai-reader,openai-speech",
        voicertc_tts__model="gpt-realtime-mini",
    )
    async with started:
        assert started.lines["hearing"] == ("openai-file whisper-1 (OpenAI ends it on 2027-02-26)")
    told = logged(caplog, "model_shutdown")
    assert sorted((each["stage"], each["provider"], each["model"], each["ends"]) for each in told) == [
        ("llm", "openai-responses", "gpt-4o-mini", "2027-01-14"),
        ("stt", "openai-file", "whisper-1", "2027-02-26"),
        ("tts", "openai-reader", "gpt-realtime-mini", "2027-01-20"),
        ("tts", "openai-speech", "gpt-4o-mini-tts", "2027-01-06"),
    ]


@pytest.mark.parametrize(
    ("today", "said"), [(date(2027, 2, 25), "ends it on"), (date(2027, 2, 26), "ended it on")]
)
async def test_a_model_that_has_ended_is_told_from_one_that_will(today: date, said: str) -> None:
    choice = {"voicertc_stt": "openai-file", "voicertc_stt__model": "whisper-1", "voicertc_tts": "espeak"}
    started = Started(today=today, openai_api_key="sk-x", **choice)
    async with started:
        assert started.lines["hearing"] == f"openai-file whisper-1 (OpenAI {said} 2027-02-26)"


async def test_what_the_operator_chose_reaches_the_engines() -> None:
    started = Started(
        agent=False,
        openai_base_url=ELSEWHERE,
        voicertc_stt="openai-file",
        voicertc_stt__first_timeout="0.7",
        voicertc_limits__max_turn="20",
        voicertc_limits__max_requests="3",
        voicertc_llm__temperature="0.5",
        voicertc_llm__max_output_tokens="99",
        voicertc_tts="openai-speech",
        voicertc_tts__rate_hz="22050",
    )
    async with started as services:
        ears, voice = services.recognizer, services.voice
        assert isinstance(ears, FallbackSpeechToText)
        assert isinstance(voice, FallbackTextToSpeech)
        assert (ears.first_timeout, ears.max_turn) == (0.7, 20.0)
        (hearing,), (thinking,), (speaking,) = (
            each.chain.members
            for each in (ears, services.agent, voice)  # type: ignore[attr-defined]
        )
        assert {each.gate.options.most for each in (hearing, thinking, speaking)} == {3}
        assert None not in (hearing.probe, thinking.probe, speaking.probe)
        client = hearing.provider.client
        limits = [
            client.rate_limits(name) for name in ("audio/transcriptions", "chat/completions", "audio/speech")
        ]
        assert [each.rate_limits for each in (hearing, thinking, speaking)] == limits
        options = thinking.provider._llm.options
        assert (options.temperature, options.max_output_tokens) == (0.5, 99)
        assert speaking.provider.options.rate_hz == 22_050


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize(("cache", "is_kept"), [("true", True), ("false", False)])
async def test_what_was_spoken_is_kept_unless_it_is_private(cache: str, is_kept: bool) -> None:
    async with Started(voicertc_stt="ears", voicertc_tts="bells", voicertc_tts__cache=cache) as services:
        assert (services.clauses is not None) == is_kept


@pytest.mark.usefixtures("third_party")
class TestInstalledProviders:
    async def test_stand_beside_those_that_come_along(self) -> None:
        started = Started(openai_base_url=ELSEWHERE, voicertc_stt="ears", voicertc_tts="bells,openai-speech")
        async with started as services:
            assert started.lines["hearing"] == "ears (third-party 2.5)"
            assert started.lines["speaking"] == (
                f"bells (third-party 2.5), then openai-speech gpt-4o-mini-tts at {ELSEWHERE}"
            )
            heard = await hear(services.recognizer, audio(np.ones(1600, np.int16)), RecognitionRequest())
            assert heard[-1].text == "ding dong"  # type: ignore[union-attr]
            assert total(await speak(services.voice, "Hello.")) == 2_400

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("raises", "third_party:raises of third-party 2.5 cannot be made (RuntimeError)"),
            ("gone", "third_party:Nobody of third-party 2.5 cannot be made (AttributeError)"),
            ("nowhere", "no_such_module_here:Voice of third-party 2.5 cannot be made (ModuleNotFoundError)"),
            (
                "something",
                "third_party:returns_something of third-party 2.5 is no provider: "
                "it has no name, start, close, synthesize",
            ),
            ("cellar", "third_party:Cellar of third-party 2.5 cannot be started (OSError)"),
            ("late", "third_party:Late of third-party 2.5 cannot be started (TimeoutError)"),
        ],
    )
    async def test_one_that_is_broken_is_left_out_by_name(
        self, name: str, reason: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        started = Started(voicertc_stt="ears", voicertc_tts=f"{name},bells")
        async with started as services:
            assert started.lines["speaking"] == (
                f"{name}{' (third-party 2.5)' if name in ('cellar', 'late') else ''} "
                "(not available; the log says why), then bells (third-party 2.5)"
            )
            assert total(await speak(services.voice, "Hello.")) == 2_400
        (told,) = logged(caplog, "provider_left_out")
        assert (told["provider"], told["reason"]) == (name, reason)
        details = "" if name == "something" else "; the log has the details"
        assert told["fix"] == f"Upgrade or remove third-party 2.5{details}."

    def test_one_that_hangs_is_waited_for_half_a_minute_with_a_line_then_left_out(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            started = Started(voicertc_stt="ears", voicertc_tts="stuck,bells")
            async with started as services:
                assert asyncio.get_running_loop().time() == 35.0  # 30 to start, and 5 to close
                assert started.lines["speaking"] == (
                    "stuck (third-party 2.5) (not available; the log says why), then bells (third-party 2.5)"
                )
                assert total(await speak(services.voice, "Hello.")) == 2_400

        virtual_time.run(main())
        assert logged(caplog, "provider_waited_for") == [
            {"provider": "stuck", "package": "third-party 2.5", "seconds": 5.0, "at_most": 30.0}
        ]
        (told,) = logged(caplog, "provider_left_out")
        assert told["reason"] == "third_party:Stuck of third-party 2.5 has not started within 30 s"
        assert told["fix"] == "Upgrade or remove third-party 2.5."

    def test_one_that_takes_its_time_to_start_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            started = Started(voicertc_stt="ears", voicertc_tts="slow")
            async with started:
                assert started.lines["speaking"] == "slow (third-party 2.5)"

        virtual_time.run(main())
        assert len(logged(caplog, "provider_waited_for")) == 1

    async def test_alone_and_broken_it_says_so_when_it_is_used(self) -> None:
        started = Started(voicertc_stt="ears", voicertc_tts="cellar")
        async with started as services:
            assert started.lines["speaking"] == (
                "cellar NOT AVAILABLE: third_party:Cellar of third-party 2.5 cannot be started (OSError). "
                "Upgrade or remove third-party 2.5; the log has the details."
            )
            with pytest.raises(ProviderUnavailable) as caught:
                await speak(services.voice, "Hello.")
            assert "planted" not in f"{caught.value!r} {started.lines}"
            assert (await hear(services.recognizer, nothing(), RecognitionRequest()))[-1]


async def nothing() -> AsyncGenerator[object, None]:
    for frame in ():
        yield frame

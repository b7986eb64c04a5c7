"""The speech-to-speech service, chosen by the settings alone."""

from __future__ import annotations

from datetime import date

import pytest

from voicertc.services import Services, ServiceSet
from voicertc.settings import Settings
from voicertc.testing.fake_openai import FakeOpenAI, Scenario
from voicertc.testing.fakes import ScriptedAgent

NAME = "openai-realtime"
ELSEWHERE = "http://127.0.0.1:9/v1"


async def services_of(**environ: str) -> tuple[Services, dict[str, str]]:
    """Services of settings, closed again, and their lines."""
    settings = Settings.load(environ={name.upper(): value for name, value in environ.items()})
    made = ServiceSet(settings, ScriptedAgent(lambda text: text), today=date(2026, 11, 28))
    try:
        services = await made.start()
    finally:
        await made.close()
    return services, {line.stage: line.text for line in made.lines}


async def test_a_key_for_openai_lets_clients_choose_it() -> None:
    services, lines = await services_of(openai_api_key="sk-x")
    assert set(services.speech) == {NAME}
    assert "answering" not in lines


@pytest.mark.parametrize("access", [{}, {"openai_base_url": ELSEWHERE}], ids=["no key", "elsewhere"])
async def test_without_one_there_is_only_the_cascade(access: dict[str, str]) -> None:
    services, lines = await services_of(**access)
    assert services.speech == {}
    assert "answering" not in lines


async def test_the_operator_chooses_it_also_elsewhere_with_a_model() -> None:
    async with FakeOpenAI(Scenario()) as fake:
        access = {"openai_base_url": fake.base_url, "openai_api_key": str(fake.scenario.api_key)}
        choice = {"voicertc_agent__engine": NAME, "voicertc_agent__model": "gpt-realtime-2.1-mini"}
        services, lines = await services_of(**access, **choice)
        assert services.speech[NAME].model == "gpt-realtime-2.1-mini"  # type: ignore[attr-defined]
        assert lines["answering"] == (
            f"openai-realtime gpt-realtime-2.1-mini at {fake.base_url}; the cascade stands in:"
        )


async def test_chosen_without_a_key_it_is_missed_and_the_cascade_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    services, lines = await services_of(voicertc_agent__engine=NAME)
    assert services.speech == {}
    assert lines["answering"].startswith("openai-realtime NOT AVAILABLE: OpenAI needs an API key.")
    (told,) = [record for record in caplog.records if record.message == "provider_unavailable"]
    assert told.voicertc_fields == {  # type: ignore[attr-defined]
        "stage": "speech",
        "provider": NAME,
        "reason": "OpenAI needs an API key",
        "fix": "Set OPENAI_API_KEY, or OPENAI_BASE_URL to a compatible server that needs none.",
    }


async def test_a_model_about_to_end_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    await services_of(openai_api_key="sk-x", voicertc_agent__model="gpt-realtime")
    told = [record for record in caplog.records if record.message == "model_shutdown"]
    assert [record.voicertc_fields["model"] for record in told] == ["gpt-realtime"]  # type: ignore[attr-defined]


def test_what_a_session_begins_with_is_the_operators_choice() -> None:
    settings = Settings.load(environ={}, flags={"agent.engine": NAME})
    assert settings.session_options().engine == NAME
    assert Settings().session_options().engine == "cascade"

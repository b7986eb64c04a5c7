from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import openai
import pytest

from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_client import OpenAIClient
from voicertc.providers.openai_models import SHUTDOWNS, shutdown_notice
from voicertc.providers.openai_stage import OpenAIStage
from voicertc.providers.openai_stt import OpenAISpeechToTextOptions
from voicertc.providers.openai_tts import OpenAITextToSpeechOptions
from voicertc.providers.secret import Secret


def test_a_model_that_ends_is_announced() -> None:
    assert shutdown_notice("whisper-1", date(2026, 11, 20)) == (
        "OpenAI will shut down whisper-1 on 2027-02-26: choose another model in the settings."
    )


def test_a_model_that_has_ended_is_told_so() -> None:
    assert shutdown_notice("gpt-4o-mini-tts", date(2027, 1, 6)) == (
        "OpenAI shut down gpt-4o-mini-tts on 2027-01-06: choose another model in the settings."
    )


@pytest.mark.parametrize("model", ["gpt-6-luna", "gpt-transcribe", "llama3.3"])
def test_a_model_that_stays_is_not_mentioned(model: str) -> None:
    assert shutdown_notice(model, date(2026, 11, 20)) is None


def test_the_defaults_are_announced_but_for_the_one_without_a_successor() -> None:
    today = date(2026, 11, 20)
    assert shutdown_notice(OpenAISpeechToTextOptions().model, today) is None
    assert shutdown_notice(OpenAITextToSpeechOptions().model, today) is not None


@pytest.mark.parametrize(
    "module",
    [
        "shared/chat_model.py",
        "audio/speech_model.py",
        "realtime/realtime_session_create_request.py",
        "realtime/audio_transcription.py",
    ],
)
def test_every_end_that_the_sdk_announces_is_known(module: str) -> None:
    """A newer SDK may announce more: then the table is out of date."""
    text = (Path(openai.__file__).parent / "types" / module).read_text(encoding="utf-8")
    words = " ".join(text.split())
    announced = {
        name: date.fromisoformat(day)
        for names, day in re.findall(r'- ("[^:]*"): Announced shutdown date: ([\d-]{10})', words)
        for name in re.findall(r'"([^"]+)"', names)
    }
    assert announced
    assert {
        name: day for name, day in announced.items() if day >= date(2026, 5, 1)
    }.items() <= SHUTDOWNS.items()


def test_another_servers_model_of_the_same_name_does_not_end() -> None:
    today = date(2026, 11, 20)
    here = OpenAIStage(OpenAIClient(OpenAIOptions(base_url="http://127.0.0.1:1/v1")), "whisper-1")
    there = OpenAIStage(OpenAIClient(OpenAIOptions(api_key=Secret("sk-x"))), "whisper-1")
    assert here.shutdown_notice(today) is None
    assert there.shutdown_notice(today) == shutdown_notice("whisper-1", today)

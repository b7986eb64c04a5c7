from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import openai
import pytest

from voicertc.providers.openai_models import SHUTDOWNS
from voicertc.providers.openai_stt import OpenAISpeechToTextOptions
from voicertc.providers.openai_tts import OpenAITextToSpeechOptions


@pytest.mark.parametrize("model", ["gpt-6-luna", "gpt-transcribe", "llama3.3"])
def test_a_model_that_stays_has_no_day(model: str) -> None:
    assert model not in SHUTDOWNS


def test_the_defaults_stay_but_for_the_one_without_a_successor() -> None:
    assert OpenAISpeechToTextOptions().model not in SHUTDOWNS
    assert SHUTDOWNS[OpenAITextToSpeechOptions().model] == date(2027, 1, 6)


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

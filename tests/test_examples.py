"""The examples, used as somebody would use them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from voicertc.agents.base import as_agent
from voicertc.providers.base import VoiceRequest
from voicertc.services import Service, ServiceSet
from voicertc.settings import Settings
from voicertc.testing.contracts.text_to_speech import speak
from voicertc.testing.fakes import ScriptedAgent

PACKAGE = Path(__file__).resolve().parent.parent / "examples" / "provider_package"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example as pip would install it: its module, and what its pyproject says of it."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / f"voicertc_tones-{project['version']}.dist-info"
    info.mkdir()
    named = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{named}")
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items())
        for group, names in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "tone_voice.py").symlink_to(PACKAGE / "tone_voice.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("tone_voice", None)


def test_a_provider_package_passes_its_contract() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.usefixtures("installed")
async def test_a_provider_package_is_chosen_by_its_name() -> None:
    settings = Settings.load(environ={"VOICERTC_TTS": "tones", "VOICERTC_STT": "openai-file"})
    services = ServiceSet(settings, as_agent(ScriptedAgent(lambda text: text)))
    try:
        voice = (await services.start()).voice
        assert services.lines[2] == Service("speaking", "tones (voicertc-tones 1.0)")
        chunks = await speak(voice, "Two words.", VoiceRequest(speed=1.5))
        assert [mark.text_start for chunk in chunks for mark in chunk.marks] == [0, 4]
        assert np.abs(chunks[0].samples.astype(int)).max() > 5_000
        assert chunks[-1].used is not None
        assert chunks[-1].used.provider == voice.name == "tones"
    finally:
        await services.close()

"""The examples, used as somebody would use them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from voicertc.providers.base import RecognitionRequest, VoiceRequest
from voicertc.services import Service, ServiceSet
from voicertc.settings import Settings
from voicertc.testing.contracts.sounds import audio, hear
from voicertc.testing.contracts.text_to_speech import speak
from voicertc.testing.contracts.turns import final_of

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "examples" / "provider_package"
MODULES = ("loudness_ear", "parrot_model", "tone_voice")


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
    for module in MODULES:
        (tmp_path / f"{module}.py").symlink_to(PACKAGE / f"{module}.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for module in MODULES:
        sys.modules.pop(module, None)


def test_the_code_of_the_guide_is_that_of_the_package() -> None:
    guide = (REPOSITORY / "docs" / "providers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", guide, re.DOTALL)
    files = [path.read_text(encoding="utf-8") for path in PACKAGE.iterdir() if path.is_file()]
    assert len(blocks) == 4
    for block in blocks:
        assert any(block in text for text in files), block


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
async def test_a_provider_package_is_chosen_by_its_names() -> None:
    names = {"VOICERTC_STT": "loudness", "VOICERTC_LLM": "parrot", "VOICERTC_TTS": "tones"}
    services = ServiceSet(Settings.load(environ=names))
    try:
        started = await services.start()
        assert services.lines == (
            Service("hearing", "loudness (voicertc-tones 1.0)"),
            Service("thinking", "parrot (voicertc-tones 1.0)"),
            Service("speaking", "tones (voicertc-tones 1.0)"),
        )
        voice = started.voice
        chunks = await speak(voice, "Two words.", VoiceRequest(speed=1.5))
        assert [mark.text_start for chunk in chunks for mark in chunk.marks] == [0, 4]
        assert np.abs(chunks[0].samples.astype(int)).max() > 5_000
        assert chunks[-1].used is not None
        assert chunks[-1].used.provider == voice.name == "tones"
        heard = await hear(started.recognizer, audio(np.full(16_000, 5_000, np.int16)), RecognitionRequest())
        assert final_of(heard).text == "That was loud."
    finally:
        await services.close()

"""The clients that run in Node: ``node --test`` on each file, against the server that all tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from voicertc.audio.pcm import Samples

from .server import Server
from .speech import CLIPS

pytestmark = pytest.mark.network

HERE = Path(__file__).parent
TIME_LIMIT = 80
"""Seconds for one file."""


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_in_node(
    file: str, node: None, server: Server, speech: Callable[[str], Samples], tmp_path: Path
) -> None:
    for words in CLIPS:
        (tmp_path / f"{words}.pcm").write_bytes(speech(words).astype("<i2").tobytes())
    environment = {
        **os.environ,
        "SERVER": server.plain,
        "SECURE": server.secure,
        "SPEECH": str(tmp_path),
        "NODE_EXTRA_CA_CERTS": str(server.certificate),
        "OPENAI_AGENTS_DISABLE_TRACING": "1",  # it would be sent to OpenAI
    }
    command = ["node", "--test", "--test-reporter=spec", "--test-timeout=30000", HERE / file]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"

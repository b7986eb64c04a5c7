from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from voicertc.agents.base import Agent
from voicertc.audio.pcm import Samples
from voicertc.core.options import ConversationOptions, Phrases
from voicertc.providers.base import Final
from voicertc.providers.phrasebook import Phrasebook
from voicertc.session.session import Session
from voicertc.session.setup import Services, SessionSetup
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector, ScriptedAgent
from voicertc.testing.line import Line

QUIET = SessionSetup(conversation=ConversationOptions(phrases=Phrases(greeting=None, waiting=None)))


class Stage:
    """A session with fakes around it, and a simulated caller. Made inside a running loop."""

    def __init__(
        self,
        script: Iterable[str | Final | Exception] = (),
        answer: Callable[[str], str | Exception] = lambda text: f"You said {text}.",
        *,
        setup: SessionSetup = QUIET,
        voice: FakeVoice | None = None,
        recognizer: FakeRecognizer | None = None,
        agent: Agent | None = None,
        hearing_delay: float = 0.0,
        sink: Callable[[str, Samples], None] | None = None,
        phrasebook: Phrasebook | None = None,
        clauses: Phrasebook | None = None,
    ) -> None:
        self.recognizer = recognizer or FakeRecognizer(script)
        self.agent = agent or ScriptedAgent(answer)
        self.voice = voice or FakeVoice()
        services = Services(
            self.recognizer, self.agent, self.voice, LoudnessDetector(), phrasebook or Phrasebook(), clauses
        )
        self.session = Session(
            services, setup, session_id="sess_test", id_prefix="", hearing_delay=hearing_delay, sink=sink
        )
        self.line = Line(self.session)

    @property
    def is_clean(self) -> bool:
        """Whether nothing of the session is at work any more."""
        return self.recognizer.n_open == 0 and self.voice.n_open == 0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

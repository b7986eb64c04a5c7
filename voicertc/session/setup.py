"""What a session is made of: the services of the process, and the operator's choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..agents.base import Agent
from ..audio.sounds import SoundSet
from ..core.options import ConversationOptions, SessionOptions
from ..providers.base import SpeechDetector, SpeechToSpeech, SpeechToText, TextToSpeech
from ..providers.phrasebook import Phrasebook


@dataclass(frozen=True, slots=True)
class Services:
    """What all sessions of a process share: loaded once, started before the first session."""

    recognizer: SpeechToText
    agent: Agent
    voice: TextToSpeech
    detector: SpeechDetector
    phrasebook: Phrasebook = field(default_factory=Phrasebook)
    """What the voice has made of greetings, apologies and the like; it goes with the voice."""
    clauses: Phrasebook | None = None
    """The same for what agents say; ``None``: nothing of that is kept."""
    speech: Mapping[str, SpeechToSpeech] = field(default_factory=dict)
    """Services that hear and answer by themselves, by the names that sessions choose them by."""


@dataclass(frozen=True, slots=True)
class SessionSetup:
    """The operator's choices for every session of a process."""

    conversation: ConversationOptions = field(default_factory=ConversationOptions)
    session: SessionOptions = field(default_factory=SessionOptions)
    lead_ms: int = 2000
    """Milliseconds of speech made ahead of the ear."""
    journal_dir: Path | None = None
    """Where journals are written; they hold spoken words."""
    version: str = "0"
    """Written into journals: a replay is exact within one version."""
    sounds: SoundSet | None = None
    """What may be heard beside the voice; ``None``: nothing is."""

"""What a client's message can be, besides a core event: sound, or a question that the wire answers itself."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.events import Event, ItemSubmitted, Origin
from ..core.options import AudioFormat


@dataclass(frozen=True, slots=True)
class AudioAppended:
    """``input_audio_buffer.append``: sound as the client coded it, whole samples."""

    audio: bytes
    format: AudioFormat
    origin: Origin


@dataclass(frozen=True, slots=True)
class SpeechSubmitted:
    """``conversation.item.create`` with recorded speech, whose words nobody knows yet."""

    event: ItemSubmitted
    audio: bytes
    format: AudioFormat


@dataclass(frozen=True, slots=True)
class Told:
    """A message that goes back to the client at once."""

    message: str


Received = Event | AudioAppended | SpeechSubmitted | Told

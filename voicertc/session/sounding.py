"""What a caller hears beside the replies: it follows the session's options and its state."""

from __future__ import annotations

from ..audio.mixer import Mixer
from ..audio.sounds import SoundSet
from ..core import facts
from ..core.facts import Fact, State
from ..core.items import Modality
from ..core.options import SessionOptions


class Sounding:
    """Owned by one session, which tells it every fact. Without ``sounds`` nothing is ever mixed."""

    def __init__(self, sounds: SoundSet | None, options: SessionOptions) -> None:
        self.mixer = Mixer()
        self._sounds = sounds
        self._choose(options)

    def note(self, fact: Fact) -> None:
        """Take what has happened."""
        match fact:
            case facts.StateChanged(state) if self._sounds:
                self.mixer.think(state is State.THINKING)
            case facts.SessionChanged(options):
                self._choose(options)

    def _choose(self, options: SessionOptions) -> None:
        sounds, chosen = self._sounds, options.sounds
        if sounds is None:
            return
        # Who reads the answer does not wait for a sound.
        is_waited_for = options.output is Modality.AUDIO and not options.is_transcription
        thinks = chosen.enable_thinking_sound and is_waited_for
        self.mixer.choose_thinking(
            sounds.thinking.get(chosen.thinking_sound) if thinks else None, chosen.thinking_volume
        )
        self.mixer.choose_ambient(
            sounds.ambient.get(chosen.ambient_sound) if chosen.enable_ambient else None, chosen.ambient_volume
        )

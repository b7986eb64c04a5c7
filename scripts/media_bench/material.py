"""What all processes of a run say, made once: speech, packets of it, and marks. Kept in a directory."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from voicertc.testing.utterance import Utterance

from . import sound

_N_MARKED = 10 * sound.N_MARKS
"""Packets of marks in a row, 12.8 s; a multiple, so that they can be said again and again."""


@dataclass(frozen=True)
class Material:
    """``talk`` is 20 s of speech at 24 kHz; ``talk_packets`` the same, ``mark_packets`` marks, as clients
    send them."""

    talk: Samples
    talk_packets: tuple[bytes, ...]
    mark_packets: tuple[bytes, ...]

    @classmethod
    def make(cls, directory: Path, clips: Path | None) -> Material:
        """Make it and leave it in ``directory``."""
        talk = sound.talk(clips)
        at_48 = sound.resampled(talk, PLAYOUT_RATE_HZ, sound.BROWSER_RATE_HZ)[: 2 * len(talk)]
        material = cls(
            talk,
            sound.browser_packets(at_48, sound.BROWSER_RATE_HZ),
            sound.browser_packets(sound.marks(_N_MARKED), HEARING_RATE_HZ),
        )
        np.save(directory / "talk.npy", talk)
        (directory / "packets.pickle").write_bytes(
            pickle.dumps((material.talk_packets, material.mark_packets))
        )
        return material

    @classmethod
    def load(cls, directory: Path) -> Material:
        """Return what another process made."""
        packets = pickle.loads((directory / "packets.pickle").read_bytes())
        return cls(np.load(directory / "talk.npy"), *packets)

    def talk_from(self, index: int) -> Utterance:
        """Return the speech as a client says it, begun elsewhere for each call."""
        start = index * 377 % len(self.talk_packets)
        return as_utterance((*self.talk_packets[start:], *self.talk_packets[:start]))

    @property
    def marks(self) -> Utterance:
        """The marks as a client says them."""
        return as_utterance(self.mark_packets)


def as_utterance(packets: Sequence[bytes]) -> Utterance:
    """Return packets as something that a client says; there is speech in it from the first to the last."""
    return Utterance(tuple(packets), 0.0, len(packets) * 0.02)

#!/usr/bin/env python3
"""What noise reduction does to what is heard: recorded voices in noise, without it and with either kind.

    scripts/bench_noise.py [--speech ../shared/speech] [--every 2]

Each clip of the directory's ``manifest.json`` (``file``, ``text``, ``start``, ``end``) is laid behind two
seconds of noise of which its speech is so many decibels louder. Prints for each noise and each kind: voices
not found, false starts before the clip, how long after the labelled start speech was certain, words that
pocketsphinx got wrong, and by how much the noise fell.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pocketsphinx
from bench_heard import word_errors, words

from voicertc.audio.noise import NoiseKind, NoiseReduction
from voicertc.audio.pcm import HEARING_FRAME, HEARING_RATE_HZ, PcmFrame, Samples
from voicertc.audio.vad import SpeechModel, VoiceActivity
from voicertc.providers.pocketsphinx_decoders import Decoders, FreeSpeech

Sound = npt.NDArray[np.float64]

LEAD = 2.0
"""Seconds of noise before a clip."""
PAD = 0.3
"""Seconds around the labelled speech that the recognizer is given."""
CASES: tuple[tuple[str, float], ...] = (
    ("none", 0.0),
    ("office", 5.0),
    ("office", 12.0),
    ("white", 5.0),
    ("white", 12.0),
    ("hum", 12.0),
    ("voices", 12.0),
    ("far", 12.0),
)
"""Noise, and by how many decibels the speech is louder; ``far``: office noise, 22 dB softer, with echo."""
KINDS: tuple[NoiseKind | None, ...] = (None, "near_field", "far_field")


def read(path: Path) -> Sound:
    """Return a clip at 16 kHz."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(float)


class Bench:
    """The clips, the noises and the ears."""

    def __init__(self, directory: Path, every: int) -> None:
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        self.clips = [clip for clip in manifest if clip.get("text")][::every]
        self._sounds = [read(directory / clip["file"]) for clip in self.clips]
        self._office = read(directory / "noise_office.wav")
        self._model = SpeechModel()
        self._decoders = Decoders.load(pocketsphinx, Path(pocketsphinx.get_model_path("en-us")))

    def try_all(self, noise: str, snr_db: float, kind: NoiseKind | None) -> str:
        """Return a line about one noise and one kind."""
        missed, false, late, n_wrong, n_words = 0, 0, [], 0, 0
        before, after = 0.0, 0.0
        for number, clip in enumerate(self.clips):
            sound = self._mix(number, noise, snr_db)
            heard, signs = self._listen(sound, kind)
            begins = LEAD + clip["start"]
            starts = [(known, at) for known, at in signs if at >= LEAD - 0.1]
            false += len(signs) - len(starts)
            missed += not starts
            late += [known - begins for known, _ in starts[:1] if clip["start"] > 0]
            said, got = words(clip["text"]), words(self._recognize(heard, begins, LEAD + clip["end"]))
            n_wrong += word_errors(said, got)
            n_words += len(said)
            lead = slice(HEARING_RATE_HZ, int(LEAD * HEARING_RATE_HZ))
            before += float(np.mean(sound[lead].astype(float) ** 2))
            after += float(np.mean(heard[lead].astype(float) ** 2))
        fall = 10 * np.log10((after + 1e-9) / (before + 1e-9))
        p50, p95 = np.percentile(late, [50, 95]) * 1000 if late else (0, 0)
        return (
            f"{noise:7} {snr_db:3.0f} dB {kind or 'without':10} | not found {missed:2} | false {false:2} |"
            f" certain after {p50:4.0f} ms, p95 {p95:4.0f} | words wrong {n_wrong / n_words:4.0%} |"
            f" noise {fall:+5.1f} dB"
        )

    def _mix(self, number: int, noise: str, snr_db: float) -> Samples:
        clip, lead = self.clips[number], int(LEAD * HEARING_RATE_HZ)
        sound = np.concatenate([np.zeros(lead), self._sounds[number], np.zeros(lead // 2)])
        if noise == "far":
            sound, noise = _across_a_room(sound), "office"
        speech = sound[
            lead + int(clip["start"] * HEARING_RATE_HZ) : lead + int(clip["end"] * HEARING_RATE_HZ)
        ]
        if noise != "none":
            sound = sound + self._noise(noise, len(sound), number) * speech.std() * 10 ** (-snr_db / 20)
        return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)

    def _noise(self, name: str, n: int, seed: int) -> Sound:
        random = np.random.default_rng(seed)
        time = np.arange(n) / HEARING_RATE_HZ
        match name:
            case "office":
                noise = np.resize(np.roll(self._office, -1000 * seed), n)
            case "white":
                noise = random.normal(size=n)
            case "hum":
                noise = sum(np.sin(2 * np.pi * 100 * k * time + k) / k for k in range(1, 12))
                noise = noise + 0.05 * random.normal(size=n)
            case _:  # other people, six at a time
                others = [self._sounds[i] for i in random.integers(len(self._sounds), size=6)]
                noise = sum((np.resize(other / other.std(), n) for other in others), np.zeros(n))
        scaled: Sound = noise / noise.std()
        return scaled

    def _listen(self, sound: Samples, kind: NoiseKind | None) -> tuple[Samples, list[tuple[float, float]]]:
        """Return what is heard, and when starts of speech became known and where they lie."""
        activity = VoiceActivity(self._model)
        reduction = NoiseReduction(kind) if kind else None
        heard = np.zeros(len(sound), np.int16)
        starts = []
        for begin in range(0, len(sound) - HEARING_FRAME + 1, HEARING_FRAME):
            came = PcmFrame(sound[begin : begin + HEARING_FRAME], begin)
            frame = reduction.feed(came) if reduction else came
            heard[begin : begin + HEARING_FRAME] = frame.samples
            starts += [(came.end, sign.at) for sign in activity.feed(frame) if sign.kind == "started"]
        return heard, starts

    def _recognize(self, heard: Samples, begins: float, ends: float) -> str:
        turn = FreeSpeech(self._decoders)
        turn.hear(
            heard[int((begins - PAD) * HEARING_RATE_HZ) : int((ends + PAD) * HEARING_RATE_HZ)].tobytes()
        )
        turn.close()
        return turn.words


def _across_a_room(sound: Sound) -> Sound:
    random = np.random.default_rng(1)
    echo = random.normal(size=6400) * np.exp(-np.arange(6400) / 1600)
    echo[0] = 6.0
    there: Sound = np.convolve(sound, echo / np.sqrt(np.sum(echo**2)))[: len(sound)] * 10 ** (-22 / 20)
    return there


def main() -> int:
    """Try all and print the table."""
    parser = argparse.ArgumentParser(description="What noise reduction does to what is heard.")
    default = os.environ.get("VOICERTC_TEST_SPEECH", "../shared/speech")
    parser.add_argument("--speech", type=Path, default=Path(default), help="directory with manifest.json")
    parser.add_argument("--every", type=int, default=2, help="try every so manieth clip")
    options = parser.parse_args()
    if not (options.speech / "manifest.json").is_file():
        print(f"{options.speech}/manifest.json is missing: name a directory with --speech", file=sys.stderr)
        return 2
    bench = Bench(options.speech, options.every)
    for noise, snr_db in CASES:
        for kind in KINDS:
            print(bench.try_all(noise, snr_db, kind), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How well the offline ears tell commands from everything else, and what that costs.

    python scripts/bench_recognition.py [--every N] [--fit]

Hears whatever speech is there through the engine itself, in this process: human clips
(VOICERTC_TEST_SPEECH, else ../shared/speech), the prompts of Debian's asterisk-core-sounds-en-g722
(VOICERTC_TEST_PROMPTS, else where the package puts them), and commands and other sentences in the voices of
flite and espeak-ng; each as it is and in office noise at 20, 15 or 10 dB. The grammar is the offline agent's;
a command is right if the agent takes it for what was said.

``--every N`` takes each N-th synthetic phrase only; ``--fit`` fits the weights of the rejection rule to all
that was heard, and judges them by sentences that they were not fitted to.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

from voicertc.agents.offline import OfflineAgent
from voicertc.agents.offline_script import load
from voicertc.audio.resample import Resampler
from voicertc.providers import command_evidence
from voicertc.providers.command_evidence import Evidence
from voicertc.providers.pocketsphinx_engine import Pocketsphinx
from voicertc.providers.worker_messages import Message

RATE = 16_000
ROOT = Path(__file__).resolve().parent.parent
SPEECH = Path(os.environ.get("VOICERTC_TEST_SPEECH", ROOT.parent / "shared" / "speech"))
PROMPTS = Path(os.environ.get("VOICERTC_TEST_PROMPTS", "/usr/share/asterisk/sounds/en_US_f_Allison"))
PHRASES = json.loads((Path(__file__).parent / "bench_recognition.json").read_text())
VOICES = {
    **{f"flite {voice}": ["flite", "-voice", voice, "-t"] for voice in ("slt", "rms", "awb", "kal16", "kal")},
    **{
        f"espeak {voice}": ["espeak-ng", "-v", voice, "-s", "150"] for voice in ("en-us", "en-us+f3", "en-gb")
    },
}
NOISES = (None, 20, 15, 10)
NUMBERS = {
    number: word
    for numbers, words in (
        (range(20), PHRASES["numbers"][:20]),
        (range(20, 100, 10), PHRASES["numbers"][20:]),
    )
    for number, word in zip(numbers, words, strict=True)
}


@dataclass(frozen=True)
class Case:
    """Something to be heard; ``text`` is what was said, ``None`` if it is in no grammar."""

    kind: str
    text: str | None
    samples: np.ndarray
    noise: int | None = None


@dataclass(frozen=True)
class Result:
    case: Case
    text: str
    is_command: bool
    is_right: bool
    evidence: Evidence | None
    cpu: float
    delay: float


def human_clips() -> Iterator[Case]:
    if not (SPEECH / "manifest.json").is_file():
        print(f"no human clips in {SPEECH}")
        return
    for clip in json.loads((SPEECH / "manifest.json").read_text()):
        if clip.get("text"):
            is_command = clip["text"] in PHRASES["commands"]
            yield Case("human clips", clip["text"] if is_command else None, read(SPEECH / clip["file"]))
    for name, kind in (("conversation_two_speakers.wav", "conversation"), ("noise_office.wav", "noise only")):
        sound = read(SPEECH / name)
        for start in range(0, len(sound) - 2 * RATE, 2 * RATE):
            yield Case(kind, None, sound[start : start + 2 * RATE])


def prompts() -> Iterator[Case]:
    if not PROMPTS.is_dir():
        print(f"no prompts in {PROMPTS}")
        return
    spoken = {number: trimmed(read_g722(PROMPTS / f"digits/{number}.g722")) for number in NUMBERS}
    units = {unit: trimmed(read_g722(PROMPTS / f"{unit}.g722")) for unit in ("seconds", "minutes", "hours")}
    for number, sound in spoken.items():
        yield Case("prompts", NUMBERS[number], sound)
        if number > 1:
            unit = list(units)[number % 3]
            yield Case("prompts", f"{NUMBERS[number]} {unit}", np.concatenate([sound, units[unit]]))
        if number >= 20:
            digit = 1 + number // 10 * 7 % 9
            both = np.concatenate([sound, np.zeros(400, np.int16), spoken[digit]])
            yield Case("prompts", f"{NUMBERS[number]} {NUMBERS[digit]}", both)
    for name in ("hello", "goodbye"):
        yield Case("prompts", name, read_g722(PROMPTS / f"{name}.g722"))
    for path in sorted(PROMPTS.glob("*.g722")) + sorted(PROMPTS.glob("phonetic/*.g722")):
        if path.stem not in PHRASES["prompts that are commands"]:
            sound = read_g722(path)
            if 0.3 * RATE < len(sound) < 7 * RATE:
                yield Case("prompts", None, sound)


def synthetic(every: int) -> Iterator[Case]:
    for kind, texts in (("commands", PHRASES["commands"]), ("others", PHRASES["others"])):
        for voice, command in VOICES.items():
            for number, text in enumerate(texts):
                if (number + zlib.crc32(voice.encode())) % every == 0:
                    yield Case(voice, text if kind == "commands" else None, synthesize(command, text))


def synthesize(command: list[str], text: str) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        output = ["-o", file.name] if command[0] == "flite" else ["-w", file.name]
        arguments = [*command, text, *output] if command[0] == "flite" else [*command, *output, text]
        subprocess.run(arguments, check=True)
        return read(Path(file.name))


def read(path: Path) -> np.ndarray:
    sound, rate = soundfile.read(path, dtype="int16")
    resampler = Resampler(rate, RATE)
    return np.concatenate([resampler.feed(sound), resampler.flush()])


def read_g722(path: Path) -> np.ndarray:
    with av.open(str(path), format="g722") as container:
        return np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])


def trimmed(sound: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(sound.astype(int)) > 200)
    return sound[max(0, loud[0] - 400) : loud[-1] + 400]


def with_noise(case: Case, noise: int | None, office: np.ndarray) -> Case:
    """As a session would send it: 0.3 s before the speech and 0.2 s after it, with room noise or more."""
    random = np.random.default_rng(len(case.samples))
    sound = np.concatenate([np.zeros(4800), case.samples.astype(float), np.zeros(3200)])
    if noise is None:
        sound += random.standard_normal(len(sound)) * 4
    else:
        loud = sound[np.abs(sound) > 100]
        level = np.sqrt(np.mean(np.square(loud))) if len(loud) else 1.0
        background = np.resize(np.roll(office, random.integers(len(office))), len(sound)).astype(float)
        sound += background * (level / np.sqrt(np.mean(background**2)) / 10 ** (noise / 20))
    return Case(case.kind, case.text, sound.clip(-32768, 32767).astype(np.int16), noise)


class Turn:
    """A worker's request without a pipe."""

    def __init__(self, samples: np.ndarray, grammar: str) -> None:
        self.first = Message("turn", 1, {"grammar": "bench"}, grammar.encode())
        self._frames = [samples[at : at + 320].tobytes() for at in range(0, len(samples), 320)]
        self.final: dict[str, object] = {}
        self.ended = 0.0
        self.is_cancelled = False

    def receive(self) -> Message:
        if self._frames:
            return Message("audio", 1, {}, self._frames.pop(0))
        self.ended = time.process_time()
        return Message("end", 1)

    def send(self, kind: str, body: bytes = b"", *, last: bool = False, **fields: object) -> None:
        if last:
            self.final = fields


class Bench:
    def __init__(self) -> None:
        self._engine = Pocketsphinx({})
        self._grammar = OfflineAgent().grammar
        self._script = load("en")

    def hear(self, case: Case) -> Result:
        turn = Turn(case.samples, self._grammar)
        began = time.process_time()
        self._engine.serve(turn)
        done = time.process_time()
        evidence = turn.final["evidence"] and Evidence(*turn.final["evidence"])
        text = str(turn.final["text"])
        is_command = float(turn.final["confidence"]) >= 0.5
        # Whether the command's hypothesis is right has to be known for --fit even where it was not accepted.
        heard = str(turn.final["command"])
        meaning = self._script.understand(heard)
        is_right = case.text is not None and (
            heard == case.text or (meaning is not None and meaning == self._script.understand(case.text))
        )
        return Result(case, text, is_command, is_right, evidence, done - began, done - turn.ended)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=4, help="take each N-th synthetic phrase")
    parser.add_argument("--fit", action="store_true", help="fit the weights of the rejection rule")
    arguments = parser.parse_args()
    cases = [*human_clips(), *prompts(), *synthetic(arguments.every)]
    office = (
        read(SPEECH / "noise_office.wav")
        if SPEECH.is_dir()
        else np.random.default_rng(1).integers(-99, 99, RATE)
    )
    bench = Bench()
    results = []
    for number, case in enumerate(cases):
        noises = [None] if case.kind == "noise only" else [None, NOISES[1 + number % 3]]
        results += [bench.hear(with_noise(case, noise, office)) for noise in noises]
    if arguments.fit:
        fit(results)
    else:
        show(results)


def show(results: list[Result]) -> None:
    """Print what became of commands and of everything else, by speaker and by noise."""
    print(f"{'':24s}{'commands':>9s}{'right':>7s}{'wrong':>7s}{'rejected':>9s}{'others':>9s}{'accepted':>9s}")
    rows = {result.case.kind: [] for result in results}
    rows |= {"in all, quiet": [], **{f"in all, {noise} dB": [] for noise in NOISES[1:]}}
    for result in results:
        noise = result.case.noise
        rows[result.case.kind].append(result)
        rows["in all, quiet" if noise is None else f"in all, {noise} dB"].append(result)
    for name, row in rows.items():
        count = Counter((r.case.text is not None, r.is_command, r.is_right) for r in row)
        right, wrong = count[True, True, True], count[True, True, False]
        rejected = count[True, False, True] + count[True, False, False]
        false, others = count[False, True, False], count[False, True, False] + count[False, False, False]
        n_commands = right + wrong + rejected
        print(f"{name:24s}{n_commands:9d}{right:7d}{wrong:7d}{rejected:9d}{others:9d}{false:9d}")
    seconds = sum(len(result.case.samples) for result in results) / RATE
    delays = sorted(1000 * result.delay for result in results)
    p50, p95, worst = (delays[int(share * (len(delays) - 1))] for share in (0.5, 0.95, 1.0))
    print(f"CPU {sum(result.cpu for result in results) / seconds:.3f} s per second of audio")
    print(f"end of audio to final (CPU time): p50 {p50:.0f}, p95 {p95:.0f}, worst {worst:.0f} ms")


def fit(results: list[Result]) -> None:
    """Print weights, and how they do on sentences they were not fitted to (ten folds)."""
    known = [result for result in results if result.evidence is not None]
    figures = np.array([[*vars_of(result.evidence), 1.0] for result in known])
    is_right = np.array([float(result.is_right) for result in known])
    names = [result.case.text or f"{result.case.kind} {len(result.case.samples)}" for result in known]
    folds = np.array([zlib.crc32(name.encode()) % 10 for name in names])
    odds = np.zeros(len(known))
    for fold in range(10):
        odds[folds == fold] = figures[folds == fold] @ regress(
            figures[folds != fold], is_right[folds != fold]
        )
    for threshold in (0.0, 0.5, 1.0, 1.5, 2.0):
        accepted = odds > threshold
        is_command = np.array([result.case.text is not None for result in known])
        print(
            f"threshold {threshold}: right {int((accepted & (is_right == 1)).sum())}"
            f" of {int(is_right.sum())},"
            f" wrong {int((accepted & (is_right == 0) & is_command).sum())},"
            f" false {int((accepted & ~is_command).sum())} of {int((~is_command).sum())}"
        )
    print("WEIGHTS =", tuple(round(float(weight), 2) for weight in regress(figures, is_right)))
    print("THRESHOLD is", command_evidence.THRESHOLD)


def vars_of(evidence: Evidence) -> list[float]:
    return [getattr(evidence, name) for name in evidence.__slots__]


def regress(figures: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's method, with a little shrinkage."""
    scale = figures.std(axis=0)
    scale[-1] = 1.0
    scaled = figures / scale
    weights = np.zeros(figures.shape[1])
    shrink = np.diag([0.5] * (len(weights) - 1) + [0.0])
    for _ in range(50):
        likely = 1 / (1 + np.exp(-np.clip(scaled @ weights, -30, 30)))
        slope = scaled.T @ (likely - is_right) + shrink @ weights
        curve = scaled.T @ (scaled * (likely * (1 - likely))[:, None]) + shrink + 1e-6 * np.eye(len(weights))
        weights -= np.linalg.solve(curve, slope)
    return weights / scale


if __name__ == "__main__":
    main()

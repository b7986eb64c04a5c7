"""Whether words get through bad links: what a recognizer makes of them at the server, and at the client.

Callers say sentences that are known while the server says the same ones, each call over a link of its own.
What the server heard, and what a listener makes of the packets that reached it, goes through the offline
recognizer afterwards. The share of words that it gets wrong is compared with that over a clean link.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import soundfile

from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from voicertc.providers.pocketsphinx_engine import Pocketsphinx
from voicertc.providers.worker_messages import Message
from voicertc.testing.lossy_link import LinkModel, LossyLink

from . import receiver, sound
from .callers import Caller, connect
from .case import Case, Result
from .loss import _DELAY, _HURTS
from .machine import pin
from .material import as_utterance
from .servers import Server, server

_PRELUDE = 4.0
"""Seconds of talk before a sentence: links are reported on by then, as in the middle of a call."""
_PAD = 0.5
"""Seconds of silence around each sentence."""
_LONGEST = 6.0
"""Seconds; long recordings would weigh more, and take longer, than all others."""
_VOICES = ("slt", "rms")
SIDES = ("server", "client")
SENTENCES = (
    "the small pup gnawed a hole in the sock",
    "the fish twisted and turned on the bent hook",
    "press the pants and sew a button on the vest",
    "the swan dive was far short of perfect",
    "the beauty of the view stunned the young boy",
    "two blue fish swam in the tank",
    "her purse was full of useless trash",
    "the colt reared and threw the tall rider",
    "it snowed rained and hailed the same morning",
    "read verse out loud for pleasure",
)
"""Harvard sentences (IEEE 297-1969), list 2."""


class Heard(NamedTuple):
    """Which sound was heard: at which loss, by whose seed, on which side, of which clip."""

    loss: float
    seed: int
    side: str
    clip: int


@dataclass(frozen=True)
class Clip:
    """A sentence and its words: a sound file."""

    path: Path
    text: str


async def words(case: Case) -> Result:
    """Say all sentences over each link, recognize, and compare."""
    if find_spec("pocketsphinx") is None:
        return {"skipped": "pocketsphinx is not installed"}
    # The same seeds for all: a sentence begins elsewhere in its packets for each, so that the figures of a
    # clean link are no single draw, either.
    runs = case.pick({0.0: (1,), 0.05: (1,)}, {0.0: (1, 2, 3), 0.05: (1, 2, 3), 0.1: (1, 2, 3)})
    with TemporaryDirectory() as temporary:
        clips = _clips(case, Path(temporary))
        if not clips:
            return {"skipped": "there are no recordings and no flite"}
        heard: dict[Heard, Path] = {}
        for loss, seeds in runs.items():
            for seed in seeds:
                async with server(case.kind, case.directory) as running:
                    await _say_all(running, case, clips, loss, seed, Path(temporary), heard)
        texts = await _recognize(list(heard.values()))
    wrong: dict[tuple[str, float], list[int]] = {}
    for key, path in heard.items():
        n_wrong = _n_errors(_words(clips[key.clip].text), _words(texts[path]))
        wrong.setdefault((key.side, key.loss), []).append(n_wrong)
    n_words = sum(len(_words(clip.text)) for clip in clips)
    mean = {key: float(np.mean(counts)) * len(clips) for key, counts in wrong.items()}
    return {"clips": len(clips), "words": n_words, **{side: _side(mean, side, n_words) for side in SIDES}}


def _side(wrong: dict[tuple[str, float], float], side: str, n_words: int) -> Result:
    """Return the share of wrong words at each loss, and that over the share without loss."""
    return {
        f"{loss:.0%}": {
            "errors": round(n_wrong / n_words, 3),
            "ratio": round(n_wrong / wrong[side, 0.0], 3),
        }
        for (of_side, loss), n_wrong in wrong.items()
        if of_side == side
    }


def _clips(case: Case, temporary: Path) -> list[Clip]:
    clips: list[Clip] = []
    if case.clips is not None and (case.clips / "manifest.json").is_file():
        manifest = json.loads((case.clips / "manifest.json").read_text(encoding="utf-8"))
        short = [one for one in manifest if one.get("text") and one["duration"] <= _LONGEST]
        clips = [Clip(case.clips / one["file"], one["text"]) for one in short]
    if shutil.which("flite"):
        for number, text in enumerate(SENTENCES):
            for voice in _VOICES:
                path = temporary / f"{voice}-{number}.wav"
                soundfile.write(path, sound.synthesize(text, voice, PLAYOUT_RATE_HZ), PLAYOUT_RATE_HZ)
                clips.append(Clip(path, text))
    return clips[:: case.pick(5, 1)]


async def _say_all(
    running: Server,
    case: Case,
    clips: Sequence[Clip],
    loss: float,
    seed: int,
    temporary: Path,
    heard: dict[Heard, Path],
) -> None:
    """Hold one call for each clip, side by side; what was heard on either side goes to files."""
    prelude = temporary / "prelude.wav"
    soundfile.write(prelude, case.material.talk[: int(_PRELUDE * PLAYOUT_RATE_HZ)], PLAYOUT_RATE_HZ)
    model = LinkModel(loss=loss, delay=_DELAY, hurts=_HURTS)

    async def hold(index: int, clip: Clip) -> None:
        link = LossyLink(model, model, seed=1000 * seed + index)
        name = f"{loss}/{seed}/{index}"
        caller = Caller(running, name, {"keeps": True}, link)
        await connect([caller])
        await running.ask("play", name=name, path=str(prelude))
        await asyncio.sleep(_PRELUDE + _PAD)
        await running.ask("marks", name=name)  # forgets what was heard until now
        caller.forget()
        await asyncio.sleep(_PAD)
        await running.ask("play", name=name, path=str(clip.path))
        await caller.client.say(as_utterance(_packets(clip, seed)))
        await asyncio.sleep(_PAD)
        by_server, by_client = (temporary / f"{loss}-{seed}-{index}-{side}.npy" for side in SIDES)
        await running.ask("save", name=name, path=str(by_server))
        sounds = receiver.receive(caller.packets)
        np.save(by_client, sound.resampled(sounds, PLAYOUT_RATE_HZ, HEARING_RATE_HZ))
        for side, path in zip(SIDES, (by_server, by_client), strict=True):
            heard[Heard(loss, seed, side, index)] = path
        await caller.close()
        link.close()

    await asyncio.gather(*(hold(index, clip) for index, clip in enumerate(clips)))


def _packets(clip: Clip, seed: int) -> tuple[bytes, ...]:
    samples = np.pad(sound.read(clip.path, sound.BROWSER_RATE_HZ), (seed * 211, 0))
    return sound.browser_packets(samples, sound.BROWSER_RATE_HZ)


# --- recognition --------------------------------------------------------------------------------------


async def _recognize(paths: Sequence[Path]) -> dict[Path, str]:
    """Recognize sound files, on both cores: no server runs any more."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, initializer=_load) as pool:
        texts = await asyncio.gather(*(loop.run_in_executor(pool, _hear, path) for path in paths))
    return dict(zip(paths, texts, strict=True))


_engine: Pocketsphinx | None = None


def _load() -> None:
    global _engine
    pin(None)
    _engine = Pocketsphinx({})


def _hear(path: Path) -> str:
    assert _engine is not None, "a process of the pool has loaded it"
    turn = _Turn(np.load(path))
    _engine.serve(turn)
    return turn.text


class _Turn:
    """A request of the engine's, without a pipe: the whole sound, then the end."""

    def __init__(self, samples: Samples) -> None:
        self.first = Message("turn", 1, {}, b"")
        self.is_cancelled = False
        self.text = ""
        self._frames = [samples[at : at + 320].tobytes() for at in range(0, len(samples), 320)]

    def receive(self) -> Message:
        return Message("audio", 1, {}, self._frames.pop(0)) if self._frames else Message("end", 1)

    def send(self, kind: str, body: bytes = b"", *, last: bool = False, **fields: object) -> None:
        if last:
            self.text = str(fields["text"])


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())


def _n_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words that are wrong, missing or too many, at least (Levenshtein)."""
    costs = list(range(len(heard) + 1))
    for row, word in enumerate(said, 1):
        above, costs[0] = costs[0], row
        for column, other in enumerate(heard, 1):
            above, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, above + (word != other)),
            )
    return costs[-1]

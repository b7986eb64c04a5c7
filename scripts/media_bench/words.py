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
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from voicertc.providers.pocketsphinx_engine import Pocketsphinx
from voicertc.providers.worker_messages import Message
from voicertc.testing.lossy_link import LinkModel, LossyLink
from voicertc.testing.utterance import Utterance

from . import receiver, sound
from .callers import Caller, connect
from .case import Case, Result
from .loss import _DELAY, _HURTS
from .machine import relax
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
    """Which sound was heard: at which loss, by whose seed, on which side, of which sentence."""

    loss: float
    seed: int
    side: str
    sentence: int


@dataclass(frozen=True)
class _Sentence:
    """``samples`` is a file of it for the server, ``packets`` are it for the client, for each seed."""

    text: str
    samples: Path
    packets: dict[int, Utterance]


async def words(case: Case) -> Result:
    """Say all sentences over each link, recognize, and compare."""
    if find_spec("pocketsphinx") is None:
        return {"skipped": "pocketsphinx is not installed"}
    # The same seeds for all: they shift the sentences, too, or a clean link's figure would be a single draw.
    runs: dict[float, tuple[int, ...]] = case.pick(
        {0.0: (1,), 0.05: (1,)}, {0.0: (1, 2, 3), 0.05: (1, 2, 3), 0.1: (1, 2, 3)}
    )
    with TemporaryDirectory() as temporary:
        sentences = _sentences(
            case, Path(temporary), sorted({seed for seeds in runs.values() for seed in seeds})
        )
        if not sentences:
            return {"skipped": "there are no recordings and no flite"}
        heard: dict[Heard, Path] = {}
        n_late = 0
        for loss, seeds in runs.items():
            for seed in seeds:
                async with server(case.kind, case.directory) as running:
                    n_late += await _say_all(running, case, sentences, loss, seed, Path(temporary), heard)
        texts = await _recognize(list(heard.values()))
    wrong: dict[tuple[str, float], list[int]] = {}
    for key, path in heard.items():
        n_wrong = _n_errors(_words(sentences[key.sentence].text), _words(texts[path]))
        wrong.setdefault((key.side, key.loss), []).append(n_wrong)
    n_words = sum(len(_words(sentence.text)) for sentence in sentences)
    mean = {key: float(np.mean(counts)) * len(sentences) for key, counts in wrong.items()}
    sides = {side: _side(mean, side, n_words) for side in SIDES}
    return {"sentences": len(sentences), "words": n_words, "left_out": n_late, **sides}


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


def _sentences(case: Case, temporary: Path, seeds: Sequence[int]) -> list[_Sentence]:
    """Return recordings with their words, if there are any, and flite's, if it is there."""
    clips: list[tuple[str, Samples]] = []
    if case.clips is not None and (case.clips / "manifest.json").is_file():
        manifest = json.loads((case.clips / "manifest.json").read_text(encoding="utf-8"))
        short = [one for one in manifest if one.get("text") and one["duration"] <= _LONGEST]
        clips = [(one["text"], sound.read(case.clips / one["file"], PLAYOUT_RATE_HZ)) for one in short]
    if shutil.which("flite"):
        spoken = [(text, voice) for text in SENTENCES for voice in _VOICES]
        clips += [(text, sound.synthesize(text, voice, PLAYOUT_RATE_HZ)) for text, voice in spoken]
    sentences = []
    for index, (text, samples) in enumerate(clips[:: case.pick(5, 1)]):
        path = temporary / f"sentence-{index}.npy"
        np.save(path, samples)
        at_48 = sound.resampled(samples, PLAYOUT_RATE_HZ, sound.BROWSER_RATE_HZ)
        # Each seed has the sentence begin elsewhere in its first packet.
        shifted = {seed: np.pad(at_48, (seed * 211, 0)) for seed in seeds}
        packets = {
            seed: as_utterance(sound.browser_packets(one, sound.BROWSER_RATE_HZ))
            for seed, one in shifted.items()
        }
        sentences.append(_Sentence(text, path, packets))
    return sentences


async def _say_all(
    running: Server,
    case: Case,
    sentences: Sequence[_Sentence],
    loss: float,
    seed: int,
    temporary: Path,
    heard: dict[Heard, Path],
) -> int:
    """Hold one call for each sentence, side by side; what was heard on either side goes to files.

    Returns how many packets either side left out because it was late: these were lost by no link. Whatever
    takes long is done before the calls and after them.
    """
    prelude = temporary / "prelude.npy"
    np.save(prelude, case.material.talk[: int(_PRELUDE * PLAYOUT_RATE_HZ)])
    model = LinkModel(loss=loss, delay=_DELAY, hurts=_HURTS)
    links = [LossyLink(model, model, seed=1000 * seed + index) for index in range(len(sentences))]
    callers = [
        Caller(running, f"sentence-{index}", {"keeps": True}, link) for index, link in enumerate(links)
    ]
    await connect(callers)
    await asyncio.gather(
        *(_hold(caller, one, prelude, seed) for caller, one in zip(callers, sentences, strict=True))
    )
    n_late = sum(caller.client.skipped for caller in callers) + int((await running.ask("stats"))["skipped"])
    for index, (caller, link) in enumerate(zip(callers, links, strict=True)):
        link.close()
        paths = {side: temporary / f"{loss}-{seed}-{index}-{side}.npy" for side in SIDES}
        await running.ask("save", name=caller.name, path=str(paths["server"]))
        at_client = receiver.receive(caller.packets)
        np.save(paths["client"], sound.resampled(at_client, PLAYOUT_RATE_HZ, HEARING_RATE_HZ))
        heard |= {Heard(loss, seed, side, index): path for side, path in paths.items()}
        await caller.close()
    return n_late


async def _hold(caller: Caller, sentence: _Sentence, prelude: Path, seed: int) -> None:
    """Let a call be on its way, forget what was heard until then, and have both sides say the sentence."""
    ask = caller.server.ask
    await ask("play", name=caller.name, path=str(prelude))
    await asyncio.sleep(_PRELUDE + _PAD)
    await ask("forget", name=caller.name)
    caller.forget()
    await asyncio.sleep(_PAD)
    await ask("play", name=caller.name, path=str(sentence.samples))
    await caller.client.say(sentence.packets[seed])
    await asyncio.sleep(_PAD)


# --- recognition --------------------------------------------------------------------------------------


async def _recognize(paths: Sequence[Path]) -> dict[Path, str]:
    """Recognize sound files, on both cores: no server runs any more."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=_load) as pool:
        texts = await asyncio.gather(*(loop.run_in_executor(pool, _hear, path) for path in paths))
    return dict(zip(paths, texts, strict=True))


_engine: Pocketsphinx | None = None


def _load() -> None:
    global _engine
    relax()
    _engine = Pocketsphinx({})


def _hear(path: Path) -> str:
    assert _engine is not None, "a process of the pool has loaded it"
    turn = _Turn(np.load(path))
    _engine.serve(turn)  # type: ignore[arg-type]  # all that the engine asks of a request
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

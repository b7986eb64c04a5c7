"""What is said in the benchmark: speech for load, and marked tones by which every packet can be told.

A mark is 20 ms of two tones, one of eight low ones and one of eight high ones, so that there are 64 and the
number of a packet comes again after 1.28 s. They go through any codec, concealment or resampler.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soundfile

from voicertc.audio.pcm import FRAME_MS, HEARING_FRAME, HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from voicertc.audio.resample import Resampler

TALK_SECONDS = 20
BROWSER_RATE_HZ = 48_000
"""What browsers encode from."""
N_MARKS = 64
NO_MARK = -1
SURE = 0.02
"""Part of the energy that either tone of a mark has at least: a decoder leaves little more of the first frame
behind a hole."""
_LOW = np.arange(400, 2000, 200)
_HIGH = np.arange(2000, 3600, 200)
_TEXT = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to "
    "tell the depth of a well. These days a chicken leg is a rare dish. Rice is often served in round bowls. "
    "The juice of lemons makes fine punch. The box was thrown beside the parked truck. Four hours of steady "
    "work faced us. A large size in stockings is hard to sell. The boy was there when the sun rose."
)
"""Harvard sentences (IEEE 297-1969), list 1."""


def talk(clips: Path | None) -> Samples:
    """Return 20 s of speech, ``(n,)`` int16 mono at 24 kHz: recordings if there are any, else flite's voice,
    else a buzz with the rhythm of speech."""
    if clips is not None and (found := sorted(clips.glob("*.wav"))):
        pieces = [read(path, PLAYOUT_RATE_HZ) for path in found if not path.name.startswith("noise")]
    elif shutil.which("flite"):
        pieces = [synthesize(_TEXT, "slt", PLAYOUT_RATE_HZ)]
    else:
        pieces = [buzz(TALK_SECONDS)]
    joined = np.concatenate([_without_pauses(piece) for piece in pieces])
    return np.resize(joined, TALK_SECONDS * PLAYOUT_RATE_HZ)


def synthesize(text: str, voice: str, rate_hz: int) -> Samples:
    """Say a text with flite."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", file.name], check=True)
        return read(Path(file.name), rate_hz)


def read(path: Path, rate_hz: int) -> Samples:
    """Return a sound file as ``(n,)`` int16 mono."""
    sound, file_rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    return resampled(np.ascontiguousarray(sound[:, 0]), file_rate_hz, rate_hz)


def resampled(samples: Samples, rate_hz: int, to_hz: int) -> Samples:
    """Return the samples at another rate."""
    resampler = Resampler(rate_hz, to_hz)
    return np.concatenate([resampler.feed(samples), resampler.flush()])


def _without_pauses(samples: Samples) -> Samples:
    """Leave out what is silent for long: a talking call is to talk all the time."""
    n = PLAYOUT_RATE_HZ // 5
    blocks = samples[: len(samples) // n * n].reshape(-1, n)
    return np.asarray(blocks[np.abs(blocks).max(axis=1) > 600].reshape(-1))


def buzz(seconds: float) -> Samples:
    """Return a voiced sound with the rhythm of speech, ``(n,)`` int16 mono at 24 kHz."""
    time = np.arange(round(seconds * PLAYOUT_RATE_HZ)) / PLAYOUT_RATE_HZ
    voice = sum(np.sin(2 * np.pi * 120 * k * time + k * k) / k for k in range(1, 30))
    hiss = np.random.default_rng(1).standard_normal(len(time)) * 0.2
    rhythm = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)
    return np.asarray((voice + hiss) * rhythm * 4000).clip(-32768, 32767).astype(np.int16)


def browser_packets(samples: Samples, rate_hz: int) -> tuple[bytes, ...]:
    """Encode ``(n,)`` int16 mono as browsers do: VoIP, 32 kbit/s, 20 ms, FEC for 10 % of loss."""
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate = rate_hz
    context.layout = "mono"
    context.format = "s16"
    context.bit_rate = 32_000
    options = {"application": "voip", "frame_duration": "20", "compression_level": "5"}
    context.options = {**options, "fec": "1", "packet_loss": "10"}
    context.open()
    n = rate_hz * FRAME_MS // 1000
    return tuple(_encode(context, frame) for frame in np.pad(samples, (0, -len(samples) % n)).reshape(-1, n))


def _encode(context: av.AudioCodecContext, samples: Samples) -> bytes:
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
    frame.sample_rate = context.sample_rate
    frame.planes[0].update(samples.tobytes())
    (packet,) = context.encode(frame)
    return bytes(packet)


def marks(n: int) -> Samples:
    """Return ``n`` marks one after the other, ``(320 n,)`` int16 mono at 16 kHz.

    At that rate Opus codes them in SILK alone, which keeps the tones; in its hybrid mode some get lost.
    """
    time = np.arange(HEARING_FRAME) / HEARING_RATE_HZ
    number = np.arange(n) % N_MARKS
    low, high = _LOW[number % 8], _HIGH[(number % 8 * 3 + number // 8) % 8]
    tones = np.sin(2 * np.pi * np.outer(low, time)) + np.sin(2 * np.pi * np.outer(high, time))
    return np.asarray(tones * 6000).astype(np.int16).reshape(-1)


def identify(frames: npt.NDArray[np.int16], rate_hz: int) -> list[int]:
    """Return which mark each row of ``(n, m)`` ends with, ``NO_MARK`` if none does for certain.

    Rows are 20 ms. Only the second half is looked at, which holds one mark if codecs delay by up to 10 ms.
    """
    if not len(frames):
        return []
    tail = frames[:, -(frames.shape[1] // 2) :].astype(float)
    time = np.arange(tail.shape[1]) / rate_hz
    waves = np.exp(-2j * np.pi * np.outer(time, np.concatenate((_LOW, _HIGH))))
    power = np.abs(tail @ waves) ** 2 * 2 / tail.shape[1]  # of each tone, comparable with the energy
    energy = np.maximum(np.sum(tail**2, axis=1), 1e5)
    found = np.full(len(frames), NO_MARK)
    low, high = power[:, :8].argmax(axis=1), power[:, 8:].argmax(axis=1)
    rows = np.arange(len(frames))
    share = np.minimum(power[rows, low], power[rows, 8 + high]) / energy
    is_sure = share > SURE
    number = (high - low * 3) % 8 * 8 + low
    found[is_sure] = number[is_sure]
    return [int(each) for each in found]

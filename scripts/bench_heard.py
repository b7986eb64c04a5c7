#!/usr/bin/env python3
"""What was heard against what was said: recorded voices through real calls to a running server.

    scripts/bench_heard.py [--url http://127.0.0.1:8080] [--speech ../shared/speech] [--json FILE]

Each clip of the directory's ``manifest.json`` (``file``, ``text``) is spoken by a headless client in a call
of its own. Prints what was said, what was heard, the answer's beginning and its loudness, then the word error
rate over all clips.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from voicertc.testing.client import HeadlessClient
from voicertc.testing.utterance import Utterance

AUDIBLE = 300
"""RMS of 16-bit samples above which a reply counts as heard."""


@dataclass(frozen=True, slots=True)
class Row:
    """One clip. ``errors``: substituted, missing and extra words. ``loudness``: RMS of the reply's sound."""

    file: str
    said: str
    heard: str
    answer: str
    errors: int
    loudness: int


async def try_clip(url: str, path: Path, said: str) -> Row:
    """Speak one clip in a call of its own."""
    async with HeadlessClient(url) as client:
        await client.channel_opened()
        await client.next_event("output_audio_buffer.stopped", timeout=30)  # the greeting
        spoken = await client.say(Utterance.from_wav(path))
        heard, answer = "", ""
        try:
            completed = "conversation.item.input_audio_transcription.completed"
            heard = str((await client.next_event(completed, timeout=15)).event["transcript"])
            started = await client.next_event("output_audio_buffer.started", timeout=10)
            delta = await client.next_event("response.output_audio_transcript.delta")
            answer = str(delta.event["delta"])
            await asyncio.sleep(1.0)
            frames = [frame.samples for frame in client.reply_audio(since=started.at - 0.02)]
            loudness = int(np.sqrt(np.mean(np.concatenate(frames).astype(float) ** 2)))
        except TimeoutError:
            loudness = 0
        assert spoken.is_over
    return Row(path.name, said, heard, answer, word_errors(words(said), words(heard)), loudness)


def words(text: str) -> list[str]:
    """Return the words of ``text``, without case and punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def word_errors(said: list[str], heard: list[str]) -> int:
    """Return the edit distance in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


async def main() -> int:
    """Try all clips and print the table."""
    parser = argparse.ArgumentParser(description="What was heard against what was said.")
    default = os.environ.get("VOICERTC_TEST_SPEECH", "../shared/speech")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="a running server")
    parser.add_argument("--speech", type=Path, default=Path(default), help="directory with manifest.json")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    options = parser.parse_args()
    manifest = options.speech / "manifest.json"
    if not manifest.is_file():
        print(f"{manifest} is missing: name a directory of recordings with --speech", file=sys.stderr)
        return 2
    clips = [clip for clip in json.loads(manifest.read_text(encoding="utf-8")) if clip.get("text")]
    rows = []
    for clip in clips:
        row = await try_clip(options.url, options.speech / clip["file"], clip["text"])
        rows.append(row)
        print(
            f"{row.said[:50]:<50} | {row.heard[:50]:<50} | {row.answer[:40]:<40} | {row.loudness:>5}",
            flush=True,
        )
    n_words = sum(len(words(row.said)) for row in rows)
    n_errors = sum(row.errors for row in rows)
    n_answered = sum(row.loudness > AUDIBLE for row in rows)
    print(
        f"{n_answered} of {len(rows)} answered audibly, word error rate {n_errors / n_words:.0%} of {n_words}"
    )
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

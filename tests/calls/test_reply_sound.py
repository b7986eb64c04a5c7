"""A reply's sound in few pieces, each sample once and in order. On a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from voicertc.audio.formats import AudioEncoder, WireFormat
from voicertc.audio.pcm import Samples
from voicertc.calls.reply_sound import ReplySound
from voicertc.testing import virtual_time

SOUND = (np.arange(24_000 * 5 // 2) % 20_000).astype(np.int16)
"""2.5 s."""


def played(
    act: Callable[[ReplySound], None], format: Callable[[], WireFormat] = lambda: "pcm16"
) -> list[tuple[str, bytes]]:
    """Return the pieces that are sent when ``act`` is done and the loop has had a turn."""
    sent: list[tuple[str, bytes]] = []

    async def main() -> None:
        act(ReplySound(lambda reply_id, coded: sent.append((reply_id, coded)), format))
        await asyncio.sleep(0.01)

    virtual_time.run(main())
    return sent


def pieces(sound: Samples, n: int = 480) -> list[Samples]:
    return [sound[begin : begin + n] for begin in range(0, len(sound), n)]


def test_what_is_made_at_once_is_sent_in_pieces_of_a_second() -> None:
    def act(sound: ReplySound) -> None:
        for piece in pieces(SOUND):
            sound.add("r1", piece)

    sent = played(act)
    assert [(reply_id, len(coded)) for reply_id, coded in sent] == [
        ("r1", 48_000),
        ("r1", 48_000),
        ("r1", 24_000),
    ]
    assert np.array_equal(np.frombuffer(b"".join(coded for _, coded in sent), "<i2"), SOUND)


def test_one_long_piece_is_cut_too() -> None:
    assert [len(coded) for _, coded in played(lambda sound: sound.add("r1", SOUND))] == [
        48_000,
        48_000,
        24_000,
    ]


@pytest.mark.parametrize("format", ["pcm16", "pcmu", "pcma"])
def test_a_reply_is_coded_to_its_last_sample_and_the_next_begins_anew(format: WireFormat) -> None:
    def act(sound: ReplySound) -> None:
        for reply_id in ("r1", "r2"):
            for piece in pieces(SOUND, 700):
                sound.add(reply_id, piece)
            sound.end(reply_id)

    sent = played(act, lambda: format)
    encoder = AudioEncoder(format)
    whole = encoder.encode(SOUND) + encoder.flush()
    for reply_id in ("r1", "r2"):
        assert b"".join(coded for whose, coded in sent if whose == reply_id) == whole


def test_a_reply_keeps_the_format_it_began_with() -> None:
    formats: list[WireFormat] = ["pcm16"]

    def act(sound: ReplySound) -> None:
        sound.add("r1", SOUND[:240])
        formats[0] = "pcmu"
        sound.add("r1", SOUND[240:480])
        sound.end("r1")
        sound.add("r2", SOUND[:480])
        sound.end("r2")

    lengths = {"r1": 0, "r2": 0}
    for reply_id, coded in played(act, lambda: formats[0]):
        lengths[reply_id] += len(coded)
    assert lengths == {"r1": 960, "r2": 160}


def test_what_was_dropped_is_not_sent_and_what_follows_is() -> None:
    def act(sound: ReplySound) -> None:
        sound.add("r1", SOUND[:480])
        sound.drop("r1")
        sound.add("r2", SOUND[:240])
        sound.drop("r1")
        sound.end("r1")

    assert played(act) == [("r2", SOUND[:240].tobytes())]


def test_nothing_is_left_of_a_dropped_reply_for_its_end() -> None:
    def act(sound: ReplySound) -> None:
        sound.add("r1", SOUND[:480])
        sound.flush()
        sound.drop("r1")
        sound.end("r1")

    assert len(played(act, lambda: "pcmu")) == 1

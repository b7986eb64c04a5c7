"""What the benchmark of whole calls computes, on calls whose figures are known."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from voicertc.audio.opus import CLEAN_SILENCE, OpusEncoder
from voicertc.audio.pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ
from voicertc.testing.client import ReceivedEvent
from voicertc.testing.mouth import Spoken
from voicertc.testing.received import ReceivedPacket
from voicertc.testing.utterance import Utterance

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from calls_bench import engines, fakes, parts, waits
from calls_bench.callers import Said
from calls_bench.judging import judge
from calls_bench.report import Step
from calls_bench.talking import Held

STAGES = {"silence_ms": 500.0, "recognition_ms": 150.0, "first_text_ms": 200.0, "first_clause_ms": 0.0}
METRICS = {"stages": STAGES | {"first_audio_ms": 120.0, "playout_ms": 10.0, "heard_ms": 60.0}}


END = 10.98
"""When the packet with the end of the caller's speech leaves."""


def a_call(*replies: tuple[float, int], missing: int = 0, failure: str | None = None) -> Any:
    """A caller who spoke from 10.0 s to ``END``; ``replies``: when each began, and its packets."""
    utterance = Utterance((b"x",) * 60, 0.1, 1.1)
    spoken = Spoken(utterance, [9.9 + 0.02 * n for n in range(60)])
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(PLAYOUT_RATE_HZ) / PLAYOUT_RATE_HZ)
    encoder, packets = OpusEncoder(), []
    for begins, n_packets in replies:
        for index in range(n_packets):
            at = begins + 0.02 * index
            block = tone[index * PLAYOUT_FRAME :][:PLAYOUT_FRAME].astype(np.int16)
            payload = encoder.encode(block)
            if not 5 <= index < 5 + missing:
                packets.append(ReceivedPacket(at, len(packets), round(at * 48_000), payload))
    packets.append(ReceivedPacket(20.0, len(packets), 960_000, CLEAN_SILENCE))
    events = [
        ReceivedEvent(11.51, {"type": "input_audio_buffer.speech_stopped"}),
        ReceivedEvent(12.0, {"type": "voicertc.metrics", "is_bridged": False, **METRICS}),
    ]
    return SimpleNamespace(turns=[Said(spoken, failure)], packets=packets, events=events)


def test_a_turn_is_judged_by_the_packets_that_came() -> None:
    (turn,) = judge(a_call((12.0, 40)))
    assert turn.wait == pytest.approx(12.0 - END)
    assert turn.speech == pytest.approx(0.98)
    assert turn.reply == pytest.approx(0.8, abs=0.03)
    assert (turn.cut_in, turn.holes, turn.failure) == (False, (), None)
    assert turn.decided == pytest.approx(11.51 - END)
    assert turn.stages is not None
    assert "heard_ms" not in turn.stages
    assert sum(turn.stages.values()) == pytest.approx(0.98)


def test_holes_and_replies_into_the_speech_are_noticed() -> None:
    (turn,) = judge(a_call((12.0, 40), missing=5))
    assert turn.holes == (pytest.approx(0.1),)
    (turn,) = judge(a_call((10.8, 40)))
    assert (turn.cut_in, turn.wait) == (True, None)


def test_a_turn_without_a_reply_has_failed() -> None:
    assert [turn.failure for turn in judge(a_call(failure="no reply"))] == ["no reply"]
    assert [turn.failure for turn in judge(a_call())] == ["no audible reply"]


def test_the_servers_account_is_compared_with_the_callers() -> None:
    turns = judge(a_call((12.0, 40)))
    told = waits.told(Held(1, turns, [], 0), engines.FIXED.critical_path(engines.named("chat")))
    assert told.wait["p50"] == pytest.approx(1020)
    assert told.added["p50"] == pytest.approx(1020 - 500 - 470)
    assert told.difference["p50"] == pytest.approx(980 - 1020)
    assert told.difference_of_end["p50"] == pytest.approx(500 - 530)
    assert told.difference_of_rest["p50"] == pytest.approx(480 - 490)
    lines = waits.table(told, is_realistic=False)
    assert [line.count("MISSED") for line in lines] == [0, 0, 1, 0, 1, 0]


def a_step(**figures: Any) -> Step:
    fine = dict.fromkeys(Step.__dataclass_fields__, 0) | {"n_calls": 1, "wait_p95": 30.0}
    return Step(**(fine | figures))


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        ({"wait_p95": 61.0}, "twice"),
        ({"holes": 0.011}, "holes"),
        ({"n_failed": 1}, "failed"),
    ],
)
def test_too_many_calls_are_told_by_one_of_three_signs(figures: dict[str, float], word: str) -> None:
    (fault,) = a_step(n_calls=20, **figures).faults(a_step())
    assert word in fault
    blamed = a_step(n_calls=20, clients=0.7, fake=0.3, **figures).faults(a_step())
    assert "clients" in blamed[-1]


def test_as_many_calls_as_are_well_have_no_faults() -> None:
    assert a_step(n_calls=20, wait_p95=60.0, holes=0.01, clients=0.95).faults(a_step()) == []


def test_speech_to_speech_needs_no_text_first() -> None:
    delays = engines.Delays(0.2, 0.25, 0.1)
    assert delays.critical_path(engines.named("streaming")) == pytest.approx(0.55)
    assert delays.critical_path(engines.named("speech")) == pytest.approx(0.35)
    with pytest.raises(ValueError, match="'fast' is none of chat"):
        engines.named("fast")
    assert engines.named("a+b+c") == ("a", "b", "c")


def test_no_answer_is_like_another_and_all_are_as_long() -> None:
    answers = [fakes.answer(number, 45) for number in range(1000, 1020)]
    assert len(set(answers)) == len(answers)
    assert {len(text) for text in answers} == {45}


def test_a_sample_is_of_the_part_that_is_deepest() -> None:
    stacks = (
        "main (voicertc/serve.py:10);feed (voicertc/audio/vad.py:3);mean (numpy/_core/x.py:1) 3\n"
        "main (voicertc/serve.py:10);run (asyncio/runners.py:1);select (selectors.py:1) 2\n"
        "run (threading.py:1) 1\n"
        "main (voicertc/cli.py:1);receive (aiortc/rtcdtlstransport.py:2) 4\n"
    )
    assert parts.counted(stacks) == {
        "speech detection": 3,
        "the event loop": 2,
        "other": 1,
        "packets: ICE, DTLS, SRTP, RTP, SCTP": 4,
    }

"""What a client chooses about its sound takes effect at once; what an agent tells reaches the clients."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np

from tests.session.conftest import Stage
from voicertc.audio.pcm import HEARING_FRAME, PcmFrame, Samples
from voicertc.core import events, facts
from voicertc.core.options import NoiseReduction, SessionOptions, TurnDetection
from voicertc.testing import virtual_time
from voicertc.testing.fakes import LOUD


async def hears(stage: Stage, sound: Samples, position: int) -> int:
    """Let the session hear ``sound`` in real time from ``position`` on; return where it ends."""
    for begin in range(0, len(sound), HEARING_FRAME):
        await asyncio.sleep(0.02)
        stage.session.hear(PcmFrame(sound[begin : begin + HEARING_FRAME], position + begin))
    return position + len(sound)


def test_the_threshold_that_a_client_asks_for_decides_what_is_speech() -> None:
    async def main() -> None:
        stage = Stage(["hello"])
        speech = np.full(50 * HEARING_FRAME, 3 * LOUD // 2, np.int16)
        sound = np.concatenate((speech, np.zeros_like(speech)))
        deaf = SessionOptions(turn_detection=TurnDetection(threshold=1.0))
        stage.session.post(events.SessionUpdated(deaf))
        position = await hears(stage, sound, 0)
        assert stage.line.history == []
        stage.session.post(events.SessionUpdated(replace(deaf, turn_detection=TurnDetection())))
        await hears(stage, sound, position)
        assert stage.line.history == [("user", "hello")]
        await stage.session.close()

    virtual_time.run(main())


def test_noise_is_taken_out_of_what_is_recognized_for_as_long_as_the_client_wants() -> None:
    async def main() -> None:
        stage = Stage(["hello", "again"])
        noise = np.random.default_rng(1).normal(0, 1_000, 200 * HEARING_FRAME).astype(np.int16)
        plain = SessionOptions(turn_detection=None)
        stage.session.post(events.SessionUpdated(replace(plain, noise_reduction=NoiseReduction("far_field"))))
        position = await hears(stage, noise, 0)
        stage.session.post(events.InputCommitRequested())
        stage.session.post(events.SessionUpdated(plain))
        await hears(stage, noise, position)
        stage.session.post(events.InputCommitRequested())
        await asyncio.sleep(1.0)
        reduced, whole = (power_of(frame.samples) for frame in stage.recognizer.first_frames)
        assert 10 * np.log10(whole / reduced) > 8
        await stage.session.close()

    virtual_time.run(main())


def power_of(samples: Samples) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2))


def test_an_agent_tells_of_its_own_tools_and_of_who_takes_over() -> None:
    async def main() -> None:
        stage = Stage()
        stage.session.for_agent.tool_progressed("search", "progress", "half")
        stage.session.for_agent.handed_off("billing")
        told = [fact for _, fact in stage.line.facts]
        assert told[-2:] == [facts.ToolProgressed("search", "progress", "half"), facts.HandedOff("billing")]
        await stage.session.close()

    virtual_time.run(main())

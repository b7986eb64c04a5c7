"""What a caller hears beside the replies, as the session goes; the sounds are constants, to be told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.session.conftest import QUIET, Stage
from voicertc.audio.pcm import PLAYOUT_FRAME
from voicertc.audio.sounds import Sound, SoundSet
from voicertc.core import events, facts
from voicertc.core.items import Modality
from voicertc.core.options import SessionOptions, SoundOptions
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, ScriptedAgent, voiced


def constant(level: int) -> Sound:
    return Sound(np.full(10 * PLAYOUT_FRAME, level, np.int16))


SOUNDS = SoundSet(
    thinking={"default": constant(10_000), "pulse": constant(20_000)},
    ambient={"default": constant(1_000), "rain": constant(2_000)},
)
TICK = 0.02
SLOW = 3.0
"""Seconds that the agent works: the words are there at 2.85, the reply is heard from 5.96 on."""


def stage(*, work: float = SLOW, words: float = 0.15, **options: object) -> Stage:
    """A caller who speaks from 1.0 to 2.2, and an agent that takes its time."""
    session = SessionOptions(**options)  # type: ignore[arg-type]  # whatever a test gives
    made = Stage(
        setup=replace(QUIET, session=session, sounds=SOUNDS),
        recognizer=FakeRecognizer(["hello there", "never mind"], delay=words),
        agent=ScriptedAgent(lambda text: f"You said {text}.", delay=work),
    )
    made.line.says(1.0, lasts=1.2)
    return made


def level_at(made: Stage, when: float) -> int:
    """What the last sample of the block that left at ``when`` was; 0: there was none."""
    return next((int(block[-1]) for at, block in made.line.heard if abs(at - when) < TICK / 2), 0)


def change(made: Stage, sounds: SoundOptions) -> None:
    made.session.post(events.SessionUpdated(replace(made.session.options, sounds=sounds)))


def test_an_agent_that_works_for_long_is_heard_to_work_until_its_reply_begins() -> None:
    async def main() -> None:
        made = stage()
        await made.line.run(until=12.0)
        thinking = next(
            at
            for at, fact in made.line.facts
            if isinstance(fact, facts.StateChanged) and fact.state is facts.State.THINKING
        )
        begin = made.line.heard[0][0]
        assert 0.7 <= begin - thinking < 0.7 + TICK
        sounds = [at for at, block in made.line.heard if block[-1] == 3_000]
        assert round(sounds[0] + TICK - begin, 2) == 0.3  # to get to 0.3 of 10 000
        reply = np.concatenate([block for at, block in made.line.heard if at > sounds[-1]])
        expected = voiced("You said hello there.")
        assert np.array_equal(reply[: len(expected)], expected)  # from its first sample on, and alone
        assert round(made.line.heard[-1][0] - sounds[-1], 2) == len(expected) / 24_000
        await made.session.close()

    virtual_time.run(main())


def test_a_quick_agent_is_not_and_the_wait_for_the_words_is_no_work() -> None:
    async def main() -> None:
        made = stage(work=0.5, words=2.0)
        await made.line.run(until=12.0)
        begin = made.line.audible[0][0]  # 2.2, silence 0.5, words 2.0, agent 0.5, voice 0.1
        assert begin == pytest.approx(5.3, abs=1.5 * TICK)
        assert made.line.heard[0][1][0] == voiced("Y")[0]
        await made.session.close()

    virtual_time.run(main())


def test_who_goes_on_speaking_makes_the_sound_fade_away() -> None:
    async def main() -> None:
        made = stage()
        made.line.says(4.5, lasts=1.0)
        await made.line.run(until=5.5)
        begin, end = made.line.audible[0]
        assert round(begin, 1) == 3.6
        assert 0.28 <= end - 4.54 <= 0.34  # two loud frames, then the fade
        assert level_at(made, end) < 200
        await made.session.close()

    virtual_time.run(main())


def test_a_client_changes_all_of_it_in_the_middle() -> None:
    async def main() -> None:
        made = stage()
        await made.line.run(until=4.2)
        assert level_at(made, 4.2) == 3_000
        change(made, SoundOptions(thinking_sound="pulse", thinking_volume=0.5, enable_ambient=True))
        await made.line.run(until=4.6)
        assert level_at(made, 4.58) == 10_100  # half of 20 000, and a tenth of 1 000
        change(
            made,
            SoundOptions(
                enable_thinking_sound=False, enable_ambient=True, ambient_sound="rain", ambient_volume=0.2
            ),
        )
        await made.line.run(until=5.0)
        assert level_at(made, 4.98) == 400
        await made.line.run(until=6.5)
        at = next(at for at, block in made.line.heard if block[0] == 401)
        assert round(at, 2) == 5.96  # the reply counts from 1, on the bed
        await made.session.close()

    virtual_time.run(main())


def test_the_operator_can_have_calls_begin_with_a_bed() -> None:
    async def main() -> None:
        made = stage(sounds=SoundOptions(enable_ambient=True, ambient_sound="rain"))
        await made.line.run(until=1.0)
        assert level_at(made, 0.02) < 30
        assert level_at(made, 0.32) == level_at(made, 0.98) == 200
        await made.session.close()

    virtual_time.run(main())


def test_who_reads_the_answer_hears_no_thinking() -> None:
    async def main() -> None:
        made = stage(output=Modality.TEXT)
        await made.line.run(until=12.0)
        assert made.line.heard == []
        assert made.line.history[-1] == ("assistant", "You said hello there.")
        await made.session.close()

    virtual_time.run(main())


def test_nothing_is_mixed_for_who_plays_at_its_own_pace() -> None:
    async def main() -> None:
        loud = SoundOptions(enable_ambient=True)
        made = Stage(
            setup=replace(QUIET, session=SessionOptions(sounds=loud), sounds=SOUNDS), sink=lambda *_: None
        )
        assert not made.session.sounds.is_needed
        change(made, replace(loud, ambient_sound="rain"))
        made.session.sounds.think(True)
        assert not made.session.sounds.is_needed
        await made.session.close()

    virtual_time.run(main())

"""The mixer with sounds whose every sample is known: a constant one shows its gain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.signals import decibels, white
from voicertc.audio.mixer import Mixer
from voicertc.audio.pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ, Samples
from voicertc.audio.sounds import Sound

SECOND = PLAYOUT_RATE_HZ // PLAYOUT_FRAME
"""Ticks."""
PATIENCE = 35
"""Ticks of 20 ms in 0.7 s."""
FADE = 15
"""Ticks of 20 ms in 0.3 s."""
FADE_SAMPLES = FADE * PLAYOUT_FRAME


def constant(level: int) -> Sound:
    return Sound(np.full(10 * PLAYOUT_FRAME, level, np.int16))


def noise(level_db: float, seed: int) -> Sound:
    return Sound(white(100 * PLAYOUT_FRAME, level_db, seed))


def reply(level: int = 5_000) -> Samples:
    return np.full(PLAYOUT_FRAME, level, np.int16)


def heard(mixer: Mixer, n_ticks: int) -> npt.NDArray[np.int64]:
    """What comes out without a reply; nothing is zeros."""
    blocks = [mixer.mix(None) for _ in range(n_ticks)]
    zeros = np.zeros(PLAYOUT_FRAME, np.int16)
    return np.concatenate([zeros if block is None else block for block in blocks]).astype(np.int64)


def rising(level: float) -> npt.NDArray[np.float64]:
    return level * np.sin(np.pi / 2 * np.arange(1, FADE_SAMPLES + 1) / FADE_SAMPLES)


def thinking_mixer(level: int = 10_000, volume: float = 1.0) -> Mixer:
    """One whose thinking sound is there in full."""
    mixer = Mixer()
    mixer.choose_thinking(constant(level), volume)
    mixer.think(True)
    heard(mixer, PATIENCE + FADE)
    return mixer


def ambient_mixer(sound: Sound, volume: float = 1.0) -> Mixer:
    """One whose ambient bed is there in full."""
    mixer = Mixer()
    mixer.choose_ambient(sound, volume)
    heard(mixer, FADE)
    return mixer


class TestNothingChosen:
    def test_blocks_pass_untouched_and_silence_stays_silence(self) -> None:
        mixer = Mixer()
        mixer.think(True)
        block = reply()
        assert mixer.mix(block) is block
        assert [mixer.mix(None) for _ in range(SECOND)] == [None] * SECOND
        assert not mixer.is_needed

    def test_a_sound_at_no_volume_is_none(self) -> None:
        mixer = Mixer()
        mixer.choose_thinking(constant(1_000), 0.0)
        mixer.choose_ambient(constant(1_000), 0.0)
        mixer.think(True)
        assert not mixer.is_needed


class TestTheThinkingSound:
    def test_it_begins_when_the_agent_has_worked_for_700_ms_and_rises_for_300(self) -> None:
        mixer = Mixer()
        mixer.choose_thinking(constant(10_000), 0.3)
        mixer.think(True)
        assert [mixer.mix(None) for _ in range(PATIENCE - 1)] == [None] * (PATIENCE - 1)
        mixer.think(True)  # that it still does is no news
        assert mixer.mix(None) is None
        assert mixer.is_needed
        assert np.abs(heard(mixer, FADE) - rising(3_000)).max() <= 1
        assert set(heard(mixer, 50)) == {3_000}

    def test_an_agent_that_is_quicker_is_never_heard_to_think(self) -> None:
        mixer = Mixer()
        mixer.choose_thinking(constant(10_000))
        mixer.think(True)
        heard(mixer, PATIENCE - 1)
        mixer.think(False)
        assert not mixer.is_needed
        mixer.think(True)  # what it worked before does not count
        assert [mixer.mix(None) for _ in range(PATIENCE)] == [None] * PATIENCE
        assert mixer.mix(None) is not None

    def test_it_is_gone_at_the_replys_first_sample(self) -> None:
        mixer = thinking_mixer()
        assert set(heard(mixer, 1)) == {10_000}
        for block in (reply(), reply(), None, None):
            assert mixer.mix(block) is block
        assert not mixer.is_needed

    def test_nor_does_it_begin_while_a_reply_is_heard(self) -> None:
        mixer = Mixer()
        mixer.choose_thinking(constant(10_000))
        mixer.think(True)
        heard(mixer, PATIENCE - 1)
        block = reply()
        assert [mixer.mix(block) is block for _ in range(SECOND)] == [True] * SECOND
        assert [mixer.mix(None) for _ in range(SECOND)] == [None] * SECOND

    def test_it_falls_for_300_ms_when_the_agent_stops_without_a_reply(self) -> None:
        mixer = thinking_mixer()
        mixer.think(False)
        assert np.abs(heard(mixer, FADE) - rising(10_000)[::-1]).max() <= 1
        assert mixer.mix(None) is None
        assert not mixer.is_needed

    def test_it_falls_from_where_it_had_come_to(self) -> None:
        mixer = Mixer()
        mixer.choose_thinking(constant(10_000))
        mixer.think(True)
        heard(mixer, PATIENCE + 5)
        mixer.think(False)
        expected = rising(10_000)[: 5 * PLAYOUT_FRAME][::-1]
        assert np.abs(heard(mixer, 5) - expected).max() <= 1
        assert not mixer.is_needed

    def test_each_thought_begins_with_the_sounds_own_beginning(self) -> None:
        mixer = Mixer()
        ramp = Sound(np.arange(100 * PLAYOUT_FRAME, dtype=np.int64).astype(np.int16))
        mixer.choose_thinking(ramp)
        for _ in range(2):
            mixer.think(True)
            heard(mixer, PATIENCE + FADE)
            assert heard(mixer, 1)[0] == FADE_SAMPLES
            mixer.think(False)
            heard(mixer, FADE)

    def test_it_can_be_changed_switched_off_and_on_while_it_is_heard(self) -> None:
        mixer = thinking_mixer()
        mixer.choose_thinking(constant(2_000))
        heard(mixer, FADE)
        assert set(heard(mixer, 1)) == {2_000}
        mixer.choose_thinking(None)
        heard(mixer, FADE)
        assert not mixer.is_needed
        mixer.choose_thinking(constant(3_000))  # the agent has worked for long enough
        assert np.abs(heard(mixer, FADE) - rising(3_000)).max() <= 1

    def test_switched_on_while_the_agent_works_it_waits_its_time(self) -> None:
        mixer = Mixer()
        mixer.think(True)
        mixer.choose_thinking(constant(3_000))
        assert [mixer.mix(None) for _ in range(PATIENCE)] == [None] * PATIENCE
        assert mixer.mix(None) is not None


class TestTheAmbientBed:
    def test_it_rises_at_the_calls_start_and_goes_round_without_end(self) -> None:
        sound = noise(-20, seed=1)
        mixer = Mixer()
        mixer.choose_ambient(sound)
        out = heard(mixer, 3 * len(sound.samples) // PLAYOUT_FRAME)
        assert np.abs(out[:FADE_SAMPLES] - rising(1.0) * sound.samples[:FADE_SAMPLES]).max() <= 1
        assert np.array_equal(out[FADE_SAMPLES:], np.tile(sound.samples, 3)[FADE_SAMPLES:])

    def test_it_goes_on_beneath_a_reply_to_which_it_is_added(self) -> None:
        sound = noise(-30, seed=1)
        mixer = ambient_mixer(sound, 0.5)
        voice = white(5 * PLAYOUT_FRAME, -20, seed=2)
        before = voice.copy()
        blocks = [mixer.mix(block) for block in voice.reshape(5, PLAYOUT_FRAME)]
        out = np.concatenate([block for block in blocks if block is not None]).astype(np.int64)
        bed = sound.samples[FADE_SAMPLES : FADE_SAMPLES + len(voice)] * 0.5
        assert np.abs(out - voice - bed).max() <= 0.5
        assert np.array_equal(voice, before)  # playout's samples are the voice's own

    def test_a_sum_that_is_too_loud_is_held_at_the_limit(self) -> None:
        mixer = ambient_mixer(constant(20_000))
        assert mixer.mix(reply(30_000)).tolist() == [32_767] * PLAYOUT_FRAME  # type: ignore[union-attr]
        mixer = ambient_mixer(constant(-20_000))
        assert mixer.mix(reply(-30_000)).tolist() == [-32_768] * PLAYOUT_FRAME  # type: ignore[union-attr]

    def test_another_takes_over_within_300_ms_at_even_power(self) -> None:
        first, second = noise(-20, seed=1), noise(-20, seed=2)
        mixer = ambient_mixer(first)
        mixer.choose_ambient(second)
        out = heard(mixer, FADE)
        falling, rise = rising(1.0)[::-1], rising(1.0)
        expected = (
            first.samples[FADE_SAMPLES : 2 * FADE_SAMPLES] * falling + second.samples[:FADE_SAMPLES] * rise
        )
        assert np.abs(out - expected).max() <= 1
        levels = [decibels(np.sqrt(np.mean(part.astype(float) ** 2)) / 3_277) for part in np.split(out, 5)]
        assert max(map(abs, levels)) < 0.5
        after = second.samples[FADE_SAMPLES : FADE_SAMPLES + PLAYOUT_FRAME]
        assert np.array_equal(heard(mixer, 1), after)

    def test_a_third_waits_until_one_of_two_is_gone(self) -> None:
        mixer = ambient_mixer(constant(1_000))
        mixer.choose_ambient(constant(2_000))
        heard(mixer, 5)
        mixer.choose_ambient(constant(16_000))
        first, second = rising(1_000)[::-1], rising(2_000)
        part = 5 * PLAYOUT_FRAME
        assert np.abs(heard(mixer, 5) - first[part : 2 * part] - second[:part][::-1]).max() <= 1
        assert np.abs(heard(mixer, 5) - first[2 * part :] - rising(16_000)[:part]).max() <= 1

    def test_of_many_changes_in_a_row_the_last_counts_within_two_fades(self) -> None:
        mixer = ambient_mixer(constant(1_000))
        for level in range(2_000, 9_000, 500):
            mixer.choose_ambient(constant(level))
            heard(mixer, 1)
        mixer.choose_ambient(constant(500))
        heard(mixer, 2 * FADE)
        assert set(heard(mixer, 1)) == {500}

    def test_who_changes_back_at_once_hears_the_same_sound_go_on(self) -> None:
        first, second = noise(-20, seed=1), noise(-20, seed=2)
        mixer = ambient_mixer(first)
        mixer.choose_ambient(second)
        heard(mixer, 4)
        mixer.choose_ambient(first)
        heard(mixer, 4)
        position = (FADE + 8) * PLAYOUT_FRAME
        assert np.array_equal(heard(mixer, 1), first.samples[position : position + PLAYOUT_FRAME])

    def test_its_volume_goes_to_another_in_a_straight_line(self) -> None:
        sound = constant(10_000)
        mixer = ambient_mixer(sound, 0.1)
        mixer.choose_ambient(sound, 0.4)
        line = 1_000 + 3_000 * np.arange(1, FADE_SAMPLES + 1) / FADE_SAMPLES
        assert np.abs(heard(mixer, FADE) - line).max() <= 1
        assert set(heard(mixer, 10)) == {4_000}

    def test_the_thinking_sound_goes_and_it_stays(self) -> None:
        mixer = thinking_mixer(2_000)
        mixer.choose_ambient(constant(1_000))
        heard(mixer, FADE)
        assert set(heard(mixer, 1)) == {3_000}
        assert set(mixer.mix(reply(5_000))) == {6_000}  # type: ignore[arg-type]
        assert set(heard(mixer, 1)) == {1_000}

    def test_switched_off_it_falls_and_then_costs_nothing(self) -> None:
        mixer = ambient_mixer(constant(1_000))
        mixer.choose_ambient(None)
        assert np.abs(heard(mixer, FADE) - rising(1_000)[::-1]).max() <= 1
        assert not mixer.is_needed
        block = reply()
        assert mixer.mix(block) is block

    def test_switched_off_before_it_was_heard_it_never_is(self) -> None:
        mixer = Mixer()
        mixer.choose_ambient(constant(1_000))
        mixer.choose_ambient(None)
        assert not mixer.is_needed
        assert mixer.mix(None) is None


class TestWhoSleeps:
    @pytest.fixture
    def called(self) -> list[bool]:
        return []

    @pytest.fixture
    def mixer(self, called: list[bool]) -> Mixer:
        mixer = Mixer()
        mixer.on_needed = lambda: called.append(mixer.is_needed)
        return mixer

    def test_is_told_once_when_a_thought_begins(self, mixer: Mixer, called: list[bool]) -> None:
        mixer.choose_thinking(constant(1_000))
        assert called == []
        mixer.think(True)
        mixer.think(True)
        heard(mixer, 2 * SECOND)
        assert called == [True]
        mixer.think(False)
        heard(mixer, FADE)
        mixer.think(True)
        assert called == [True, True]

    def test_is_told_of_an_ambient_bed(self, mixer: Mixer, called: list[bool]) -> None:
        mixer.choose_ambient(constant(1_000))
        mixer.choose_ambient(constant(2_000), 0.5)
        assert called == [True]

    def test_is_told_of_a_thinking_sound_for_a_thought_under_way(
        self, mixer: Mixer, called: list[bool]
    ) -> None:
        mixer.think(True)
        assert called == []
        mixer.choose_thinking(constant(1_000))
        assert called == [True]


SOUNDS = [constant(level) for level in (1_000, -4_000, 9_000)]
CHOICES = st.tuples(st.sampled_from([None, *SOUNDS]), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
THINK = st.tuples(st.just("think"), st.booleans())
THINKING = st.tuples(st.just("thinking"), CHOICES)
AMBIENT = st.tuples(st.just("ambient"), CHOICES)
MIX = st.tuples(st.just("mix"), st.integers(1, 50))
REPLY = st.tuples(st.just("reply"), st.integers(1, 3))


def perform(mixer: Mixer, step: tuple[str, object]) -> npt.NDArray[np.int64]:
    """What comes out where no reply goes in."""
    match step:
        case "think", bool(is_thinking):
            mixer.think(is_thinking)
        case "thinking", (sound, volume):
            mixer.choose_thinking(sound, volume)
        case "ambient", (sound, volume):
            mixer.choose_ambient(sound, volume)
        case "mix", int(n_ticks):
            return heard(mixer, n_ticks)
    return np.zeros(0, np.int64)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(THINK, THINKING, AMBIENT, MIX), max_size=30))
def test_whatever_is_chosen_nothing_ever_jumps(steps: list[tuple[str, object]]) -> None:
    """Constant sounds make every jump of a gain one of the sample."""
    mixer = Mixer()
    out = np.concatenate([np.zeros(1), *(perform(mixer, step) for step in steps)])
    steepest = 9_000 * (np.pi / 2 + 1) / FADE_SAMPLES  # of one sound: its fade and its volume's ramp
    assert np.abs(np.diff(out)).max(initial=0) <= 4 * steepest + 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(THINK, THINKING, MIX, REPLY), max_size=30))
def test_whatever_is_chosen_no_thinking_sound_is_in_or_right_behind_a_reply(
    steps: list[tuple[str, object]],
) -> None:
    mixer = Mixer()
    mixer.choose_thinking(SOUNDS[0])
    mixer.think(True)
    block = reply()
    for step in [*steps, ("reply", 1)]:
        perform(mixer, step)
        if step[0] == "reply":
            assert [mixer.mix(block) is block, mixer.mix(None)] == [True, None]
            assert not mixer.is_needed

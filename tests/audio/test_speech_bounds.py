from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.audio.speech_bounds import SpeechBounds, SpeechSign, VadOptions
from voicertc.errors import SettingsError

WINDOW = 0.032


def signs_of(*probabilities: float, options: VadOptions | None = None) -> list[tuple[int, SpeechSign]]:
    """The signs with the number of the window (from 0) after which they came."""
    bounds = SpeechBounds(options or VadOptions())
    signs = []
    for i, probability in enumerate(probabilities):
        if sign := bounds.judge(probability, 512 * i, 512 * (i + 1)):
            signs.append((i, sign))
    return signs


def suspected(window: int) -> SpeechSign:
    return SpeechSign("suspected", window * WINDOW)


def started(window: int) -> SpeechSign:
    return SpeechSign("started", window * WINDOW)


def stopped(behind_window: int) -> SpeechSign:
    return SpeechSign("stopped", (behind_window + 1) * WINDOW)


def test_one_certain_window_starts_speech() -> None:
    assert signs_of(0, 0, 0.85, 0.9) == [(2, started(2))]


def test_below_certain_is_not_a_start_however_often_and_one_doubt_is_nothing() -> None:
    assert signs_of(0, 0.84, 0, 0.84, 0.49, 0.84) == []


def test_two_doubts_in_a_row_are_a_suspicion() -> None:
    assert signs_of(0, 0.5, 0.5, 0.6) == [(2, suspected(1))]


def test_a_suspicion_may_become_a_start_with_the_same_time() -> None:
    assert signs_of(0, 0.5, 0.5, 0.4, 0.6, 0.9) == [(2, suspected(1)), (5, started(1))]


def test_a_suspicion_that_comes_to_nothing_stops_where_it_was_last_suspicious() -> None:
    assert signs_of(0, 0.6, 0.6, 0.4, 0.3, 0.2, 0.1, 0) == [(2, suspected(1)), (7, stopped(2))]


def test_a_start_is_dated_back_over_the_windows_that_belong_to_the_word() -> None:
    assert signs_of(0, 0.05, 0.2, 0.4, 0.45, 0.9) == [(5, started(2))]


def test_a_start_is_dated_back_over_three_faint_windows_at_most() -> None:
    assert signs_of(0.2, 0.2, 0.2, 0.2, 0.2, 0.9) == [(5, started(2))]


def test_a_start_is_dated_back_by_half_a_second_at_most() -> None:
    assert signs_of(*[0.4] * 40, 0.9) == [(40, started(25))]


def test_speech_stops_behind_its_last_certain_window_after_the_hangover() -> None:
    assert signs_of(0.9, 0.9, 0.6, 0.2, 0.2, 0.2, 0.2, 0.2) == [(0, started(0)), (6, stopped(1))]


def test_the_closure_of_a_plosive_does_not_stop_speech() -> None:
    assert signs_of(0.9, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1) == [(0, started(0))]


def test_soft_syllables_keep_speech_going_but_do_not_move_its_end() -> None:
    assert signs_of(0.9, *[0.5] * 30, *[0.1] * 4) == [(0, started(0)), (34, stopped(0))]


def test_speech_may_start_again() -> None:
    assert signs_of(0.9, 0, 0, 0, 0, 0.9) == [(0, started(0)), (4, stopped(0)), (5, started(5))]


def test_the_hangover_is_counted_in_time() -> None:
    patient = VadOptions(hangover=0.3)
    assert signs_of(0.9, *[0.0] * 9, options=patient) == [(0, started(0))]
    assert signs_of(0.9, *[0.0] * 10, options=patient) == [(0, started(0)), (10, stopped(0))]


def test_closing_ends_what_is_open_and_only_that() -> None:
    bounds = SpeechBounds(VadOptions())
    assert bounds.close() is None
    bounds.judge(0.9, 0, 512)
    bounds.judge(0.4, 512, 1024)
    assert bounds.close() == stopped(0)
    assert bounds.close() is None


def test_windows_before_a_gap_do_not_belong_to_a_word_behind_it() -> None:
    bounds = SpeechBounds(VadOptions())
    bounds.judge(0.4, 0, 512)
    bounds.forget()
    assert bounds.judge(0.9, 16_000, 16_512) == SpeechSign("started", 1.0)


def test_a_start_is_not_dated_back_into_the_speech_before_it() -> None:
    hasty = VadOptions(hangover=0.0)
    assert signs_of(0.9, 0.9, 0.2, 0.9, options=hasty) == [
        *((0, started(0)), (2, stopped(1)), (3, started(2))),
    ]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0, 1), max_size=80), st.sampled_from([0.0, 0.032, 0.128]))
def test_signs_come_in_order_and_never_from_the_future(probabilities: list[float], hangover: float) -> None:
    allowed = {
        "silence": {"suspected", "started"},
        "suspected": {"started", "stopped"},
        "started": {"stopped"},
    }
    state, began, ended = "silence", 0.0, 0.0
    for i, sign in signs_of(*probabilities, options=VadOptions(hangover=hangover)):
        assert sign.kind in allowed[state]
        assert sign.at <= (i + 1) * WINDOW
        if sign.kind == "stopped":
            assert sign.at > began
            ended = sign.at
        elif state == "suspected":
            assert sign.at == began
        else:
            assert sign.at >= ended
            began = sign.at
        state = "silence" if sign.kind == "stopped" else sign.kind


def test_options_that_contradict_each_other_are_refused_all_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        VadOptions(start_threshold=0.4, hangover=-1, gate_mode=4)  # type: ignore[arg-type] # that is the point
    assert caught.value.mistakes == (
        "the thresholds must be ordered: 0 < stop <= suspect <= start < 1",
        "hangover must be 0 to 2 seconds, not -1",
        "gate_mode must be 0, 1, 2 or 3, not 4",
    )


def test_a_client_s_threshold_of_a_half_leaves_the_operator_s_options() -> None:
    for options in (VadOptions(), VadOptions(0.7, 0.6, 0.1, 0.3, 2)):
        assert options.tuned(0.5) == options


def test_the_thresholds_move_with_the_client_s_and_nothing_else_does() -> None:
    options = VadOptions(hangover=0.3, gate_mode=2)
    least, most = options.tuned(0.0), options.tuned(1.0)
    assert (least.hangover, least.gate_mode) == (most.hangover, most.gate_mode) == (0.3, 2)
    assert (least.start_threshold, least.suspect_threshold, least.stop_threshold) == pytest.approx(
        (0.317, 0.076, 0.042), abs=0.001
    )
    assert (most.start_threshold, most.suspect_threshold, most.stop_threshold) == pytest.approx(
        (0.986, 0.924, 0.868), abs=0.001
    )


@given(
    thresholds=st.tuples(*[st.floats(0.001, 0.999)] * 3).map(sorted),
    one=st.floats(0, 1),
    other=st.floats(0, 1),
)
def test_a_higher_threshold_never_makes_anything_speech_that_was_none(
    thresholds: list[float], one: float, other: float
) -> None:
    stop, suspect, start = thresholds
    lower, higher = (VadOptions(start, suspect, stop).tuned(value) for value in sorted((one, other)))
    assert lower.start_threshold <= higher.start_threshold
    assert lower.suspect_threshold <= higher.suspect_threshold
    assert lower.stop_threshold <= higher.stop_threshold

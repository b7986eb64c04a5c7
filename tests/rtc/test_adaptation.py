from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicertc.audio.opus import CodingMode
from voicertc.rtc.adaptation import LinkAdaptation


def modes(losses: list[float], *, every: float = 1.0) -> list[CodingMode]:
    adaptation = LinkAdaptation(bit_rate=48_000)
    return [adaptation.report(loss, 0.05, every * n).mode for n, loss in enumerate(losses)]


def test_a_clean_link_stays_with_celt() -> None:
    adaptation = LinkAdaptation(bit_rate=48_000)
    for n in range(10):
        coding = adaptation.report(0.01, 0.05, float(n))
    assert (coding.mode, coding.bit_rate, coding.loss_percent) == (CodingMode.CLEAN, 48_000, 0)


def test_the_first_report_of_loss_brings_error_correction_for_as_much() -> None:
    adaptation = LinkAdaptation(bit_rate=48_000)
    assert adaptation.report(0.03, 0.05, 1.0).mode is CodingMode.LOSSY
    assert adaptation.coding.loss_percent == 5
    assert adaptation.report(0.11, 0.05, 2.0).loss_percent == 10
    assert adaptation.report(0.9, 0.05, 3.0).loss_percent == 30
    assert adaptation.coding.bit_rate == 40_000


def test_a_link_that_was_lossy_is_believed_clean_after_a_while() -> None:
    found = modes([0.05] + [0.0] * 20)
    assert found.index(CodingMode.CLEAN) == 16


def test_one_more_loss_begins_the_wait_anew() -> None:
    found = modes([0.05] + [0.0] * 10 + [0.015] + [0.0] * 20)
    assert found.index(CodingMode.CLEAN) == 27


def test_a_lasting_loss_between_the_bounds_changes_nothing_either_way() -> None:
    assert set(modes([0.015] * 60)) == {CodingMode.CLEAN}
    assert set(modes([0.05] + [0.015] * 60)) == {CodingMode.LOSSY}


def test_a_full_link_gets_fewer_bits() -> None:
    adaptation = LinkAdaptation(bit_rate=48_000)
    assert adaptation.report(0.25, 0.9, 1.0).bit_rate == 24_000
    assert adaptation.report(0.25, 0.05, 2.0).bit_rate == 40_000, "lossy, not full"


def test_a_low_bit_rate_that_was_chosen_is_never_exceeded() -> None:
    adaptation = LinkAdaptation(bit_rate=16_000)
    assert adaptation.coding.bit_rate == 16_000
    assert adaptation.report(0.1, None, 1.0).bit_rate == 16_000


@given(st.lists(st.tuples(st.floats(0, 1), st.one_of(st.none(), st.floats(0, 2)), st.floats(0, 10))))
def test_no_reports_lead_out_of_bounds(reports: list[tuple[float, float | None, float]]) -> None:
    adaptation, now = LinkAdaptation(bit_rate=48_000), 0.0
    for loss, round_trip, pause in reports:
        now += pause
        coding = adaptation.report(loss, round_trip, now)
        assert 6_000 <= coding.bit_rate <= 48_000
        assert (coding.loss_percent > 0) == (coding.mode is CodingMode.LOSSY)
        assert coding.loss_percent <= 30
        assert loss <= 0.02 or coding.mode is CodingMode.LOSSY

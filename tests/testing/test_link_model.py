from __future__ import annotations

from itertools import groupby

import pytest

from voicertc.testing.link_model import CLEAN, RTP_ONLY, Fortune, Kind, LinkModel, kind_of

N = 40_000


def fates(model: LinkModel, n: int = N, seed: str = "1", kind: Kind = Kind.RTP) -> list[tuple[float, ...]]:
    fortune = Fortune(seed)
    return [fortune.next(model, kind) for _ in range(n)]


def rows_of_losses(found: list[tuple[float, ...]]) -> list[int]:
    return [len(list(row)) for is_lost, row in groupby(found, key=lambda fate: not fate) if is_lost]


@pytest.mark.parametrize(
    ("datagram", "kind"),
    [
        (b"\x00\x01", Kind.STUN),
        (b"\x01\x01", Kind.STUN),
        (b"\x16\xfe\xfd", Kind.DTLS),
        (b"\x80\x60", Kind.RTP),
        (b"\x80\xe0", Kind.RTP),
        (b"\x90\xef", Kind.RTP),
        (b"\x80\xc8", Kind.RTCP),
        (b"\x81\xc9", Kind.RTCP),
        (b"\x80\xdf", Kind.RTCP),
        (b"\x80", Kind.RTP),
        (b"\x40\x00", Kind.OTHER),
        (b"\xff", Kind.OTHER),
        (b"", Kind.OTHER),
    ],
)
def test_a_datagram_is_known_by_its_first_bytes(datagram: bytes, kind: Kind) -> None:
    assert kind_of(datagram) is kind


def test_a_clean_link_does_nothing() -> None:
    assert fates(CLEAN, 1000) == [(0.0,)] * 1000


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("burst", [1.0, 4.0])
def test_so_many_are_lost_in_rows_of_such_length(loss: float, burst: float) -> None:
    found = fates(LinkModel(loss=loss, burst=burst))
    rows = rows_of_losses(found)
    assert sum(rows) / N == pytest.approx(loss, rel=0.15)
    assert sum(rows) / len(rows) == pytest.approx(burst / (1 - loss), rel=0.12)


def test_nothing_passes_a_link_that_loses_everything() -> None:
    assert fates(LinkModel(loss=1.0, burst=3.0), 1000)[20:] == [()] * 980


def test_the_same_seed_brings_the_same_fates_and_another_does_not() -> None:
    model = LinkModel(loss=0.1, burst=2.0, delay=0.02, jitter=0.01, reorder=0.1, duplicate=0.1)
    assert fates(model, 500) == fates(model, 500)
    assert fates(model, 500) != fates(model, 500, seed="2")


def test_the_fates_of_a_seed_are_those_of_every_version() -> None:
    """A fixture made with one version is to mean the same with the next."""
    lost = [number for number, fate in enumerate(fates(LinkModel(loss=0.05), 200)) if not fate]
    assert lost == [41, 55, 132, 187]


def test_a_model_that_changes_changes_nothing_behind_it() -> None:
    hard = LinkModel(loss=0.3, delay=0.01)
    soft = LinkModel(loss=0.01, jitter=0.005, delay=0.01, duplicate=0.5)
    one, other = Fortune("1"), Fortune("1")
    for _ in range(100):
        one.next(hard, Kind.RTP)
        other.next(soft, Kind.RTP)
    calm = LinkModel(delay=0.02, jitter=0.01, reorder=0.1)
    assert [one.next(calm, Kind.RTP) for _ in range(100)][1:] == [
        other.next(calm, Kind.RTP) for _ in range(100)
    ][1:]


def test_delays_vary_evenly_around_the_middle_and_some_fall_back() -> None:
    found = [fate[0] for fate in fates(LinkModel(delay=0.02, jitter=0.01))]
    assert 0.01 <= min(found) < 0.011
    assert 0.029 < max(found) <= 0.03
    assert sum(found) / N == pytest.approx(0.02, rel=0.02)
    assert min(fate[0] for fate in fates(LinkModel(jitter=0.01))) == 0.0
    late = [fate for fate in fates(LinkModel(delay=0.01, reorder=0.2, reorder_by=0.03)) if fate[0] > 0.01]
    assert len(late) / N == pytest.approx(0.2, rel=0.05)
    assert set(late) == {(0.04,)}


def test_some_are_doubled() -> None:
    found = fates(LinkModel(duplicate=0.3))
    assert found.count((0.0, 0.0)) / N == pytest.approx(0.3, rel=0.05)
    assert found.count((0.0,)) + found.count((0.0, 0.0)) == N


def test_what_is_not_to_be_hurt_is_only_delayed() -> None:
    model = LinkModel(loss=0.9, delay=0.02, jitter=0.01, reorder=0.9, duplicate=0.9, hurts=RTP_ONLY)
    for kind in Kind:
        assert (fates(model, 100, kind=kind) == [(0.02,)] * 100) == (kind is not Kind.RTP)


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 1.1},
        {"loss": -0.1},
        {"reorder": 2},
        {"duplicate": -1},
        {"delay": -1},
        {"jitter": -1},
        {"reorder_by": -0.1},
        {"burst": 0.9},
    ],
)
def test_figures_that_make_no_link_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"are 0 to 1|not below 0|not fewer"):
        LinkModel(**wrong)  # type: ignore[arg-type]

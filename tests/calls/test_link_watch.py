from __future__ import annotations

from collections.abc import Callable
from typing import cast

from voicertc.calls.link_watch import LinkWatch
from voicertc.core.facts import Fact, LinkFlow, LinkMeasured
from voicertc.rtc.link import Flow, LinkQuality
from voicertc.rtc.peer import Peer

GOOD = LinkQuality(
    Flow(50, 0.0, 2.0, 0.0, 40.0, -25.0, 4.3), Flow(50, 0.01, 3.0, None, 38.0, -20.0, 4.1), 42.0
)
BAD = LinkQuality(
    Flow(40, 0.2, 9.0, 160.0, 32.0, -26.0, 2.0), Flow(50, 0.01, 3.0, None, 38.0, -20.0, 4.1), 42.0
)
YOUNG = LinkQuality(
    Flow(0, None, None, 0.0, 0.0, None, None), Flow(5, None, None, None, 4.0, None, None), None
)


class Measured:
    """A peer whose quality the test tells."""

    def __init__(self) -> None:
        self.tell: Callable[[LinkQuality], None] | None = None

    def watch_link(self, tell: Callable[[LinkQuality], None]) -> Callable[[], object]:
        self.tell = tell
        return self.end

    def end(self) -> None:
        self.tell = None

    def measure(self, quality: LinkQuality) -> None:
        assert self.tell is not None
        self.tell(quality)


def watched(told: list[Fact]) -> tuple[LinkWatch, Measured]:
    peer = Measured()
    return LinkWatch(cast("Peer", peer), told.append), peer


def test_clients_are_told_while_one_of_them_wants_to_know() -> None:
    told: list[Fact] = []
    watch, peer = watched(told)
    peer.measure(GOOD)
    assert told == []
    watch.follow("peer", wanted=True)
    watch.follow("sideband-1", wanted=True)
    watch.follow("peer", wanted=False)
    peer.measure(GOOD)
    fact = LinkMeasured(
        LinkFlow(0.0, 2.0, 0.0, 40.0, -25.0, 4.3), LinkFlow(0.01, 3.0, None, 38.0, -20.0, 4.1), 42.0
    )
    assert told == [fact]
    watch.follow("sideband-1", wanted=False)
    peer.measure(GOOD)
    assert told == [fact]


def test_the_log_gets_the_means_of_the_seconds_in_which_something_was_known() -> None:
    watch, peer = watched([])
    assert watch.summary() == {"mos_in": None, "mos_out": None, "loss_in": None, "loss_out": None}
    for quality in (YOUNG, GOOD, GOOD, GOOD, BAD):
        peer.measure(quality)
    assert watch.summary() == {"mos_in": 3.725, "mos_out": 4.1, "loss_in": 0.05, "loss_out": 0.01}


def test_a_call_that_moves_to_another_connection_is_measured_there_and_summed_up_as_one() -> None:
    told: list[Fact] = []
    watch, lost = watched(told)
    watch.follow("peer", wanted=True)
    lost.measure(GOOD)
    peer = Measured()
    watch.moved(cast("Peer", peer))
    assert lost.tell is None
    peer.measure(BAD)
    assert len(told) == 2
    assert watch.summary()["mos_in"] == 3.15


def test_measuring_ends_with_the_call() -> None:
    watch, peer = watched([])
    peer.measure(GOOD)
    watch.close()
    watch.close()
    assert peer.tell is None
    watch.moved(cast("Peer", peer))
    assert peer.tell is None
    assert watch.summary()["mos_in"] == 4.3

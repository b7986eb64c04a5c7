"""What is said of a call's packets, from what was counted of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from voicertc.rtc.counters import Coding, IncomingCounters, OutgoingCounters, ReceiverReport
from voicertc.rtc.link import Flow, LinkMeter, LinkQuality

LOUD = np.full(320, 3277, np.int16)
"""-20 dBov."""
CLEAN = Coding(bit_rate=48_000, lookahead=0.0025, has_fec=False)
LOSSY = Coding(bit_rate=32_000, lookahead=0.0065, has_fec=True)


class Line:
    """Counts as an ear and a mouth would, a packet of 20 ms at a time, and looks once a second."""

    def __init__(self, meter: LinkMeter | None = None) -> None:
        self.meter = meter or LinkMeter()
        self.time = 100.0
        self.incoming, self.outgoing = IncomingCounters(), OutgoingCounters()
        self.round_trip: float | None = None
        self.was_lost = False
        self.look()

    def look(self) -> LinkQuality | None:
        return self.meter.look(self.time, self.incoming, self.outgoing, self.round_trip)

    def second(self, lost: Iterable[bool] = (False,) * 50, *, payload: int = 80) -> LinkQuality:
        for is_lost in lost:
            if is_lost:
                self.lose(is_first=not self.was_lost)
            else:
                self.take(payload)
            self.was_lost = is_lost
        self.outgoing.n_packets += 50
        self.outgoing.n_bytes += 50 * 120
        return self.pass_()

    def pass_(self) -> LinkQuality:
        self.time += 1.0
        quality = self.look()
        assert quality is not None
        return quality

    def take(self, payload: int) -> None:
        self.incoming.n_packets += 1
        self.incoming.n_bytes += payload + 22
        if self.incoming.level.add(LOUD):
            self.incoming.n_payload_bytes += payload
            self.incoming.n_ticks += 960

    def lose(self, *, is_first: bool) -> None:
        self.incoming.n_lost += 1
        self.incoming.n_holes += is_first
        self.incoming.n_concealed += 320

    def report(self, n_lost: int, n_packets: int, *, jitter: float = 0.002) -> None:
        """The client tells what it lost of the last so many packets."""
        before = self.outgoing.report or ReceiverReport(0.0, 0, 0.0, 0.0)
        self.outgoing.report = ReceiverReport(
            n_lost / n_packets, before.n_lost + n_lost, jitter, self.time, before.n_expected + n_packets
        )


def every(n: int) -> list[bool]:
    """A second in which every n-th packet is lost."""
    return [index % n == n - 1 for index in range(50)]


def test_a_second_is_what_was_counted_less_what_had_been() -> None:
    line = Line()
    line.incoming.jitter = 0.0042
    line.round_trip = 0.0421
    line.second()
    line.incoming.level.add(np.full(320, 32767, np.int16))  # not of the second that is looked at
    line.second()
    line.report(5, 250)
    line.outgoing.level.add(LOUD)
    assert line.second([*every(10)[:40], *[False] * 10]) == LinkQuality(
        Flow(46, loss=0.08, jitter_ms=4.2, concealed_ms=80.0, kbps=37.5, level_dbov=-20.0, mos=3.75),
        Flow(50, loss=0.02, jitter_ms=2.0, concealed_ms=None, kbps=48.0, level_dbov=-20.0, mos=3.89),
        round_trip_ms=42.1,
    )


def test_the_time_between_two_looks_is_what_it_was_and_not_a_second() -> None:
    line = Line()
    line.outgoing.n_bytes = 10_000
    line.time += 1.5
    quality = line.pass_()
    assert (quality.outgoing.kbps, quality.incoming.kbps) == (32.0, 0.0)


def test_what_nobody_knows_is_not_given_a_number() -> None:
    line = Line()
    line.outgoing.n_packets = 50
    nothing = Flow(0, None, None, 0.0, 0.0, None, None)
    assert line.pass_() == LinkQuality(nothing, Flow(50, None, None, None, 0.0, None, None), None)
    # A client that is silent: nothing can be lost, and its jitter is of long ago.
    line.incoming.jitter = 0.01
    assert line.pass_().incoming == nothing


def test_what_aiortc_counts_says_nothing_of_the_sound() -> None:
    line = Line(LinkMeter(knows_sound=False))
    line.incoming.n_packets, line.incoming.n_lost = 45, 5
    assert line.pass_().incoming == Flow(45, 0.1, 0.0, None, 0.0, None, 2.63)


def test_packets_that_come_late_are_not_lost_a_second_time() -> None:
    # By aiortc's count, which takes back what comes after all.
    line = Line(LinkMeter(knows_sound=False))
    line.incoming.n_lost = 9
    line.second()
    line.incoming.n_lost = 2
    late = line.second().incoming
    assert (late.packets, late.loss) == (50, 0.0)


def test_a_second_without_any_packet_of_many_is_lost_as_a_whole() -> None:
    assert Line().second([True] * 50).incoming.loss == 1.0


# --- opinions -------------------------------------------------------------------------------------


def mos_of(lost: list[bool], **second: int) -> float:
    """What is thought of eight seconds of a stream that lost these packets."""
    line = Line()
    opinions = [line.second(lost[start : start + 50], **second).incoming.mos for start in range(0, 400, 50)]
    assert opinions[-1] is not None
    return opinions[-1]


def test_a_call_that_loses_a_twentieth_is_clearly_worse_than_a_clean_one() -> None:
    clean, lossy = mos_of([False] * 400), mos_of([index % 20 == 7 for index in range(400)])
    assert clean == 4.32
    assert lossy == 3.3


def test_bursts_are_worse_than_the_same_losses_one_by_one() -> None:
    in_a_row = [index % 100 < 5 for index in range(400)]
    one_by_one = [index % 20 == 0 for index in range(400)]
    assert sum(in_a_row) == sum(one_by_one)
    assert mos_of(in_a_row) == 3.06
    assert mos_of(one_by_one) == 3.3


def test_a_burst_is_not_hidden_by_the_seconds_around_it() -> None:
    line = Line()
    before = line.second().incoming.mos
    at_once = line.second([True] * 25 + [False] * 25).incoming.mos
    later = [line.second().incoming.mos for _ in range(8)]
    assert before is not None
    assert at_once is not None
    assert at_once < 2.0
    assert later[:7] == sorted(later[:7], key=lambda mos: mos or 0)
    assert later[6] < before == later[7]  # type: ignore[operator]  # forgotten after eight seconds


def test_what_fec_restores_hurts_less() -> None:
    line, worse = Line(), Line()
    for _ in range(4):
        line.second(every(10))
        worse.second(every(10))
    line.incoming.n_recovered, line.incoming.n_holes = line.incoming.n_lost, 0
    restored, concealed = line.second().incoming, worse.second().incoming
    assert (restored.mos, concealed.mos) == (3.81, 2.86)  # four fifths of the time at 10 % of loss


def test_what_a_client_encodes_with_is_heard() -> None:
    kbps = {payload * 0.4: mos_of([False] * 400, payload=payload) for payload in (25, 40, 80, 120)}
    assert kbps == {10.0: 3.18, 16.0: 4.01, 32.0: 4.32, 48.0: 4.4}


def test_silence_does_not_pass_for_a_low_bit_rate() -> None:
    line = Line()
    line.second()
    for _ in range(10):
        line.incoming.n_packets += 3  # a client with DTX
        line.incoming.n_bytes += 3 * 30
        silent = line.pass_().incoming
    assert (silent.level_dbov, silent.mos) == (None, 4.32)


def test_delay_is_round_trip_and_all_that_is_held_on_the_way() -> None:
    def both(round_trip: float, hearing_delay: float, jitter: float) -> tuple[float | None, float | None]:
        line = Line(LinkMeter(hearing_delay=hearing_delay))
        line.round_trip = round_trip
        line.report(0, 250, jitter=jitter)
        quality = line.second()
        return quality.incoming.mos, quality.outgoing.mos

    assert both(0.0, 0.02, 0.0) == (4.32, 4.32)
    assert both(0.3, 0.02, 0.0) == (4.29, 4.09)  # we hear after 177 ms, they after 237
    assert both(0.3, 0.08, 0.0) == (4.09, 4.09)
    assert both(0.3, 0.02, 0.05) == (4.29, 3.62)


def test_a_client_s_reports_tell_what_it_hears() -> None:
    line = Line()
    line.outgoing.coding = CLEAN
    assert line.second().outgoing.mos is None
    line.report(0, 50)
    assert line.second().outgoing == Flow(50, 0.0, 2.0, None, 48.0, None, 4.4)
    line.report(5, 50)
    once = line.second().outgoing
    assert (once.loss, once.mos) == (0.1, 2.73)  # since the one report before
    for _ in range(3):
        line.report(0, 50)
        line.second()
    line.report(0, 50)
    calm = line.second().outgoing
    assert (calm.loss, calm.mos) == (0.0, 4.01)  # 5 of 250


def test_fec_spares_the_client_losses_that_come_alone() -> None:
    line = Line()
    line.outgoing.coding = CLEAN
    line.report(25, 250)
    bare = line.second().outgoing
    line.outgoing.coding = LOSSY
    protected = line.second().outgoing
    assert (bare.loss, protected.loss) == (0.1, 0.1)
    assert (bare.mos, protected.mos) == (2.73, 3.54)


def test_ticks_that_we_missed_are_missing_at_the_ear() -> None:
    line = Line()
    line.report(0, 250)
    line.outgoing.n_skipped += 2
    late = line.second().outgoing
    assert (late.loss, late.mos) == (0.0, 3.51)  # 2 of 52

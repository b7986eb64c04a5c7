from __future__ import annotations

import numpy as np

from voicertc.audio.level import SpeechLevel
from voicertc.rtc.counters import Coding, IncomingCounters, OutgoingCounters, ReceiverReport

LOUD = np.full(320, 3000, np.int16)


def test_a_copy_stays_as_it_was() -> None:
    counters = IncomingCounters(n_packets=5, jitter=0.01, toc=b"\x78")
    copy = counters.copy()
    counters.n_packets += 1
    counters.level.add(LOUD)
    assert copy == IncomingCounters(n_packets=5, jitter=0.01, toc=b"\x78")


def test_counts_are_of_the_time_between_and_states_the_last() -> None:
    counters = IncomingCounters(n_packets=100, n_lost=4, n_concealed=640, jitter=0.01, toc=b"\x08")
    counters.level.add(LOUD)
    before = counters.copy()
    counters.n_packets += 50
    counters.n_lost += 1
    counters.n_bytes += 4000
    counters.jitter = 0.02
    counters.toc = b"\x78"
    counters.level.add(LOUD)
    assert counters.since(before) == IncomingCounters(
        SpeechLevel(320 * 3000.0**2, 320), n_packets=50, n_lost=1, n_bytes=4000, jitter=0.02, toc=b"\x78"
    )


def test_what_the_client_reported_is_a_state() -> None:
    report, coding = ReceiverReport(0.1, 5, 0.002, 7.0), Coding(32_000, 0.0065, has_fec=True)
    before = OutgoingCounters(n_packets=10, n_skipped=1)
    after = OutgoingCounters(n_packets=60, n_skipped=2, coding=coding, report=report)
    assert after.since(before) == OutgoingCounters(n_packets=50, n_skipped=1, coding=coding, report=report)

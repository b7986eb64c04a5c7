from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCOutboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCRemoteOutboundRtpStreamStats,
    RTCStatsReport,
    RTCTransportStats,
)

from voicertc.rtc import link
from voicertc.rtc.link import Counters, Flow, LinkQuality

from .calls import call, tone

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_second_is_what_was_counted_less_what_had_been() -> None:
    before = Counters(10.0, 500, 10, 480, 700, 0, 96, 100_000, 200_000)
    after = Counters(11.0, 545, 15, 960, 750, 64, 144, 104_000, 205_000)
    assert after.since(before, 0.0421) == LinkQuality(
        Flow(packets=45, loss=0.1, jitter_ms=20.0, kbps=32.0),
        Flow(packets=50, loss=0.25, jitter_ms=3.0, kbps=40.0),
        round_trip_ms=42.1,
    )


def test_the_time_between_two_looks_is_what_it_was_and_not_a_second() -> None:
    quality = Counters(12.5, bytes_sent=10_000).since(Counters(10.0), None)
    assert (quality.outgoing.kbps, quality.incoming.kbps) == (32.0, 0.0)


def test_what_nobody_knows_is_not_given_a_number() -> None:
    nothing = LinkQuality(Flow(0, None, None, 0.0), Flow(50, None, None, 0.0), None)
    assert Counters(1.0, packets_sent=50).since(Counters(0.0), None) == nothing
    # A client that is silent: nothing can be lost, and its jitter is of long ago.
    silent = Counters(2.0, 500, 10, 480).since(Counters(1.0, 500, 10, 480), None)
    assert silent.incoming == Flow(0, None, None, 0.0)


def test_packets_that_come_late_are_not_lost_a_second_time() -> None:
    assert Counters(2.0, 110, 2, 0).since(Counters(1.0, 50, 9, 0), None).incoming.loss == 0.0


def test_a_second_without_any_packet_of_many_is_lost_as_a_whole() -> None:
    assert Counters(2.0, 100, 50, 0).since(Counters(1.0, 100, 0, 0), None).incoming.loss == 1.0


def test_aiortc_s_statistics_are_read_by_their_kinds() -> None:
    report = RTCStatsReport()
    report.add(RTCInboundRtpStreamStats(NOON, "inbound-rtp", "1", 7, "audio", "t", 500, 10, 480))
    report.add(RTCOutboundRtpStreamStats(NOON, "outbound-rtp", "2", 8, "audio", "t", 700, 50_000, "track"))
    report.add(
        RTCRemoteInboundRtpStreamStats(
            NOON, "remote-inbound-rtp", "3", 8, "audio", "t", 690, 10, 96, 0.04, 64
        )
    )
    report.add(RTCRemoteOutboundRtpStreamStats(NOON, "remote-outbound-rtp", "4", 7, "audio", "t", 510, 9))
    report.add(
        RTCTransportStats(NOON, "transport", "t", 710, 520, 200_000, 100_000, "controlled", "connected")
    )
    assert Counters.read(report, 3.0) == Counters(3.0, 500, 10, 480, 700, 64, 96, 100_000, 200_000)
    assert Counters.read(RTCStatsReport(), 3.0) == Counters(3.0)


@pytest.mark.network
async def test_a_call_is_measured_while_somebody_watches_and_losses_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "_INTERVAL", 0.25)
    told: list[LinkQuality] = []
    async with call() as (owner, client):
        end = owner.peer.watch_link(told.append)
        owner.speak(tone(5.0, 24_000))
        speaking = asyncio.create_task(client.say(tone(5.0, 16_000)))
        await owner.when(lambda: any(quality.round_trip_ms is not None for quality in told))
        whole = [quality for quality in told if quality.incoming.packets > 5]
        assert {quality.incoming.loss for quality in whole} == {0.0}
        assert all(quality.incoming.kbps > 10 for quality in whole)
        last = told[-1]
        assert last.outgoing.loss == 0.0
        assert last.outgoing.packets > 5
        assert last.outgoing.kbps > 10
        assert last.outgoing.jitter_ms is not None
        assert last.round_trip_ms is not None
        assert 0 <= last.round_trip_ms < 500
        client.cut_link()
        await asyncio.sleep(0.3)
        client.mend_link()
        await owner.when(lambda: any((quality.incoming.loss or 0) > 0.3 for quality in told))
        await speaking
        end()
        await asyncio.sleep(0)
        n_told = len(told)
        assert "call-1/link" not in {task.get_name() for task in asyncio.all_tasks()}
        await asyncio.sleep(0.6)
        assert len(told) == n_told


@pytest.mark.network
async def test_watching_ends_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_INTERVAL", 0.05)
    told: list[LinkQuality] = []
    async with call() as (owner, _):
        owner.peer.watch_link(told.append)
        await owner.when(lambda: len(told) >= 2)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    owner.peer.watch_link(told.append)  # a little late: there is nothing any more
    await asyncio.sleep(0.1)
    assert asyncio.all_tasks() == {asyncio.current_task()}

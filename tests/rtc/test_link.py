"""Where the figures of a link come from: aiortc's statistics, and calls over loopback."""

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
from voicertc.rtc.counters import IncomingCounters, OutgoingCounters, ReceiverReport
from voicertc.rtc.link import LinkQuality, counted_by_aiortc
from voicertc.testing.client import HeadlessClient
from voicertc.testing.lossy_link import CLEAN, RTP_ONLY, LinkModel, LossyLink

from .calls import Owner, call, tone

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


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
    assert counted_by_aiortc(report, 3.0) == (
        IncomingCounters(n_packets=500, n_lost=10, n_bytes=100_000, jitter=0.01),
        OutgoingCounters(
            n_packets=700, n_bytes=200_000, report=ReceiverReport(0.25, 10, 0.002, 3.0, n_expected=700)
        ),
    )
    assert counted_by_aiortc(RTCStatsReport(), 3.0) == (IncomingCounters(), OutgoingCounters())


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


@pytest.mark.network
@pytest.mark.parametrize("only_public", [False, True])
async def test_quality_falls_with_what_a_link_loses_and_comes_back(
    only_public: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_INTERVAL", 0.25)  # opinions are of the last two seconds then
    bad = LinkModel(loss=0.15, hurts=RTP_ONLY)
    lossy = LossyLink(bad, bad, seed=3)
    owner = Owner(only_public=only_public)
    told: list[LinkQuality] = []
    try:
        async with HeadlessClient(lossy.through(owner.answer)) as client:
            await owner.until("connected")
            owner.peer.watch_link(told.append)
            owner.speak(tone(9.0, 24_000))
            client.begin_saying(tone(9.0, 16_000))
            await asyncio.sleep(3.0)
            worst = told[-1]
            assert worst.incoming.mos is not None
            assert worst.incoming.mos < 3.3
            assert worst.outgoing.mos is not None
            assert worst.outgoing.mos < 4.0
            concealed = [quality.incoming.concealed_ms for quality in told]
            assert (set(concealed) == {None}) if only_public else (sum(map(float, concealed)) >= 100)
            lossy.up = lossy.down = CLEAN
            await owner.when(lambda: (told[-1].incoming.mos or 0) > 4.2)
            assert told[-1].incoming.loss == 0.0
            await owner.when(lambda: told[-1].outgoing.loss == 0.0)
    finally:
        await owner.close()
        lossy.close()

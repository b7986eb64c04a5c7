"""Bad links: how late and how whole sound is on either side while packets are lost, late or out of order.

Every call has a link of its own (``voicertc.testing.lossy_link``, in this process), seeded by its number, so
that a run meets the same losses as the one before it, and so do both servers.

Delays are counted from the moment in which the link sends a packet on, so that they are the server's alone.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from voicertc.testing.lossy_link import Direction, Kind, LinkModel, LossyLink, kind_of

from . import receiver
from .callers import Caller, connect, heard_at
from .case import Case, Result
from .machine import percentiles
from .servers import server

_HURTS = frozenset({Kind.RTP, Kind.RTCP})
_DELAY = 0.02
SCENARIOS = {
    "0 %": LinkModel(),
    "1 %": LinkModel(loss=0.01),
    "5 %": LinkModel(loss=0.05),
    "10 %": LinkModel(loss=0.1),
    "5 % in bursts": LinkModel(loss=0.05, burst=3.0),
    "2 % reordered": LinkModel(reorder=0.02),
    "jitter 8 ms": LinkModel(jitter=0.008),
}
_AFTERMATH = 3
"""Packets behind a lost one that may have to wait for it."""
_SETTLED = 0.005
"""Seconds above the usual delay that are usual still."""
_CALM = 0.3
"""Seconds without another loss in which a return to the usual delay can be seen."""


@dataclass(frozen=True)
class Journey:
    """The marked packets of a call in the order they were sent: seconds, NaN for what never happened."""

    sent: np.ndarray
    forwarded: np.ndarray
    heard: np.ndarray

    @property
    def is_lost(self) -> np.ndarray:
        """Which the link did not send on."""
        return np.asarray(np.isnan(self.forwarded))

    @property
    def delay(self) -> np.ndarray:
        """From leaving the link to being heard; NaN for what was lost, also if its sound was restored."""
        return np.asarray(self.heard - self.forwarded)


class _Log:
    """When a link first sent on each packet of a client, by RTP time stamp."""

    def __init__(self) -> None:
        self.forwarded: dict[int, float] = {}

    def __call__(self, direction: Direction, datagram: bytes) -> None:
        if direction is Direction.UP and kind_of(datagram) is Kind.RTP:
            (stamp,) = struct.unpack_from("!I", datagram, 4)
            self.forwarded.setdefault(stamp, time.monotonic())


async def loss(case: Case) -> Result:
    """All scenarios side by side, some calls each."""
    n_each = case.n_calls or (case.pick(2, 6) if case.kind == "our" else case.pick(1, 1))
    async with server(case.kind, case.directory) as running:
        calls: dict[str, list[tuple[Caller, _Log]]] = {name: [] for name in SCENARIOS}
        links = []
        for number, (name, model) in enumerate(SCENARIOS.items()):
            for index in range(n_each):
                log = _Log()
                hurting = replace(model, delay=_DELAY, hurts=_HURTS)
                link = LossyLink(hurting, hurting, seed=100 * number + index, watch=log)
                plan = {"says": "speech", "keeps": True, "offset": index * 37}
                calls[name].append((Caller(running, f"{name}/{index}", plan, link), log))
                links.append(link)
        everybody = [caller for group in calls.values() for caller, _ in group]
        await connect(everybody)
        for caller in everybody:
            caller.talk(case.material.marks)
        await asyncio.sleep(0.7)
        since = time.monotonic()
        # Stock aiortc cannot carry more calls side by side: it is given the time instead.
        await asyncio.sleep(case.pick(3.5, 30.0))
        until = time.monotonic()
        await asyncio.sleep(0.6)
        journeys = {
            name: [await _journey(caller, log, since, until) for caller, log in group]
            for name, group in calls.items()
        }
        usual = float(np.nanmedian(np.concatenate([one.delay for one in journeys["0 %"]])))
        found = {name: _ear(group, usual) for name, group in journeys.items()}
        for name, group in calls.items():
            found[name]["mouth"] = _mouth([caller for caller, _ in group], case)
        for link in links:
            link.close()
        return found


# --- our ear: what clients say ------------------------------------------------------------------------


async def _journey(caller: Caller, log: _Log, since: float, until: float) -> Journey:
    """Return what became of the packets that were sent in a window."""
    sent, rtp_times, heard = await heard_at(caller)
    offset = _offset(sent, rtp_times, log.forwarded)
    stamps = (int(rtp_time) + offset & 0xFFFF_FFFF for rtp_time in rtp_times)
    forwarded = np.array([log.forwarded.get(stamp, np.nan) for stamp in stamps])
    chosen = (sent >= since) & (sent < until)
    return Journey(sent[chosen], forwarded[chosen], heard[chosen])


def _ear(journeys: Sequence[Journey], usual: float) -> Result:
    """``usual`` is the delay over a clean link, in seconds."""
    delays = np.concatenate([one.delay[~np.isnan(one.delay)] for one in journeys])
    behind = np.concatenate([one.delay[_is_behind_hole(one) & ~np.isnan(one.delay)] for one in journeys])
    recoveries = [back for one in journeys for back in _recoveries(one, usual + _SETTLED)]
    return {
        "packets": sum(len(one.sent) for one in journeys),
        "lost": sum(int(one.is_lost.sum()) for one in journeys),
        "mic_to_pcm_ms": percentiles(delays, 1000),
        "while_missing_ms": percentiles(behind, 1000),
        "back_to_normal_ms": percentiles([back for back in recoveries if back != np.inf], 1000),
        "never_back": recoveries.count(np.inf),
        "discarded": sum(int((~one.is_lost & np.isnan(one.heard)).sum()) for one in journeys),
        "restored": sum(int((one.is_lost & ~np.isnan(one.heard)).sum()) for one in journeys),
    }


def _offset(sent: np.ndarray, rtp_times: np.ndarray, forwarded: dict[int, float]) -> int:
    """Return what senders add to RTP time, which is any number (RFC 3550 §5.1): most packets tell."""
    votes: Counter[int] = Counter()
    for stamp, at in list(forwarded.items())[:: max(1, len(forwarded) // 200)]:
        nearest = int(np.abs(sent + _DELAY - at).argmin())
        votes[stamp - int(rtp_times[nearest]) & 0xFFFF_FFFF] += 1
    return votes.most_common(1)[0][0] if votes else 0


def _is_behind_hole(one: Journey) -> np.ndarray:
    """Which packets came while one before them was missing, because it was lost or came later."""
    is_behind = np.zeros(len(one.sent), bool)
    for back in range(1, _AFTERMATH + 1):
        before = np.concatenate((np.full(back, -np.inf), one.forwarded[:-back]))
        is_behind |= np.isnan(before) | (before > one.forwarded)
    return np.asarray(is_behind & ~one.is_lost)


def _recoveries(one: Journey, usual: float) -> list[float]:
    """Return for each hole how long after it delays were usual again, three in a row, in seconds; infinite:
    not before the next hole.

    Holes that another follows too soon are left out: nothing can be seen behind them.
    """
    lost = np.flatnonzero(one.is_lost)
    ends = np.append(lost, len(one.sent))[1:]
    is_usual = one.delay <= usual  # what was discarded (NaN) is not
    settled = is_usual[:-2] & is_usual[1:-1] & is_usual[2:]
    found = []
    for hole, end in zip(lost, ends, strict=True):
        if (end - hole) * 0.02 >= _CALM:
            places = np.flatnonzero(settled[hole + 1 : end - 2])
            found.append(float(one.sent[hole + 1 + places[0]] - one.sent[hole]) if len(places) else np.inf)
    return found


# --- our mouth: what clients hear ---------------------------------------------------------------------


def _mouth(group: Sequence[Caller], case: Case) -> Result:
    heard = [
        receiver.compare(
            receiver.receive(caller.packets),
            receiver.said(case.material.talk, int(str(caller.plan["offset"]))),
        )
        for caller in group
    ]
    return {
        "seconds": round(sum(one.seconds for one in heard), 1),
        "gap_ms_per_minute": round(60_000 * sum(o.gap for o in heard) / sum(o.seconds for o in heard), 1),
        "clipped_samples": sum(one.n_clipped for one in heard),
        "level_db": round(float(np.mean([one.level_db for one in heard])), 2),
    }

"""A caller for session tests: frames in and playout out, on the loop's own clock, without a network.

line = Line(session)
line.says(1.0, lasts=0.8)              loud from 1.0 s to 1.8 s
await line.run(until=10.0)
line.audible                           [(1.9, 4.2)]: when the reply could be heard
"""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np

from ..audio.pcm import FRAME_MS, HEARING_FRAME, PLAYOUT_FRAME, PcmFrame, Samples
from ..core import events
from ..core.facts import Fact
from ..session.session import Session

_TICK = FRAME_MS / 1000
_LOUD_SAMPLES = np.resize(np.array([8_000, -8_000], np.int16), HEARING_FRAME)
_SILENCE = np.zeros(HEARING_FRAME, np.int16)


class Line:
    """One simulated call of a session: 20 ms in, 20 ms out, fifty times a second.

    ``keeps_record`` false forgets what came out: for runs of hours.
    """

    def __init__(self, session: Session, *, keeps_record: bool = True) -> None:
        self.session = session
        self._keeps_record = keeps_record
        self.facts: list[tuple[float, Fact]] = []
        self.heard: list[tuple[float, Samples]] = []
        """What came out and was not silent: time and samples of each frame."""
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._n_ticks = 0
        self._speech: list[tuple[float, float]] = []
        if keeps_record:
            session.subscribe(lambda fact: self.facts.append((self.now, fact)))
        session.post(events.CallConnected())

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return self._loop.time() - self._began

    def says(self, when: float, *, lasts: float) -> None:
        """Let the caller make speech-like noise."""
        self._speech.append((when, when + lasts))

    async def run(self, until: float) -> None:
        """Carry sound both ways until then, or until the session ends."""
        while self.now < until and not self.session.ended.is_set():
            start = self._n_ticks * _TICK
            # A frame arrives when its last sample has been spoken.
            await asyncio.sleep(max(0.0, self._began + start + _TICK - self._loop.time()))
            is_loud = any(begin <= start < end for begin, end in self._speech)
            samples = _LOUD_SAMPLES if is_loud else _SILENCE
            self.session.hear(PcmFrame(samples, self._n_ticks * HEARING_FRAME))
            self._n_ticks += 1
            played = self.session.sounds.mix(self.session.playout.read(PLAYOUT_FRAME, self._loop.time()))
            if played is not None and self._keeps_record:
                self.heard.append((round(self.now, 3), played))

    @property
    def audible(self) -> list[tuple[float, float]]:
        """The stretches of time in which something came out, in seconds."""
        stretches: list[tuple[float, float]] = []
        times = [when for when, _ in self.heard]
        if times:
            begin = times[0]
            for last, following in pairwise([*times, times[-1] + 1.0]):
                if following - last > 1.5 * _TICK:
                    stretches.append((round(begin, 2), round(last, 2)))
                    begin = following
        return stretches

    @property
    def history(self) -> list[tuple[str, str]]:
        """``(role, text)`` of all items."""
        return [(item.role.value, item.text or "") for item in self.session.items]

    def when(self, kind: type[Fact]) -> list[float]:
        """When facts of this kind came."""
        return [round(when, 3) for when, fact in self.facts if isinstance(fact, kind)]

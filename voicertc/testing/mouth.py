"""How a headless client speaks: utterances and silence as packets in real time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..audio.opus import SILENCE
from ..rtc.pacing import REST, TICK, Pacer
from .utterance import Utterance

_GRID = 0.005
"""Seconds: clients of one process tick together in four groups, because waking up costs more than sending."""


@dataclass(slots=True)
class Spoken:
    """An utterance that was or is being sent: when each of its packets left, in the loop's time."""

    utterance: Utterance
    sent: list[float] = field(default_factory=list)
    rtp_times: list[int] = field(default_factory=list)
    """What those packets say of their time, 48,000 a second, not wrapped: by it the far end knows them."""

    @property
    def is_over(self) -> bool:
        """Whether the last packet has left."""
        return len(self.sent) == len(self.utterance.packets)

    @property
    def onset(self) -> float:
        """When the packet with the beginning of speech left."""
        return self.sent[self.utterance.first_speech_packet]

    @property
    def end(self) -> float:
        """When the packet with the end of speech left."""
        return self.sent[self.utterance.last_speech_packet]


class Mouth:
    """Sends utterances one after the other, silence in between, a packet every 20 ms; no task, one timer."""

    def __init__(self, on_said: Callable[[], None], *, uses_dtx: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_said = on_said
        self._uses_dtx = uses_dtx
        self._send: Callable[[bytes, int], None] | None = None
        self._pacer = Pacer(0.0)
        self._timer: asyncio.TimerHandle | None = None
        self._to_say: deque[Spoken] = deque()  # bounded by the test that fills it
        self._n_silent = 0

    def open(self, send: Callable[[bytes, int], None]) -> None:
        """Begin to send: ``send`` takes a payload and its RTP time."""
        self._send = send
        begin = -(-self._loop.time() // _GRID) * _GRID
        self._pacer = Pacer(begin)
        self._timer = self._loop.call_at(begin, self._tick)

    def close(self) -> None:
        """Send no more."""
        self._send = None
        if self._timer is not None:
            self._timer.cancel()

    def say(self, utterance: Utterance) -> Spoken:
        """Queue an utterance; in DTX it begins at once, else at the next tick."""
        spoken = Spoken(utterance)
        self._to_say.append(spoken)
        if self._is_resting and self._timer is not None:
            self._timer.cancel()
            self._tick()
        return spoken

    @property
    def skipped(self) -> int:
        """Packets left out because the loop was late."""
        return self._pacer.skipped

    @property
    def _is_resting(self) -> bool:
        """Whether silence has lasted long enough for DTX: 100 ms, about libopus's own hangover."""
        return self._uses_dtx and self._n_silent >= 5

    def _tick(self) -> None:
        if self._send is None:
            return
        now = self._loop.time()
        if self._to_say:
            self._n_silent = 0
            rtp_time = self._pacer.stamp(now)
            self._send(self._next_packet(now, rtp_time), rtp_time)
        else:
            self._n_silent += 1
            self._send(SILENCE, self._pacer.stamp(now, pause=REST if self._is_resting else TICK))
        self._timer = self._loop.call_at(self._pacer.due, self._tick)

    def _next_packet(self, now: float, rtp_time: int) -> bytes:
        spoken = self._to_say[0]
        payload = spoken.utterance.packets[len(spoken.sent)]
        spoken.sent.append(now)
        spoken.rtp_times.append(rtp_time)
        if spoken.is_over:
            self._to_say.popleft()
            self._on_said()
        return payload

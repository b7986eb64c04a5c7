"""Whatever the order of calls: no sample lost or doubled, every event once, no step in loudness."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicertc.audio.playout import PlayoutBuffer

from .test_playout import Log, told

SOUND = (np.arange(1 << 18) * 7919 % 20_011 + 10_000).astype(np.int16)
"""No sample is small, so the gain that was applied can be told from what comes out."""
FADE = 240
STEEPEST = 1 / FADE + 2e-4
"""Most that the gain may change from one sample to the next: the 10 ms ramps, and rounding."""


class Playout(RuleBasedStateMachine):
    """Drives a buffer beside the plainest possible account of what it must do."""

    @initialize(lead_ms=st.integers(0, 60), ear_delay=st.floats(0, 0.2))
    def connect(self, lead_ms: int, ear_delay: float) -> None:
        self.buffer = PlayoutBuffer(Log(), lead_ms=lead_ms)
        self.buffer.ear_delay = ear_delay
        self.lead = lead_ms * 24
        self.now = 0.0
        self.n_replies = 0
        self.expected: list[tuple[str | int, ...]] = []
        self.begin()

    def begin(self) -> None:
        self.n_replies += 1
        self.id = f"r{self.n_replies}"
        self.buffer.begin(self.id)
        self.appended = self.position = self.faded = 0
        self.fade_length = 0
        self.marks: list[tuple[int, int]] = []
        self.n_marks = 0
        self.is_held = self.is_finished = self.is_over = False
        self.gain = 1.0
        self.sent: list[tuple[float, int]] = []

    @precondition(lambda self: not self.is_finished and not self.is_over)
    @rule(n=st.integers(0, 1500))
    def append(self, n: int) -> None:
        self.buffer.append(self.id, SOUND[self.appended : self.appended + n])
        self.appended += n

    @precondition(lambda self: not self.is_over)
    @rule()
    def mark(self) -> None:
        self.buffer.mark_clause(self.id, self.n_marks)
        self.marks.append((self.appended, self.n_marks))
        self.n_marks += 1

    @rule(n=st.sampled_from([1, 7, 100, 240, 480, 960]), pause=st.floats(0, 0.1))
    def read(self, n: int, pause: float) -> None:
        self.now += pause
        block = self.buffer.read(n, self.now)
        if self.is_over:
            assert block is None
        elif self.is_held:
            size = min(n, self.fade_length - self.faded)
            self.check(block, self.position + self.faded, size, n)
            self.faded += size
        else:
            had = self.appended - self.position
            size = min(n, had)
            self.check(block, self.position, size, n)
            if size:
                self.expect_progress(size, had)

    def expect_progress(self, size: int, had: int) -> None:
        if not self.position:
            self.expected.append(("started", self.id))
        self.position += size
        self.sent.append((self.now, self.position))
        while self.marks and self.marks[0][0] < self.position:
            self.expected.append(("clause", self.id, self.marks.pop(0)[1]))
        if had > self.lead >= had - size:
            self.expected.append(("room", self.id))
        self.expect_end()

    def check(self, block: np.ndarray | None, start: int, size: int, n: int) -> None:
        if not size:
            assert block is None
            return
        assert block is not None
        assert block.dtype == np.int16
        assert len(block) == n
        assert not block[size:].any()
        gains = block[:size] / SOUND[start : start + size]
        assert gains.min() >= 0
        assert gains.max() <= 1
        assert np.abs(np.diff(gains, prepend=self.gain)).max() <= max(
            STEEPEST, 1 / max(1, self.fade_length) + 2e-4 if self.is_held else 0
        )
        self.gain = float(gains[-1])

    @rule()
    def hold(self) -> None:
        self.buffer.hold(self.id)
        if not self.is_over and not self.is_held:
            self.is_held = True
            self.faded = 0
            self.fade_length = min(FADE, self.appended - self.position) if self.position else 0

    @rule()
    def resume(self) -> None:
        self.buffer.resume(self.id)
        if self.is_over:
            return
        if self.is_held and self.faded:
            self.gain = 0.0
        self.is_held = False
        self.expect_end()

    @rule()
    def duck(self) -> None:
        self.buffer.duck(self.id)

    @rule()
    def finish(self) -> None:
        self.buffer.finish(self.id)
        if not self.is_over:
            self.is_finished = True
            self.expect_end()

    def expect_end(self) -> None:
        if self.is_finished and not self.is_held and self.position == self.appended:
            self.is_over = True
            self.expected.append(("drained", self.id))

    @rule()
    def cancel(self) -> None:
        heard = self.heard()
        assert self.buffer.cancel(self.id, self.now) == heard
        self.sent = [(float("-inf"), heard)]
        self.is_over = True

    @precondition(lambda self: self.is_over)
    @rule()
    def next_reply(self) -> None:
        self.begin()

    @rule(foreign=st.sampled_from(["r0", "r-1", ""]), n=st.integers(0, 100))
    def late_callback(self, foreign: str, n: int) -> None:
        self.buffer.append(foreign, SOUND[:n])
        self.buffer.mark_clause(foreign, 99)
        self.buffer.duck(foreign)
        self.buffer.hold(foreign)
        self.buffer.resume(foreign)
        self.buffer.finish(foreign)
        assert self.buffer.cancel(foreign, self.now) == 0
        assert self.buffer.heard_samples(foreign, self.now) == 0
        assert not self.buffer.is_full(foreign)

    def heard(self) -> int:
        until = self.now - self.buffer.ear_delay + 1e-6
        return max((position for at, position in self.sent if at <= until), default=0)

    @invariant()
    def tells_what_happened_and_nothing_else(self) -> None:
        if not hasattr(self, "buffer"):
            return
        assert told(self.buffer) == self.expected
        assert self.buffer.heard_samples(self.id, self.now) == self.heard()
        assert self.buffer.is_full(self.id) == (
            not self.is_over and self.appended - self.position > self.lead
        )


TestPlayout = Playout.TestCase
TestPlayout.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)

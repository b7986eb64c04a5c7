"""Packets leave as they came whenever they sound as the samples do, and change nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicertc.audio.pcm import PLAYOUT_FRAME, Samples
from voicertc.audio.playout import PlayoutBuffer, Pulled

from .test_playout import Log, told

SOUND = np.random.default_rng(4).integers(10_000, 30_000, 1 << 18).astype(np.int16)
"""No two frames of it are alike, and none can be the scaled or padded form of another."""


def packets(first: int, n: int) -> tuple[bytes, ...]:
    """The packets of ``n`` frames from frame ``first`` of ``SOUND`` on; playout never looks into one."""
    return tuple(b"packet %d" % index for index in range(first, first + n))


def frames(first: int, n: int) -> Samples:
    return SOUND[first * PLAYOUT_FRAME : (first + n) * PLAYOUT_FRAME]


def a_clip(n: int, *, first: int = 0, buffer: PlayoutBuffer | None = None) -> PlayoutBuffer:
    """A buffer with ``n`` frames and their packets in it."""
    if buffer is None:
        buffer = PlayoutBuffer(Log())
        buffer.begin("r1")
    buffer.append("r1", frames(first, n), packets(first, n))
    return buffer


def pulled(buffer: PlayoutBuffer, n: int) -> list[bytes | None]:
    """The packets of the next ``n`` pulls, each of which has sound."""
    taken = [buffer.pull(0.0) for _ in range(n)]
    assert all(each is not None for each in taken)
    return [each.packet for each in taken if each]


def test_packets_leave_bit_for_bit_beside_their_samples() -> None:
    buffer = a_clip(3)
    a_clip(2, first=3, buffer=buffer)
    for index in range(5):
        taken = buffer.pull(0.02 * index)
        assert taken is not None
        assert taken.packet == b"packet %d" % index
        assert np.array_equal(taken.samples, frames(index, 1))
    assert buffer.pull(0.1) is None
    assert buffer.heard_samples("r1", 1.0) == 5 * PLAYOUT_FRAME


def test_sound_without_packets_is_pulled_without() -> None:
    buffer = PlayoutBuffer()
    assert buffer.pull(0.0) is None
    buffer.begin("r1")
    buffer.append("r1", SOUND[:500])
    assert pulled(buffer, 2) == [None, None]
    assert buffer.pull(0.0) is None


def test_a_ducked_clip_is_samples_and_packets_again_when_it_is_back_at_its_level() -> None:
    buffer = a_clip(10)
    assert pulled(buffer, 1) == [b"packet 0"]
    buffer.duck("r1")
    assert pulled(buffer, 3) == [None] * 3
    buffer.resume("r1")
    assert pulled(buffer, 2) == [None, b"packet 5"]  # the way back takes 10 ms of the first


def test_a_duck_taken_back_before_it_was_heard_costs_no_packet() -> None:
    buffer = a_clip(2)
    buffer.duck("r1")
    buffer.resume("r1")
    assert pulled(buffer, 2) == [b"packet 0", b"packet 1"]


def test_a_held_clip_fades_as_samples_and_goes_on_in_packets() -> None:
    buffer = a_clip(5)
    pulled(buffer, 1)
    buffer.hold("r1")
    assert pulled(buffer, 1) == [None]
    assert buffer.pull(0.0) is None
    buffer.resume("r1")
    assert pulled(buffer, 3) == [None, b"packet 2", b"packet 3"]  # packet 1 comes with the way back


def test_a_clip_held_before_it_was_audible_begins_with_its_first_packet() -> None:
    buffer = a_clip(2)
    buffer.hold("r1")
    assert buffer.pull(0.0) is None
    buffer.resume("r1")
    assert pulled(buffer, 2) == [b"packet 0", b"packet 1"]


def test_a_clip_out_of_step_is_heard_whole_and_without_packets() -> None:
    buffer = PlayoutBuffer()
    buffer.begin("r1")
    buffer.append("r1", SOUND[:100])
    a_clip(2, first=1, buffer=buffer)
    taken = [buffer.pull(0.0) for _ in range(3)]
    assert [each.packet for each in taken if each] == [None] * 3
    sound = np.concatenate([each.samples for each in taken if each])
    assert np.array_equal(sound[:1060], np.concatenate((SOUND[:100], frames(1, 2))))
    assert not sound[1060:].any()


def test_a_clip_behind_a_filled_frame_leaves_in_packets() -> None:
    buffer = PlayoutBuffer(Log())
    buffer.begin("r1")
    buffer.append("r1", SOUND[:100])
    assert buffer.fill_frame("r1") == 380
    assert buffer.fill_frame("r1") == 0
    buffer.mark_clause("r1", 1)
    a_clip(1, first=1, buffer=buffer)
    buffer.finish("r1")
    assert pulled(buffer, 2) == [None, b"packet 1"]
    assert told(buffer) == [("started", "r1"), ("clause", "r1", 1), ("drained", "r1")]
    assert buffer.heard_samples("r1", 1.0) == 960


def test_what_was_pulled_before_it_was_full_is_not_filled_again() -> None:
    buffer = PlayoutBuffer()
    buffer.begin("r1")
    buffer.append("r1", SOUND[:100])
    pulled(buffer, 1)  # padded: the voice was late
    assert buffer.fill_frame("r1") == 0
    assert pulled(a_clip(1, buffer=buffer), 1) == [b"packet 0"]


def test_nothing_is_filled_for_a_reply_that_is_over() -> None:
    buffer = PlayoutBuffer()
    buffer.begin("r1")
    buffer.append("r1", SOUND[:100])
    assert buffer.fill_frame("r0") == 0
    buffer.cancel("r1", 0.0)
    assert buffer.fill_frame("r1") == 0


def test_packets_that_do_not_match_their_samples_are_our_own_mistake() -> None:
    buffer = PlayoutBuffer()
    buffer.begin("r1")
    with pytest.raises(AssertionError, match="a packet is 20 ms"):
        buffer.append("r1", SOUND[:959], packets(0, 2))


@dataclass
class Twin:
    """The same buffer twice: one is given packets, the other only samples."""

    with_packets: PlayoutBuffer = field(default_factory=lambda: PlayoutBuffer(Log(), lead_ms=40))
    plain: PlayoutBuffer = field(default_factory=lambda: PlayoutBuffer(Log(), lead_ms=40))

    @property
    def both(self) -> tuple[PlayoutBuffer, PlayoutBuffer]:
        return self.with_packets, self.plain


class Packets(RuleBasedStateMachine):
    """Does the same with two buffers, of which only one knows packets."""

    @initialize()
    def connect(self) -> None:
        self.twin = Twin()
        self.now = 0.0
        self.n_replies = self.n_used = self.n_marks = 0
        self.packet_of: dict[bytes, bytes] = {}  # what a frame of samples was appended with
        self.is_finished = False
        self.begin()

    def begin(self) -> None:
        self.n_replies += 1
        self.id = f"r{self.n_replies}"
        self.is_finished = self.is_cancelled = False
        for buffer in self.twin.both:
            buffer.begin(self.id)

    @property
    def is_over(self) -> bool:
        return self.is_cancelled or ("drained", self.id) in told(self.twin.plain)

    @precondition(lambda self: not self.is_finished and not self.is_over)
    @rule(n=st.integers(1, 4), is_filled=st.booleans())
    def append_clip(self, n: int, is_filled: bool) -> None:
        if is_filled:
            filled, plain = (buffer.fill_frame(self.id) for buffer in self.twin.both)
            assert filled == plain
        first = -(-self.n_used // PLAYOUT_FRAME)
        self.n_used = (first + n) * PLAYOUT_FRAME
        self.twin.with_packets.append(self.id, frames(first, n), packets(first, n))
        self.twin.plain.append(self.id, frames(first, n))
        for index, packet in enumerate(packets(first, n)):
            self.packet_of[frames(first + index, 1).tobytes()] = packet

    @precondition(lambda self: not self.is_finished and not self.is_over)
    @rule(n=st.integers(1, 1000))
    def append_samples(self, n: int) -> None:
        for buffer in self.twin.both:
            buffer.append(self.id, SOUND[self.n_used : self.n_used + n])
        self.n_used += n

    @rule()
    def mark(self) -> None:
        for buffer in self.twin.both:
            buffer.mark_clause(self.id, self.n_marks)
        self.n_marks += 1

    @rule(n=st.integers(1, 6), pause=st.floats(0, 0.1))
    def pull(self, n: int, pause: float) -> None:
        for _ in range(n):
            self.now += pause
            self.check(*(buffer.pull(self.now) for buffer in self.twin.both))

    def check(self, taken: Pulled | None, plain: Pulled | None) -> None:
        if taken is None or plain is None:
            assert taken is plain is None
            return
        assert np.array_equal(taken.samples, plain.samples)
        # Whenever the samples are just a packet's, and never else.
        assert taken.packet == self.packet_of.get(plain.samples.tobytes())
        assert plain.packet is None

    @rule(n=st.sampled_from([1, 100, 480]))
    def read(self, n: int) -> None:
        block, plain = (buffer.read(n, self.now) for buffer in self.twin.both)
        assert (block is None) == (plain is None)
        assert block is None or plain is None or np.array_equal(block, plain)

    @rule(what=st.sampled_from(["duck", "hold", "resume", "resume"]))
    def change(self, what: str) -> None:
        for buffer in self.twin.both:
            getattr(buffer, what)(self.id)

    @rule()
    def finish(self) -> None:
        self.is_finished = True
        for buffer in self.twin.both:
            buffer.finish(self.id)

    @rule()
    def cancel(self) -> None:
        heard, plain = (buffer.cancel(self.id, self.now) for buffer in self.twin.both)
        assert heard == plain
        self.is_cancelled = True

    @precondition(lambda self: self.is_over)
    @rule()
    def next_reply(self) -> None:
        self.begin()

    @invariant()
    def nobody_can_tell_them_apart(self) -> None:
        if not hasattr(self, "twin"):
            return
        one, other = self.twin.both
        assert told(one) == told(other)
        assert one.heard_samples(self.id, self.now) == other.heard_samples(self.id, self.now)
        assert one.is_full(self.id) == other.is_full(self.id)


TestPackets = Packets.TestCase
TestPackets.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)

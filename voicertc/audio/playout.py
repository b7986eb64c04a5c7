"""What is about to be said: the buffer between a voice and the packets that leave for the client.

A voice runs ahead of real time; the speaker takes 20 ms at a time. In between the user may begin to speak,
and then every sample counts: what was heard becomes history, what was not must not.

    append ──> [ unread ............ ] ──> read ──> speaker ──> client ──> ear
                ^ position                 position rises by     ear_delay later
                                           what was handed out   it counts as heard

A *hold* silences a reply but keeps it: the next 10 ms are handed out fading, without moving the position,
then nothing is. So ``resume`` simply goes on at the position, which is the sample where the fade began, and
nothing that was faded counts as heard before it is handed out again.

What comes with its Opus packets may leave as it came: ``pull`` hands a packet out beside the samples whenever
both sound the same, so that nothing needs to be encoded. Samples are what is counted, however they leave.

Everything is synchronous and belongs to the event loop's thread. There is one reply in the buffer at a time;
a call that names another one changes nothing, which is how late callbacks of a cancelled voice are kept out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from .pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ, Samples
from .queued_reply import QueuedReply

EAR_DELAY = 0.06
"""Seconds from handing out to hearing, before a round trip is measured: the client's own playout delay."""


class PlayoutListener(Protocol):
    """What a buffer reports, synchronously, from within ``read`` (and where it says so, from others).

    Called after the buffer's own state is settled: a listener may call back into it.
    """

    def playout_started(self, reply_id: str) -> None:
        """The first sample of a reply is handed out."""

    def clause_began(self, reply_id: str, index: int) -> None:
        """The first sample of a clause is handed out, and not as part of a hold's fade."""

    def playout_drained(self, reply_id: str) -> None:
        """The last sample of a finished reply is handed out (or was, when ``finish`` or ``resume`` came)."""

    def room_made(self, reply_id: str) -> None:
        """``is_full`` was true and is no longer."""

    def playout_starved(self, reply_id: str) -> None:
        """What was begun has nothing more to hand out, and is not finished: the ear hears a hole."""

    def playout_fed(self, reply_id: str) -> None:
        """There is more again of what was starved."""


class Playout(Protocol):
    """Where replies go, whoever sets the pace: what a session knows of it.

    ``PlayoutBuffer`` is read by a transport at the pace of a call; a client that plays at its own pace is
    handed all there is (``session.client_paced``). A call that names a reply that is over changes nothing.
    """

    listener: PlayoutListener | None

    def begin(self, reply_id: str) -> None:
        """Let a new reply be the one that is added to."""

    def mark_clause(self, reply_id: str, index: int) -> None:
        """Let clause ``index`` begin with the next sample appended."""

    def fill_frame(self, reply_id: str) -> int:
        """Add silence, so that packets appended next can leave as they are; return how many samples."""

    def append(self, reply_id: str, samples: Samples, packets: tuple[bytes, ...] = ()) -> None:
        """Add ``(n,)`` int16 mono at 24 kHz, which nobody may change, and its packets, if there are any."""

    def is_full(self, reply_id: str) -> bool:
        """Whether the voice should wait for ``room_made``."""

    def finish(self, reply_id: str) -> None:
        """Say that no more will be appended; ``playout_drained`` follows."""

    def duck(self, reply_id: str) -> None:
        """Lower the reply, where that can be done."""

    def hold(self, reply_id: str) -> None:
        """Silence the reply and keep it, where that can be done."""

    def resume(self, reply_id: str) -> None:
        """Go on with a ducked or held reply."""

    def cancel(self, reply_id: str, now: float) -> int:
        """Stop the reply for good; return the samples heard."""


class Pulled(NamedTuple):
    """20 ms that leave now: 480 samples, and the packet that holds just them, if there is one.

    A tuple, because one is made for every packet of every call. Whoever sends packets and then encodes again
    lets the encoder hear the last of their samples first: it would begin with a click otherwise.
    """

    samples: Samples
    packet: bytes | None


class PlayoutBuffer:
    """The samples of one reply between voice and speaker, 24 kHz mono; one buffer for each call.

    ``listener`` and ``on_data`` may be set at any time; ``on_data`` is called when reading makes sense again
    (``append`` to an empty buffer, ``resume`` after a hold), for a speaker that sleeps meanwhile.
    ``ear_delay`` is in seconds and may change; ``lead_ms`` is how far a voice may run ahead. Every ``now``
    is in seconds of any one monotonic clock.

    The unread samples are bounded by their producer, who has to stop while ``is_full``: to drop one here
    would tear a hole into a sentence.
    """

    def __init__(self, listener: PlayoutListener | None = None, *, lead_ms: int = 2000) -> None:
        self.listener = listener
        self.on_data: Callable[[], None] | None = None
        self.ear_delay = EAR_DELAY
        self._lead = lead_ms * PLAYOUT_RATE_HZ // 1000
        self._reply: QueuedReply | None = None

    # --- the voice's side ---------------------------------------------------------------------------

    def begin(self, reply_id: str) -> None:
        """Make a new reply the one in the buffer; the one before must be cancelled or drained."""
        assert self._reply is None or self._reply.is_over, f"{self._reply.id} is still in the buffer"
        self._reply = QueuedReply(reply_id)

    def mark_clause(self, reply_id: str, index: int) -> None:
        """Let clause ``index`` begin with the next sample appended.

        A clause that gets no samples begins together with the one behind it, or not at all.
        """
        if reply := self._live(reply_id):
            reply.marks.append((reply.position + reply.unread.length, index))

    def fill_frame(self, reply_id: str) -> int:
        """Add silence until whoever pulls will have 20 ms to pull, no more and no less; return the samples.

        For the pause between two clauses. Within one it would tear a hole: sound out of step is encoded.
        """
        reply = self._live(reply_id)
        n = -reply.unread.length % PLAYOUT_FRAME if reply else 0
        self.append(reply_id, np.zeros(n, np.int16))
        return n

    def append(self, reply_id: str, samples: Samples, packets: tuple[bytes, ...] = ()) -> None:
        """Add ``(n,)`` int16 mono at 24 kHz, which nobody may change afterwards: it is not copied.

        ``packets``: its Opus packets of 20 ms each, that is of 480 samples, all or none. They are handed out
        if they lie in step with the pulls: ``fill_frame`` goes before a clause of them.
        """
        reply = self._live(reply_id)
        if reply is None or not len(samples):
            return
        assert not reply.is_finished, f"{reply_id} was finished and gets more samples"
        was_empty = not reply.unread.length
        reply.unread.append(samples, packets)
        if reply.is_starved:
            reply.is_starved = False
            if self.listener:
                self.listener.playout_fed(reply_id)
        if was_empty and not reply.is_held:
            self._wake()

    def is_full(self, reply_id: str) -> bool:
        """Whether the voice should wait for ``room_made``: more than the lead is unread."""
        reply = self._live(reply_id)
        return reply is not None and reply.unread.length > self._lead

    def finish(self, reply_id: str) -> None:
        """Say that no more will be appended; ``playout_drained`` follows, at once if all is read."""
        if reply := self._live(reply_id):
            reply.is_finished = True
            self._drain(reply)

    # --- the conversation's side --------------------------------------------------------------------

    def duck(self, reply_id: str) -> None:
        """Lower the reply by 12 dB within 20 ms; a held one stays silent."""
        reply = self._live(reply_id)
        if reply and not reply.is_held:
            reply.duck()

    def hold(self, reply_id: str) -> None:
        """Silence the reply within 10 ms and keep it, from the sample where this fade begins."""
        reply = self._live(reply_id)
        if reply and not reply.is_held:
            reply.hold()

    def resume(self, reply_id: str) -> None:
        """Go on where a hold's fade began, or undo a duck, within 10 ms."""
        reply = self._live(reply_id)
        if reply is None:
            return
        was_held = reply.is_held
        reply.resume()
        if was_held and reply.unread.length:
            self._wake()
        self._drain(reply)

    def cancel(self, reply_id: str, now: float) -> int:
        """Drop what is unread, at once and without a fade; return the samples heard.

        The caller who wants no click holds first. Cancelling again returns the same number.
        """
        reply = self._reply
        if reply is None or reply.id != reply_id:
            return 0
        heard = reply.heard.count(now - self.ear_delay)
        reply.heard.close()
        reply.is_over = True
        reply.unread.clear()
        reply.marks.clear()
        return heard

    def heard_samples(self, reply_id: str, now: float) -> int:
        """Count the samples that were handed out at least ``ear_delay`` ago; 0 for any other reply."""
        reply = self._reply
        if reply is None or reply.id != reply_id:
            return 0
        return reply.heard.count(now - self.ear_delay)

    # --- the speaker's side -------------------------------------------------------------------------

    def pull(self, now: float) -> Pulled | None:
        """Take the next 20 ms as ``read`` does, with the packet that holds them, if there is one.

        There is none for what is faded, ducked or on its way back, and for the end of a reply that is padded.
        """
        packet = self._reply.packet if self._reply else None
        samples = self.read(PLAYOUT_FRAME, now)
        return None if samples is None else Pulled(samples, packet)

    def read(self, n: int, now: float) -> Samples | None:
        """Take the next ``n`` samples, or ``None`` if there is nothing to say.

        Where fewer are left, zeros follow them. What is returned must not be written to: it may be the
        voice's own array.
        """
        reply = self._reply
        if reply is None or reply.is_over:
            return None
        if reply.is_held:
            return _pad(reply.read_fade(n), n)
        unread_before = reply.unread.length
        if not unread_before:
            return None
        block = reply.gain.apply(reply.unread.take(min(n, unread_before)))
        is_first = not reply.position
        reply.position += len(block)
        reply.heard.sent(now, reply.position, now - self.ear_delay)
        self._announce(reply, is_first=is_first, has_room=reply.unread.length <= self._lead < unread_before)
        return _pad(block, n)

    # --- within -------------------------------------------------------------------------------------

    def _live(self, reply_id: str) -> QueuedReply | None:
        reply = self._reply
        return reply if reply is not None and reply.id == reply_id and not reply.is_over else None

    def _wake(self) -> None:
        if self.on_data is not None:
            self.on_data()

    def _announce(self, reply: QueuedReply, *, is_first: bool, has_room: bool) -> None:
        listener = self.listener
        if is_first and listener:
            listener.playout_started(reply.id)
        marks = reply.marks
        while marks and marks[0][0] < reply.position:
            _, index = marks.popleft()
            if listener:
                listener.clause_began(reply.id, index)
        if has_room and listener and not reply.is_over:
            listener.room_made(reply.id)
        self._drain(reply)
        if not reply.unread.length and not reply.is_over:
            reply.is_starved = True
            if listener:
                listener.playout_starved(reply.id)

    def _drain(self, reply: QueuedReply) -> None:
        """End a reply that is finished and read out; a held one is not over before it is resumed."""
        if not reply.is_finished or reply.unread.length or reply.is_over or reply.is_held:
            return
        reply.is_over = True
        reply.marks.clear()
        if self.listener:
            self.listener.playout_drained(reply.id)


def _pad(block: Samples | None, n: int) -> Samples | None:
    if block is None or len(block) == n:
        return block
    padded = np.zeros(n, np.int16)
    padded[: len(block)] = block
    return padded

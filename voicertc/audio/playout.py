"""What is about to be said: the buffer between a voice and the packets that leave for the client.

A voice runs ahead of real time; the speaker takes 20 ms at a time. In between the user may begin to speak,
and then every sample counts: what was heard becomes history, what was not must not.

    append ──> [ unread ............ ] ──> read ──> speaker ──> client ──> ear
                ^ position                 position rises by     ear_delay later
                                           what was handed out   it counts as heard

A *hold* silences a reply but keeps it: the next 10 ms are handed out fading, without moving the position,
then nothing is. So ``resume`` simply goes on at the position, which is the sample where the fade began, and
nothing that was faded counts as heard before it is handed out again.

Everything is synchronous and belongs to the event loop's thread. There is one reply in the buffer at a time;
a call that names another one changes nothing, which is how late callbacks of a cancelled voice are kept out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np

from .chunks import Chunks
from .gain import Gain
from .pcm import PLAYOUT_RATE_HZ, Samples

EAR_DELAY = 0.06
"""Seconds from handing out to hearing, before a round trip is measured: the client's own playout delay."""
_DUCKED_GAIN = 10 ** (-12 / 20)
"""A ducked reply is 12 dB down: clearly making room, still intelligible."""
_DUCK_RAMP = PLAYOUT_RATE_HZ * 20 // 1000
"""Samples it takes to duck."""
_HOLD_RAMP = PLAYOUT_RATE_HZ * 10 // 1000
"""Samples it takes to fall silent."""
_RESUME_RAMP = PLAYOUT_RATE_HZ * 10 // 1000
"""Samples it takes to come back."""
_MAX_LOG = 1024
"""Blocks that may be on their way to the ear: 20 s of them, more than any ear delay that makes sense."""
_TICK = 1e-6
"""Seconds of tolerance when two times are compared, so that 1.06 - 0.06 is not before 1.0."""


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

    def append(self, reply_id: str, samples: Samples) -> None:
        """Add ``(n,)`` int16 mono at 24 kHz, which nobody may change afterwards."""

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
        self._reply: _Reply | None = None

    # --- the voice's side ---------------------------------------------------------------------------

    def begin(self, reply_id: str) -> None:
        """Make a new reply the one in the buffer; the one before must be cancelled or drained."""
        assert self._reply is None or self._reply.is_over, f"{self._reply.id} is still in the buffer"
        self._reply = _Reply(reply_id)

    def mark_clause(self, reply_id: str, index: int) -> None:
        """Let clause ``index`` begin with the next sample appended.

        A clause that gets no samples begins together with the one behind it, or not at all.
        """
        if reply := self._live(reply_id):
            reply.marks.append((reply.position + reply.unread.length, index))

    def append(self, reply_id: str, samples: Samples) -> None:
        """Add ``(n,)`` int16 mono at 24 kHz, which nobody may change afterwards: it is not copied."""
        reply = self._live(reply_id)
        if reply is None or not len(samples):
            return
        assert not reply.is_finished, f"{reply_id} was finished and gets more samples"
        was_empty = not reply.unread.length
        reply.unread.append(samples)
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
            reply.gain.ramp(_DUCKED_GAIN, _DUCK_RAMP)

    def hold(self, reply_id: str) -> None:
        """Silence the reply within 10 ms and keep it, from the sample where this fade begins."""
        reply = self._live(reply_id)
        if reply and not reply.is_held:
            reply.fade = _Fade(min(_HOLD_RAMP, reply.unread.length) if reply.position else 0)

    def resume(self, reply_id: str) -> None:
        """Go on where a hold's fade began, or undo a duck, within 10 ms."""
        reply = self._live(reply_id)
        if reply is None:
            return
        fade, reply.fade = reply.fade, None
        if fade and fade.n_given:
            reply.gain.set(0.0)
        reply.gain.ramp(1.0, _RESUME_RAMP)
        if fade and reply.unread.length:
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

    def read(self, n: int, now: float) -> Samples | None:
        """Take the next ``n`` samples, or ``None`` if there is nothing to say.

        Where fewer are left, zeros follow them. What is returned must not be written to: it may be the
        voice's own array.
        """
        reply = self._reply
        if reply is None or reply.is_over:
            return None
        if reply.fade is not None:
            return _pad(reply.read_fade(reply.fade, n), n)
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

    def _live(self, reply_id: str) -> _Reply | None:
        reply = self._reply
        return reply if reply is not None and reply.id == reply_id and not reply.is_over else None

    def _wake(self) -> None:
        if self.on_data is not None:
            self.on_data()

    def _announce(self, reply: _Reply, *, is_first: bool, has_room: bool) -> None:
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

    def _drain(self, reply: _Reply) -> None:
        """End a reply that is finished and read out; a held one is not over before it is resumed."""
        if not reply.is_finished or reply.unread.length or reply.is_over or reply.is_held:
            return
        reply.is_over = True
        reply.marks.clear()
        if self.listener:
            self.listener.playout_drained(reply.id)


class _Reply:
    """All that is known of the one reply in the buffer; made anew by ``begin``, so nothing is left over."""

    __slots__ = ("fade", "gain", "heard", "id", "is_finished", "is_over", "marks", "position", "unread")

    def __init__(self, reply_id: str) -> None:
        self.id = reply_id
        self.unread = Chunks()
        self.position = 0  # of the next sample to hand out, counted from the reply's first
        self.marks: deque[tuple[int, int]] = deque()  # position, clause; as many as there are clauses unread
        self.gain = Gain()
        self.fade: _Fade | None = None  # there is one while the reply is held
        self.heard = _HeardLog()
        self.is_finished = False
        self.is_over = False  # cancelled or drained

    @property
    def is_held(self) -> bool:
        return self.fade is not None

    def read_fade(self, fade: _Fade, n: int) -> Samples | None:
        """The next part of a hold's fade, read without being taken."""
        size = min(n, fade.length - fade.n_given)
        if not size:
            return None
        if not fade.n_given:
            self.gain.ramp(0.0, fade.length)
        block = self.gain.apply(self.unread.peek(fade.n_given, size))
        fade.n_given += size
        return block


class _Fade:
    """How long a hold's fade is and how far it has come, in samples; where nothing sounds there is none."""

    __slots__ = ("length", "n_given")

    def __init__(self, length: int) -> None:
        self.length = length
        self.n_given = 0


class _HeardLog:
    """When what was handed out: how many samples had left by a given time.

    Never falls: what was heard stays heard, whatever happens to the ear delay.
    """

    __slots__ = ("_heard", "_sent")

    def __init__(self) -> None:
        self._sent: deque[tuple[float, int]] = deque()  # handed out at, position then; not yet heard
        self._heard = 0

    def sent(self, at: float, position: int, heard_until: float) -> None:
        """Note that samples up to ``position`` were handed out, and forget what is heard by now."""
        self._sent.append((at, position))
        if len(self._sent) > _MAX_LOG:
            self._heard = self._sent.popleft()[1]
        self.count(heard_until)

    def count(self, until: float) -> int:
        """How many samples were handed out at ``until`` or before."""
        while self._sent and self._sent[0][0] <= until + _TICK:
            self._heard = self._sent.popleft()[1]
        return self._heard

    def close(self) -> None:
        """Let the count stay as it is: what is on its way when a reply is cancelled is not waited for."""
        self._sent.clear()


def _pad(block: Samples | None, n: int) -> Samples | None:
    if block is None or len(block) == n:
        return block
    padded = np.zeros(n, np.int16)
    padded[: len(block)] = block
    return padded

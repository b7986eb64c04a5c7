"""The sound of one reply between voice and speaker: what is unread of it, how loud it leaves, what was heard.

    appended ──> [ unread ............ ] ──gain──> handed out ──ear delay──> heard
                 ^ position

Only arithmetic; who may do what, and who is told, is ``playout``'s.
"""

from __future__ import annotations

from collections import deque

from .chunks import Chunks
from .gain import Gain
from .pcm import PLAYOUT_RATE_HZ, Samples

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


class QueuedReply:
    """All that is known of the one reply in the buffer; made anew by ``begin``, so nothing is left over.

    Owned by a ``PlayoutBuffer``, which alone changes it.
    """

    __slots__ = (
        "fade",
        "gain",
        "heard",
        "id",
        "is_finished",
        "is_over",
        "is_starved",
        "marks",
        "position",
        "unread",
    )

    def __init__(self, reply_id: str) -> None:
        self.id = reply_id
        self.unread = Chunks()
        self.position = 0  # of the next sample to hand out, counted from the reply's first
        self.marks: deque[tuple[int, int]] = deque()  # position, clause; as many as there are clauses unread
        self.gain = Gain()
        self.fade: Fade | None = None  # there is one while the reply is held
        self.heard = HeardLog()
        self.is_finished = False
        self.is_starved = False
        self.is_over = False  # cancelled or drained

    @property
    def is_held(self) -> bool:
        """Whether it is silenced, to go on later."""
        return self.fade is not None

    @property
    def packet(self) -> bytes | None:
        """The packet that sounds just as the next 480 samples would, were they handed out now."""
        return self.unread.packet if self.fade is None and self.gain.is_one else None

    def duck(self) -> None:
        """Let it leave lower."""
        self.gain.ramp(_DUCKED_GAIN, _DUCK_RAMP)

    def hold(self) -> None:
        """Silence it: by a fade, if it was audible."""
        self.fade = Fade(min(_HOLD_RAMP, self.unread.length) if self.position else 0)

    def resume(self) -> None:
        """Undo a duck or a hold; what was read of the fade is read again."""
        if self.fade and self.fade.n_given:
            self.gain.set(0.0)
        self.fade = None
        self.gain.ramp(1.0, _RESUME_RAMP)

    def read_fade(self, n: int) -> Samples | None:
        """Return the next part of a hold's fade, read without being taken."""
        fade = self.fade
        if fade is None or fade.n_given == fade.length:
            return None
        size = min(n, fade.length - fade.n_given)
        if not fade.n_given:
            self.gain.ramp(0.0, fade.length)
        block = self.gain.apply(self.unread.peek(fade.n_given, size))
        fade.n_given += size
        return block


class Fade:
    """How long a hold's fade is and how far it has come, in samples; where nothing sounds there is none."""

    __slots__ = ("length", "n_given")

    def __init__(self, length: int) -> None:
        self.length = length
        self.n_given = 0


class HeardLog:
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
        """Return how many samples were handed out at ``until`` or before."""
        while self._sent and self._sent[0][0] <= until + _TICK:
            self._heard = self._sent.popleft()[1]
        return self._heard

    def close(self) -> None:
        """Let the count stay as it is: what is on its way when a reply is cancelled is not waited for."""
        self._sent.clear()

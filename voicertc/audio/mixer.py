"""What is heard beside the voice: a thinking sound while the agent works, and an ambient bed beneath it all.

    thinking        ┌──────────┐
    ...0.7 s.......╱ 0.3 s     │ gone at the reply's first sample
    reply                      ┌──────────────────────┐
    ambient  ╱─────────────────┴──────────────────────┴────────────

Time is that of the sound itself: one ``mix`` is 20 ms. Whoever reads playout lets each block, or the lack of
one, go through here, as long as ``is_needed``; the thinking sound waits, fades and ends by these calls alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .pcm import FRAME_MS, PLAYOUT_FRAME, Samples
from .sounds import Sound

PATIENCE = 0.7
"""Seconds that the agent works in silence: most answers are there by then."""
FADE = 0.3
"""Seconds of every way in, out and over."""

Wave = npt.NDArray[np.float32]

_PATIENCE_TICKS = round(PATIENCE * 1000) // FRAME_MS
_FADE_TICKS = round(FADE * 1000) // FRAME_MS
# Of equal power, so that a sound that takes over from another leaves no dip. Row by row, 20 ms each.
_RISING: Wave = (
    np.sin(np.pi / 2 * np.arange(1, _FADE_TICKS * PLAYOUT_FRAME + 1) / (_FADE_TICKS * PLAYOUT_FRAME))
    .astype(np.float32)
    .reshape(_FADE_TICKS, PLAYOUT_FRAME)
)
_FALLING: Wave = np.ascontiguousarray(_RISING.ravel()[::-1].reshape(_FADE_TICKS, PLAYOUT_FRAME))
_WITHIN_A_TICK: Wave = np.linspace(0, 1, PLAYOUT_FRAME + 1, dtype=np.float32)[1:]


class Mixer:
    """One call's; owned by its session, driven by whoever reads the session's playout.

    All methods are synchronous and belong to the event loop's thread. While nothing is chosen or nothing
    is to be heard, blocks pass untouched and nothing is computed.
    """

    def __init__(self) -> None:
        self.on_needed: Callable[[], None] | None = None
        """Called when ``is_needed`` becomes true, for a reader that sleeps meanwhile."""
        self._ambient = _Bed()
        self._thinking = _Bed()
        self._thinking_choice: tuple[Sound, float] | None = None
        self._is_thinking = False
        self._ticks_left = 0  # until the agent has worked for so long that it is to be heard

    # --- the session's side -----------------------------------------------------------------------

    def choose_thinking(self, sound: Sound | None, volume: float = 1.0) -> None:
        """Let this be the thinking sound, at a volume of 0 to 1, from now on; ``None``: there is none."""
        was_needed = self.is_needed
        self._thinking_choice = (sound, volume) if sound and volume else None
        if self._is_thinking and not self._ticks_left:
            self._thinking.go_over(self._thinking_choice)
        self._tell(was_needed)

    def choose_ambient(self, sound: Sound | None, volume: float = 1.0) -> None:
        """Let this be the ambient bed, at a volume of 0 to 1, from now on; ``None``: there is none."""
        was_needed = self.is_needed
        self._ambient.go_over((sound, volume) if sound and volume else None)
        self._tell(was_needed)

    def think(self, is_thinking: bool) -> None:
        """Say whether the agent works on a reply of which nothing can be heard yet."""
        if is_thinking == self._is_thinking:
            return
        was_needed = self.is_needed
        self._is_thinking = is_thinking
        self._ticks_left = _PATIENCE_TICKS
        if not is_thinking:
            self._thinking.go_over(None)
        self._tell(was_needed)

    # --- the reader's side ------------------------------------------------------------------------

    @property
    def is_needed(self) -> bool:
        """Whether something is to be heard or waited for, so that ``mix`` must be called every 20 ms."""
        waits = self._is_thinking and self._thinking_choice is not None
        return waits or self._thinking.is_on or self._ambient.is_on

    def mix(self, reply: Samples | None) -> Samples | None:
        """Return the next 20 ms, 480 samples at 24 kHz; ``None`` if nothing is to be heard.

        ``reply`` is what playout has to say. It comes back as it is where nothing is to be added to it.
        """
        if reply is not None and (self._is_thinking or self._thinking.is_on):
            self._is_thinking = False
            self._thinking.cut()
        if not self.is_needed:
            return reply
        if self._is_thinking and self._thinking_choice:
            if self._ticks_left:
                self._ticks_left -= 1
            elif not self._thinking.is_on:
                self._thinking.go_over(self._thinking_choice)
        return _sum(self._ambient.play() + self._thinking.play(), reply)

    # --- within -----------------------------------------------------------------------------------

    def _tell(self, was_needed: bool) -> None:
        if self.on_needed and self.is_needed and not was_needed:
            self.on_needed()


class _Bed:
    """A sound that goes on for as long as it is wanted, and the one that it has taken over from.

    There are two at most: a wish that comes while one goes over into another waits until that is done, and
    the last wish counts.
    """

    def __init__(self) -> None:
        self._wish: tuple[Sound, float] | None = None
        self._strands: list[_Strand] = []

    @property
    def is_on(self) -> bool:
        """Whether anything of it can be heard."""
        return bool(self._strands)

    def go_over(self, wish: tuple[Sound, float] | None) -> None:
        """Let a sound take over, at a volume, or silence."""
        self._wish = wish
        self._follow()

    def cut(self) -> None:
        """Be silent from the next sample on."""
        self._wish = None
        self._strands.clear()

    def play(self) -> list[Wave]:
        """Return the next 20 ms of each sound there is."""
        if not self._strands:
            return []
        waves = [strand.play() for strand in self._strands]
        if any(strand.is_over for strand in self._strands):
            self._follow()
        return waves

    def _follow(self) -> None:
        wish, found = self._wish, False
        for strand in self._strands:
            if wish and strand.sound is wish[0]:
                strand.rise(wish[1])
                found = True
            else:
                strand.fall()
        self._strands = [strand for strand in self._strands if not strand.is_over]
        if wish and not found and len(self._strands) < 2:
            self._strands.append(_Strand(*wish))


class _Strand:
    """One sound on its way in, there, or on its way out; it begins with the loop's first sample."""

    def __init__(self, sound: Sound, volume: float) -> None:
        self.sound = sound
        self.is_over = False
        self._frames = sound.samples.reshape(-1, PLAYOUT_FRAME)
        self._next = 0
        self._is_falling = False
        self._ticks_up = 0  # of the way in that are behind it
        self._volume = self._target = volume
        self._ramp_ticks = 0  # until the volume is the target

    def rise(self, volume: float) -> None:
        """Be there, at this volume."""
        self._is_falling = False
        if volume != self._target:
            self._target = volume
            self._ramp_ticks = _FADE_TICKS

    def fall(self) -> None:
        """Go, from wherever it is."""
        self._is_falling = True
        self.is_over = not self._ticks_up

    def play(self) -> Wave:
        """Return the next 20 ms."""
        wave: Wave = self._frames[self._next] * self._next_volume()
        self._next = (self._next + 1) % len(self._frames)
        if self._is_falling:
            wave *= _FALLING[_FADE_TICKS - self._ticks_up]
            self._ticks_up -= 1
            self.is_over = not self._ticks_up
        elif self._ticks_up < _FADE_TICKS:
            wave *= _RISING[self._ticks_up]
            self._ticks_up += 1
        return wave

    def _next_volume(self) -> np.float32 | Wave:
        if not self._ramp_ticks:
            return np.float32(self._volume)
        before = self._volume
        self._volume += (self._target - before) / self._ramp_ticks
        self._ramp_ticks -= 1
        if not self._ramp_ticks:
            self._volume = self._target
        return np.float32(before) + np.float32(self._volume - before) * _WITHIN_A_TICK


def _sum(waves: list[Wave], reply: Samples | None) -> Samples | None:
    if not waves:
        return reply
    total = waves[0]
    for wave in waves[1:]:
        total += wave
    if reply is not None:
        assert len(reply) == PLAYOUT_FRAME, f"a block has {PLAYOUT_FRAME} samples, not {len(reply)}"
        total += reply
    np.rint(total, out=total)
    # np.clip takes three times as long.
    np.minimum(total, 32_767, out=total)
    np.maximum(total, -32_768, out=total)
    return total.astype(np.int16)

"""A reply's sound on its way to a client that is sent it as events: in few pieces, coded as it wants them.

A voice makes pieces of 20–100 ms, often many at once. Each event costs a client more than its sound, so what
is made in one go is sent in one piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from ..audio.formats import AudioEncoder
from ..audio.pcm import PLAYOUT_RATE_HZ, Samples
from ..core.options import AudioFormat

_MAX_PIECE = PLAYOUT_RATE_HZ
"""Samples in one event: a second."""


class ReplySound:
    """Owned by a call. ``send(reply_id, coded)`` is called on the event loop; ``format`` says what is wanted.

    A reply keeps the format with which it began.
    """

    def __init__(self, send: Callable[[str, bytes], None], format: Callable[[], AudioFormat]) -> None:
        self._send = send
        self._format = format
        self._loop = asyncio.get_running_loop()
        self._reply_id = ""
        self._encoder: AudioEncoder | None = None
        self._pieces: list[Samples] = []
        self._n_samples = 0
        self._soon: asyncio.Handle | None = None

    def add(self, reply_id: str, samples: Samples) -> None:
        """Have ``(n,)`` int16 mono at 24 kHz sent, now or with what follows at once."""
        if reply_id != self._reply_id or self._encoder is None:
            self.end(self._reply_id)
            self._reply_id, self._encoder = reply_id, AudioEncoder(self._format())
        self._pieces.append(samples)
        self._n_samples += len(samples)
        if self._n_samples >= _MAX_PIECE:
            self.flush()
        elif self._soon is None:
            self._soon = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what there is."""
        if self._soon:
            self._soon.cancel()
            self._soon = None
        if self._pieces and self._encoder:
            sound = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
            self._pieces.clear()
            self._n_samples = 0
            for begin in range(0, len(sound), _MAX_PIECE):
                self._pass_on(self._encoder.encode(sound[begin : begin + _MAX_PIECE]))

    def end(self, reply_id: str) -> None:
        """Send the rest of a reply: there will be no more of it."""
        self.flush()
        if reply_id == self._reply_id and self._encoder:
            self._pass_on(self._encoder.flush())
            self._encoder = None

    def drop(self, reply_id: str) -> None:
        """Forget what was not sent yet of a reply."""
        if reply_id == self._reply_id:
            self._pieces.clear()
            self._n_samples = 0
            self._encoder = None
        self.flush()

    def _pass_on(self, coded: bytes) -> None:
        if coded:
            self._send(self._reply_id, coded)

"""The way through aiortc's public API: dearer and slower, but of any version of it.

track.recv() ── TrackMicrophone ──> hear()         playout ── Voice ── TrackSpeaker.recv() ──> aiortc's sender

It is the reference that our own way is measured against, and what a server falls back to whose aiortc is
not the one that is known.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from aiortc import MediaStreamError, MediaStreamTrack, RTCPeerConnection, RTCRtpTransceiver

from ..audio.opus import Coding, CodingMode
from ..audio.pcm import PcmFrame
from . import aiortc_patch
from .media_path import CallAudio
from .track_microphone import BUFFER_DELAY, TrackMicrophone
from .track_speaker import TrackSpeaker
from .voice import Voice

_LOSS_PERCENT = 5
"""Nobody tells what is lost, so some is taken for granted."""


class PublicPath:
    """See ``media_path.MediaPath``. ``start`` runs its work in tasks of the peer's.

    ``on_sound`` is told the time of every frame that is decoded: all that is known of what arrives.
    """

    hearing_delay = BUFFER_DELAY
    incoming = None
    outgoing = None

    def __init__(
        self,
        audio: CallAudio,
        start: Callable[[Coroutine[None, None, None], str], asyncio.Task[None]],
        on_sound: Callable[[float], None],
    ) -> None:
        self._audio = audio
        self._start = start
        self._on_sound = on_sound
        coding = Coding(CodingMode.LOSSY, min(audio.bit_rate, 40_000), _LOSS_PERCENT)
        self._speaker = TrackSpeaker(Voice(audio.playout, coding, audio.mixing))
        self.track: MediaStreamTrack = self._speaker
        self._heard: MediaStreamTrack | None = None
        self._pc: RTCPeerConnection | None = None
        self._began: float | None = None
        self._first = 0
        self._microphone: TrackMicrophone | None = None
        self._is_released = False
        self._to_nobody: asyncio.Task[None] | None = None
        self._has_sent = False
        self._wake = self._speaker.wake  # one object: it is compared with what playout has

    @property
    def skipped(self) -> int:
        """Packets of speech left out because the event loop was late."""
        return self._speaker.skipped

    def describe(self, pc: RTCPeerConnection, transceiver: RTCRtpTransceiver) -> None:
        """Let aiortc do it all, but for what a data channel's peer could hang it with."""
        self._pc = pc
        aiortc_patch.guard_data_channel(pc)

    def renegotiated(self) -> None:
        """A data channel may have come."""
        if self._pc is not None:
            aiortc_patch.guard_data_channel(self._pc)

    def take_track(self, track: MediaStreamTrack) -> None:
        """Listen to the client's track, as soon as sound can flow; one that nobody reads grows for ever."""
        self._heard = track
        if self._began is not None:
            self._listen(track, self._began)

    @property
    def position(self) -> int:
        """Where hearing has come to."""
        return self._microphone.position if self._microphone else 0

    def begin(self, began: float, position: int) -> None:
        """Listen from now on."""
        self._began, self._first = began, position
        self._audio.playout.on_data = self._wake
        if self._audio.mixing is not None:
            self._audio.mixing.on_needed = self._wake
        if self._heard is not None:
            self._listen(self._heard, began)

    def follow_direction(self, *, is_sending: bool) -> None:
        """Let aiortc's sender have our voice if the client wants it; once it has begun it goes on."""
        if is_sending:
            self._has_sent = True
            if self._to_nobody is not None:
                self._to_nobody.cancel()
        elif not self._has_sent and self._to_nobody is None:
            self._to_nobody = self._start(self._play_to_nobody(), "playout")

    def release(self) -> None:
        """Let go of playout and ears at once."""
        self._is_released = True
        if self._audio.playout.on_data == self._wake:
            self._audio.playout.on_data = None
        if self._audio.mixing is not None and self._audio.mixing.on_needed == self._wake:
            self._audio.mixing.on_needed = None
        self._speaker.stop()

    async def close(self) -> None:
        """The tasks are the peer's."""
        self.release()

    def _listen(self, track: MediaStreamTrack, began: float) -> None:
        self._microphone = TrackMicrophone(self._hear, began=began, position=self._first)
        self._start(self._microphone.run(track), "microphone")

    def _hear(self, frame: PcmFrame) -> None:
        self._on_sound(asyncio.get_running_loop().time())
        if not self._is_released:
            self._audio.hear(frame)

    async def _play_to_nobody(self) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await self._speaker.recv()

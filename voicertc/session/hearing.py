"""The ears of a session: frames in, facts out; each turn has its own recognition.

    hear(frame) ─> pre-roll ring ─> voice activity ─> speech signs
                        └─> the open turn's recognition ─> interim and final transcripts

Silence is never sent to a recognizer: inside a turn the frames of a pause are kept back and follow only if
the user goes on. Audio time becomes session time by the least delay seen between the two, so that
a deadline counts from when the sound was made, not from when a queue let go of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from .. import logs
from ..audio.pcm import FRAME_MS, PcmFrame
from ..audio.speech_bounds import SpeechSign
from ..core import events
from ..core.events import Event
from ..errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout
from ..providers.base import Final, RecognitionRequest, SpeechActivity, SpeechToText
from .tasks import Tasks

_log = logging.getLogger(__name__)

_FRAME = FRAME_MS / 1000
"""Seconds of a frame."""
_RING = 1.5
"""Seconds of frames kept, for the pre-roll: more than padding and detection together."""
_PAUSE_TAIL = 0.2
"""Seconds of a pause that are passed on at once: final consonants are quiet."""
_MAX_WAITING = 10.0
"""Seconds of audio a recognizer may lag behind before the oldest are dropped."""
_LAPSE = 1.0
"""Seconds without a frame in which speech counts as over: some clients send nothing while they are muted."""
_DRIFT = 0.0002
"""How fast a client's clock may run slow, in seconds per second."""


@dataclass(frozen=True, slots=True)
class _End:
    """No more audio will come."""


class _Recognition:
    """One turn's audio on its way to the recognizer: bounded, pushed by frames, pulled by the provider."""

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        self.seconds = 0.0
        self.is_closed = False
        self._frames: deque[PcmFrame | _End] = deque()
        self._waiting = 0.0
        self._kept_back: list[PcmFrame] = []
        self._arrived = asyncio.Event()

    def push(self, frame: PcmFrame, *, is_speech: bool, pause: float) -> None:
        """Take a frame; ``pause`` is the seconds since the last speech."""
        if is_speech or pause <= _PAUSE_TAIL:
            for kept in self._kept_back:
                self._pass_on(kept)
            self._kept_back.clear()
            self._pass_on(frame)
        else:
            self._kept_back.append(frame)

    def close(self) -> None:
        """The turn is over."""
        if not self.is_closed:
            self.is_closed = True
            self._kept_back.clear()
            self._frames.append(_End())
            self._arrived.set()

    async def frames(self) -> AsyncIterator[PcmFrame]:
        """Yield the turn's audio as it comes; ends with the turn."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if isinstance(frame, _End):
                    return
                self._waiting -= frame.end - frame.start
                yield frame
            self._arrived.clear()
            await self._arrived.wait()  # the turn's maximum length is the core's deadline for this

    def _pass_on(self, frame: PcmFrame) -> None:
        length = frame.end - frame.start
        self.seconds += length
        self._waiting += length
        self._frames.append(frame)
        if self._waiting > _MAX_WAITING:
            dropped = self._frames.popleft()
            assert isinstance(dropped, PcmFrame)
            self._waiting -= dropped.end - dropped.start
            logs.audio_event("recognizer_lags", item=self.item_id, dropped_at=dropped.start)
        self._arrived.set()


class Hearing:
    """Owned by one session. ``hear`` is synchronous; recognitions are tasks of ``tasks``.

    ``delay`` is how old, in seconds, the transport's newest sound always is when it is heard: a jitter buffer
    must not be paid for by who waits for the end of a turn.
    """

    def __init__(
        self,
        *,
        activity: SpeechActivity,
        recognizer: SpeechToText,
        request: Callable[[], RecognitionRequest],
        post: Callable[[Event], None],
        clock: Callable[[], float],
        tasks: Tasks,
        delay: float = 0.0,
    ) -> None:
        self._delay = delay
        self._activity = activity
        self._recognizer = recognizer
        self._request = request
        self._post = post
        self._clock = clock
        self._tasks = tasks
        self._ring: deque[PcmFrame] = deque()
        self._lag: float | None = None
        self._last_speech_end = 0.0
        self._open: _Recognition | None = None
        self._closing: _Recognition | None = None
        self._closer: asyncio.TimerHandle | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._came_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._has_lapsed = False

    def hear(self, frame: PcmFrame) -> None:
        """Take 20 ms of the caller's sound, 16 kHz mono."""
        self._follow_clock(frame)
        self._ring.append(frame)
        while self._ring[0].end < frame.end - _RING:
            self._ring.popleft()
        signs = self._activity.feed(frame)
        for sign in signs:
            self._tell(sign)
        if self._has_lapsed:
            self._has_lapsed = False
            if self._activity.is_speech and not signs:  # it was held up on the way, and goes on
                self._tell(SpeechSign("started", frame.start))
        if recognition := self._closing or self._open:
            self._push(recognition, frame)

    def open_turn(self, item_id: str, at: float) -> None:
        """Begin to recognize what was said from ``at`` (session time) on."""
        recognition = _Recognition(item_id)
        self._open = recognition
        self._running[item_id] = self._tasks.start(self._recognize(recognition), f"{item_id}/stt")
        begin = at - self._session_time(0.0)
        # The newest frame is pushed by ``hear``, if that is what led here; else a turn before has had it.
        for frame in list(self._ring)[:-1]:
            if frame.end > begin:
                recognition.push(frame, is_speech=True, pause=0.0)

    def close_turn(self, item_id: str) -> None:
        """The turn ends with the sound made until now; its final transcript is due."""
        if self._open and self._open.item_id == item_id:
            recognition, self._open = self._open, None
            if self._delay and self._activity.is_speech:
                # Its last syllable is on the way still: a released button overtakes what was said before.
                self._finish_closing()
                self._closing = recognition
                self._closer = self._loop.call_later(self._delay, self._finish_closing)
            else:
                recognition.close()

    def drop_turn(self, item_id: str) -> None:
        """Forget a turn; nothing of it is posted any more."""
        if self._closing and self._closing.item_id == item_id:
            self._finish_closing()
        elif self._open and self._open.item_id == item_id:
            self._open = None
        if task := self._running.pop(item_id, None):
            task.cancel()

    def close(self) -> None:
        """Let no timer fire any more; may be called twice."""
        self._finish_closing()
        self._watch_no_longer()

    def _finish_closing(self) -> None:
        if self._closer:
            self._closer.cancel()
            self._closer = None
        if self._closing:
            self._closing.close()
            self._closing = None

    def _tell(self, sign: SpeechSign) -> None:
        at = self._session_time(sign.at)
        logs.audio_event(f"speech_{sign.kind}", at=round(at, 3))
        match sign.kind:
            case "suspected":
                self._watch_over_speech()
                self._post(events.SpeechSuspected(at))
            case "started":
                self._watch_over_speech()
                self._post(events.SpeechStarted(at))
            case "stopped":
                self._watch_no_longer()
                self._last_speech_end = sign.at
                self._post(events.SpeechStopped(at))

    def _watch_over_speech(self) -> None:
        """See to it that what has begun ends, even if no frame comes any more."""
        self._watch_no_longer()
        left = self._came_at + _LAPSE - self._clock()
        if left > _FRAME:  # a timer may be early by a rounding error
            self._watch = self._loop.call_later(left, self._watch_over_speech)
        else:
            self._has_lapsed = True
            self._tell(SpeechSign("stopped", self._ring[-1].end))

    def _watch_no_longer(self) -> None:
        if self._watch:
            self._watch.cancel()
            self._watch = None

    def _push(self, recognition: _Recognition, frame: PcmFrame) -> None:
        is_speech = self._activity.is_speech
        recognition.push(frame, is_speech=is_speech, pause=frame.end - self._last_speech_end)

    def _follow_clock(self, frame: PcmFrame) -> None:
        self._came_at = self._clock()
        lag = self._came_at - frame.end
        if self._lag is None or lag < self._lag:
            self._lag = lag
        else:
            self._lag = min(lag, self._lag + _DRIFT * (frame.end - frame.start))

    def _session_time(self, audio_time: float) -> float:
        return audio_time + (self._lag or 0.0) - self._delay

    async def _recognize(self, recognition: _Recognition) -> None:
        item_id = recognition.item_id
        result: Event
        try:
            result = await self._listen(recognition)
        except ProviderError as error:
            logs.event(_log, logging.WARNING, "recognition_failed", item=item_id, error=error.message)
            result = events.TranscriptFailed(item_id, _code_of(error), error.message)
        except Exception as error:  # a provider's bug must not end the call
            logs.event(_log, logging.ERROR, "recognition_crashed", exc_info=True, item=item_id)
            result = events.TranscriptFailed(item_id, "failed", f"{type(error).__name__} in the recognizer")
        if self._running.pop(item_id, None):
            self._post(result)

    async def _listen(self, recognition: _Recognition) -> Event:
        item_id = recognition.item_id
        transcripts = self._recognizer.recognize(recognition.frames(), self._request())
        async with aclosing(transcripts):
            async for transcript in transcripts:
                if isinstance(transcript, Final):
                    return events.TranscriptFinal(
                        item_id,
                        transcript.text,
                        transcript.confidence,
                        transcript.language,
                        round(recognition.seconds, 3),
                    )
                self._post(events.TranscriptInterim(item_id, transcript.text))
        raise ProviderCrashed("The recognizer ended without a result.", provider=self._recognizer.name)


def _code_of(error: ProviderError) -> str:
    match error:
        case ProviderBusy():
            return "busy"
        case ProviderTimeout():
            return "timeout"
        case ProviderCrashed():
            return "crashed"
        case _:
            return "failed"

"""The ears of a session: frames in, facts out; each turn has its own recognition.

    hear(frame) ─> noise reduction ─> pre-roll ring ─> voice activity ─> speech signs
                                           └─> the open turn's recognition ─> interim and final transcripts

Silence is never sent to a recognizer: inside a turn the frames of a pause are kept back and follow only if
the user goes on. Audio time becomes session time by the least delay seen between the two, so that
a deadline counts from when the sound was made, not from when a queue let go of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from .. import logs
from ..audio.noise import NoiseKind, NoiseReduction
from ..audio.pcm import FRAME_MS, HEARING_FRAME, HEARING_RATE_HZ, PcmFrame, Samples
from ..audio.speech_bounds import SpeechSign
from ..core import events
from ..core.events import Event
from ..errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout
from ..providers.base import (
    EagerEnd,
    EndOfTurn,
    Final,
    Interim,
    RecognitionRequest,
    Recognizer,
    Resumed,
    SpeechActivity,
    Started,
)
from .recognition import MAX_WAITING, Recognition
from .tasks import Tasks
from .usage_count import UsageCount

_log = logging.getLogger(__name__)

_FRAME = FRAME_MS / 1000
"""Seconds of a frame."""
_RING = 1.5
"""Seconds of frames kept, for the pre-roll: more than padding and detection together."""
_ONSET = 0.5
"""Seconds of sound before speech is certain that are heard with it when a turn goes on."""
_LAPSE = 1.0
"""Seconds without a frame in which speech counts as over: some clients send nothing while they are muted."""
CLOCK_DRIFT = 0.0002
"""How fast a client's clock may run slow, in seconds per second."""
_EASY_WAITING = 5.0
"""Seconds of a turn that may wait for the recognizer when a client that can be held back sends more."""
_EASY_TURNS = 2
"""Turns whose words may be due when such a client sends more."""


class Hearing:
    """Owned by one session. ``hear`` is synchronous; recognitions are tasks of ``tasks``.

    ``delay`` is how old, in seconds, the transport's newest sound always is when it is heard: a jitter buffer
    must not be paid for by who waits for the end of a turn. ``drift`` is how fast, in seconds per second, the
    least delay may be found to have grown: a clock's error, or the pauses of a client that sends no silence.
    """

    def __init__(
        self,
        *,
        activity: SpeechActivity,
        recognizer: Recognizer,
        request: Callable[[], RecognitionRequest],
        usage: UsageCount,
        post: Callable[[Event], None],
        clock: Callable[[], float],
        tasks: Tasks,
        delay: float = 0.0,
        drift: float = CLOCK_DRIFT,
    ) -> None:
        self._delay = delay
        self._drift = drift
        self._activity = activity
        self._recognizer = recognizer
        self._request = request
        self._usage = usage
        self._post = post
        self._clock = clock
        self._tasks = tasks
        self._noise_reduction: NoiseReduction | None = None
        self._ring: deque[PcmFrame] = deque()
        self._lag: float | None = None
        self._last_speech_end = 0.0
        self._open: Recognition | None = None
        self._closing: Recognition | None = None
        self._closer: asyncio.TimerHandle | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._came_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._has_lapsed = False

    def hear(self, frame: PcmFrame) -> None:
        """Take 20 ms of the caller's sound, 16 kHz mono."""
        self._follow_clock(frame)
        if self._noise_reduction:
            frame = self._noise_reduction.feed(frame)
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

    def set_options(
        self, *, threshold: float | None, noise_reduction: tuple[NoiseKind, float] | None
    ) -> None:
        """Hear by these from the next frame on, whatever goes on. May be called as often as one likes.

        ``threshold``: how clear speech must be, 0 to 1; ``None`` is the middle, 0.5. ``noise_reduction``:
        where the microphone is, and the strength, 0 to 1.
        """
        self._activity.threshold = 0.5 if threshold is None else threshold
        if noise_reduction is None:
            self._noise_reduction = None
            return
        if self._noise_reduction is None:
            self._noise_reduction = NoiseReduction("near_field")
            for frame in self._ring:  # so that it knows the noise already, and nobody hears it begin
                self._noise_reduction.feed(frame)
        self._noise_reduction.kind, self._noise_reduction.strength = noise_reduction

    @property
    def lag(self) -> float:
        """How many seconds session time is ahead of audio time."""
        return self._session_time(0.0)

    @property
    def is_idle(self) -> bool:
        """Whether silence may be left out: nobody speaks, no turn is open, and no noise is to be learnt."""
        is_used = self._open or self._closing or self._noise_reduction
        return not is_used and not self._activity.is_speech

    @property
    def has_room(self) -> bool:
        """Whether more sound can be heard now without any being dropped."""
        n_due = len(self._running) - (self._open is not None)
        waiting = self._open.waiting if self._open else 0.0
        return n_due <= _EASY_TURNS and waiting <= _EASY_WAITING

    def open_turn(self, item_id: str, at: float) -> None:
        """Begin to recognize what was said from ``at`` (session time) on."""
        recognition = Recognition(item_id, self._session_time)
        self._open = recognition
        self._running[item_id] = self._tasks.start(self._recognize(recognition), f"{item_id}/stt")
        begin = at - self.lag
        # The newest frame is pushed by ``hear``, if that is what led here; else a turn before has had it.
        for frame in list(self._ring)[:-1]:
            if frame.end > begin:
                recognition.note(frame)
                recognition.push(frame, is_speech=True, pause=0.0)

    def guess_turn(self, item_id: str) -> None:
        """The open turn may be over: find its words now; if it goes on, they are found anew."""
        if self._open and self._open.item_id == item_id and not self._open.is_closed:
            self._open.guess()

    def close_turn(self, item_id: str) -> None:
        """The turn ends with the sound made until now; its final transcript is due."""
        if self._open and self._open.item_id == item_id:
            recognition, self._open = self._open, None
            if recognition.is_guess:
                recognition.is_guess = False  # it was right
                if recognition.result:
                    self._running.pop(item_id, None)
                    self._post(recognition.result)
            elif self._delay and self._activity.is_speech:
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

    def recognize_recording(self, item_id: str, samples: Samples) -> None:
        """Recognize what was recorded before, ``(n,)`` int16 mono at 16 kHz; words count from its start."""
        length = len(samples) / HEARING_RATE_HZ
        recording = Recognition(item_id, lambda at: at, max_waiting=length + _FRAME)
        for begin in range(0, len(samples), HEARING_FRAME):
            recording.push(PcmFrame(samples[begin : begin + HEARING_FRAME], begin), is_speech=True, pause=0.0)
        recording.close()
        self._running[item_id] = self._tasks.start(self._recognize(recording), f"{item_id}/stt")

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

    def _push(self, recognition: Recognition, frame: PcmFrame) -> None:
        is_speech = self._activity.is_speech
        if recognition.is_guess:
            if is_speech:
                self._begin_anew(recognition)
            return
        recognition.note(frame)
        recognition.push(frame, is_speech=is_speech, pause=frame.end - self._last_speech_end)

    def _begin_anew(self, wrong: Recognition) -> None:
        """The turn was guessed to be over and goes on: recognize all of it, in one piece."""
        item_id, frames = wrong.item_id, list(wrong.heard)
        wrong.is_dropped = True
        # Of the pause, what lies right before the words: first consonants are quiet.
        end = frames[-1].end if frames else 0.0
        newest = self._ring[-1].end
        frames += [each for each in self._ring if each.start >= max(end, newest - _ONSET) - _FRAME / 2]
        if task := self._running.pop(item_id, None):
            task.cancel()
        length = sum(frame.end - frame.start for frame in frames)
        anew = self._open = Recognition(item_id, self._session_time, max_waiting=MAX_WAITING + length)
        self._running[item_id] = self._tasks.start(self._recognize(anew), f"{item_id}/stt")
        for frame in frames:
            anew.note(frame)
            anew.push(frame, is_speech=True, pause=0.0)

    def _follow_clock(self, frame: PcmFrame) -> None:
        self._came_at = self._clock()
        lag = self._came_at - frame.end
        if self._lag is None or lag < self._lag:
            self._lag = lag
        else:
            self._lag = min(lag, self._lag + self._drift * (frame.end - frame.start))

    def _session_time(self, audio_time: float) -> float:
        return audio_time + (self._lag or 0.0) - self._delay

    async def _recognize(self, recognition: Recognition) -> None:
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
        if recognition.is_dropped:
            return
        if recognition.is_guess:
            recognition.result = result
            if isinstance(result, events.TranscriptFinal):
                self._post(events.WordsGuessed(item_id, result.text))
        elif self._running.pop(item_id, None):
            self._post(result)

    async def _listen(self, recognition: Recognition) -> Event:
        item_id = recognition.item_id
        request = replace(self._request(), item_id=item_id)
        pieces = self._recognizer.recognize(recognition.frames(), request)
        async with aclosing(pieces):
            async for piece in pieces:
                match piece:
                    case Final():
                        if piece.used:
                            self._usage.add("stt", piece.used)
                        return events.TranscriptFinal(
                            item_id,
                            piece.text,
                            piece.confidence,
                            piece.language,
                            round(recognition.seconds, 3),
                            recognition.place(piece.words),
                        )
                    case Interim(text):
                        self._post(events.TranscriptInterim(item_id, text))
                    case EndOfTurn() if not recognition.is_closed:  # else it is told of our own decision
                        self._post(events.TurnEndHeard(item_id))
                    case Started() | EagerEnd() | Resumed() | EndOfTurn():
                        # Our own ears are earlier, and guess for themselves.
                        logs.audio_event("recognizer_sign", item=item_id, sign=type(piece).__name__)
        raise ProviderCrashed("The recognizer ended without a result.", provider="stt")


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

"""The input audio buffer of one Realtime session, and what is heard in it.

The text of a turn is the scenario's. Of a sequence it is known when the turn begins, so that models that
stream can write its words while they come; a callable is asked when the turn is committed. Sound that was
lost takes its share of the words with it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import numpy as np

from ..audio.pcm import PLAYOUT_RATE_HZ, Samples
from .openai_answers import tokens
from .openai_faults import FailTurn
from .openai_realtime_record import CommittedTurn, Loss, ReceivedSocket
from .openai_realtime_script import Course, Script
from .openai_realtime_wire import Wire
from .openai_refusals import RefusedError
from .openai_rules import STREAMING_TRANSCRIBERS
from .openai_scenario import Scenario

_MAX_APPEND = 15 << 20
_MIN_MS = 100
_TRANSCRIPTION = "conversation.item.input_audio_transcription"

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Ear:
    """Owned by a session; ``transcription`` and ``turn_detection`` are what its configuration says."""

    def __init__(
        self,
        wire: Wire,
        scenario: Scenario,
        script: Script,
        record: ReceivedSocket,
        spawn: Spawn,
        new_id: Callable[[], str],
    ) -> None:
        self.transcription: Mapping[str, Any] | None = None
        self.turn_detection: Mapping[str, Any] | None = None
        self.is_ready = False
        self._wire = wire
        self._scenario = scenario
        self._script = script
        self._record = record
        self._spawn = spawn
        self._clock = asyncio.get_running_loop().time
        self._credit = scenario.realtime.burst
        self._credited_at = self._clock()
        self._new_id = new_id
        self._item_id = ""
        self._chunks: list[Samples] = []
        self._n_kept = self._n_lost = self._n_words_sent = 0
        self._text: str | None = None
        self._begin_turn()

    async def append(self, audio: str) -> None:
        """Take sound, or lose it; send the words that are due."""
        samples = _samples(audio)
        if self.is_ready and self.turn_detection is not None:
            message = "The fake takes sound only with turn_detection null."
            raise RefusedError(message, code="not_in_the_fake", param="audio")
        self._record.n_samples += len(samples)
        if (loss := self._loss(len(samples))) is not None:
            self._record.lost[loss] += len(samples)
            self._n_lost += len(samples)
            return
        self._chunks.append(samples)
        self._n_kept += len(samples)
        model = (self.transcription or {}).get("model")
        if model in STREAMING_TRANSCRIBERS:
            await self._send_due_words()

    async def commit(self, add_item: Callable[[CommittedTurn, Course], Coroutine[Any, Any, None]]) -> None:
        """End the turn; ``add_item`` tells the client of its item before anything is transcribed."""
        ms = self._ms()
        if ms < _MIN_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {ms:.2f}ms of audio."
            )
            raise RefusedError(message, code="input_audio_buffer_commit_empty")
        samples = np.concatenate(self._chunks)
        turn = CommittedTurn(self._item_id, samples, self._whole_text(samples))
        n_sent = self._n_words_sent
        self._begin_turn()
        self._record.turns.append(turn)
        delay, course = self._script.next_turn()
        await self._wire.begin(course)
        await add_item(turn, course)
        if self.transcription is not None:
            self._spawn(self._transcribe(turn, n_sent, delay, course, self.transcription))

    def clear(self) -> None:
        """Forget the turn so far; its text is that of the next."""
        text = self._text
        self._begin_turn()
        self._text = text

    def lose(self) -> None:
        """Lose the sound of the turn so far, as an update of the session does."""
        if not self._n_kept:
            return
        self._record.lost["update"] += self._n_kept
        self._n_lost += self._n_kept
        self._chunks.clear()
        self._n_kept = 0

    def _begin_turn(self) -> None:
        self._item_id = self._new_id()
        self._chunks = []
        self._n_kept = self._n_lost = self._n_words_sent = 0
        self._text = None

    def _ms(self) -> float:
        return self._n_kept * 1000 / PLAYOUT_RATE_HZ

    def _loss(self, n_samples: int) -> Loss | None:
        """Say why sound of this length is lost. Credit is seconds of sound that may come now."""
        if not self.is_ready:
            return "early"
        speed, seconds, now = self._scenario.realtime.max_speed, n_samples / PLAYOUT_RATE_HZ, self._clock()
        if speed is None:
            return None
        most = max(self._scenario.realtime.burst, seconds)
        self._credit = min(most, self._credit + (now - self._credited_at) * speed)
        self._credited_at = now
        if seconds > self._credit:
            return "fast"
        self._credit -= seconds
        return None

    async def _send_due_words(self) -> None:
        scenario, ms = self._scenario.realtime, self._ms()
        if ms < scenario.first_delta_ms:
            return
        if self._text is None:
            self._text = self._script.next_text()
        words = tokens(self._text or "")
        n_due = min(1 + int((ms - scenario.first_delta_ms) // scenario.delta_ms), len(words) - 1)
        while self._n_words_sent < n_due:
            word = words[self._n_words_sent]
            self._n_words_sent += 1
            await self._wire.send(
                f"{_TRANSCRIPTION}.delta", item_id=self._item_id, content_index=0, delta=word
            )

    def _whole_text(self, samples: Samples) -> str:
        text = self._text if self._text is not None else self._script.next_text()
        if text is None:
            return self._script.text_of(samples)
        words = tokens(text)
        n_heard = math.floor(len(words) * self._n_kept / (self._n_kept + self._n_lost))
        return "".join(words[: max(n_heard, self._n_words_sent)])

    async def _transcribe(
        self, turn: CommittedTurn, n_sent: int, delay: float, course: Course, transcription: Mapping[str, Any]
    ) -> None:
        await asyncio.sleep(delay)
        where = {"item_id": turn.item_id, "content_index": 0}
        if isinstance(course.fault, FailTurn):
            error = RefusedError(course.fault.message, code=course.fault.code, kind="server_error")
            await self._wire.send(f"{_TRANSCRIPTION}.failed", course, **where, error=error.body["error"])
            return
        for word in tokens(turn.text)[n_sent:]:
            await self._wire.send(f"{_TRANSCRIPTION}.delta", course, **where, delta=word)
        await self._wire.send(
            f"{_TRANSCRIPTION}.completed",
            course,
            **where,
            transcript=turn.text,
            languages=[{"code": code} for code in self._scenario.languages],
            usage=_usage(turn, str(transcription.get("model"))),
        )


def _usage(turn: CommittedTurn, model: str) -> dict[str, Any]:
    """Older models count tokens, newer ones whole seconds, rounded up for each item."""
    seconds = len(turn.samples) / PLAYOUT_RATE_HZ
    if not model.startswith("gpt-4o"):
        return {"type": "duration", "seconds": math.ceil(seconds)}
    n_in, n_out = math.ceil(seconds * 10), len(tokens(turn.text))
    return {
        "type": "tokens",
        "input_tokens": n_in,
        "output_tokens": n_out,
        "total_tokens": n_in + n_out,
        "input_token_details": {"audio_tokens": n_in, "text_tokens": 0},
    }


def _samples(audio: str) -> Samples:
    """Return the sound of an append, or refuse it."""
    try:
        pcm = base64.b64decode(audio, validate=True)
    except binascii.Error as error:
        message = "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz)."
        raise RefusedError(message, code="invalid_value", param="audio") from error
    if len(pcm) > _MAX_APPEND or len(pcm) % 2:
        message = "Invalid 'audio': expected whole samples of 16 bits, 15 MiB at most."
        raise RefusedError(message, code="invalid_value", param="audio")
    return np.frombuffer(pcm, dtype="<i2").astype(np.int16)

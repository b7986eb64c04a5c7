"""Hearing by OpenAI's file endpoint: a turn's sound is collected and sent as one WAV file at its end.

``POST /audio/transcriptions``, which gpt-transcribe, whisper servers, vLLM and speaches all have. It gives no
interims and no times of words. The connection is opened while the user still speaks, so the turn's end costs
one request only.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

import numpy as np
import openai
import soundfile
from openai.types.audio import Transcription
from openai.types.audio.transcription import UsageDuration, UsageTokens

from ..audio.pcm import HEARING_RATE_HZ, PcmFrame, Samples
from ..core.replies import Usage
from ..errors import ProviderCrashed, ProviderError
from .base import EachTurn, Final, HeardPiece, RecognitionRequest, Recognizer, Used
from .openai_client import OpenAIClient
from .openai_fields import OptionalFields, RequestFields
from .openai_stage import OpenAIStage, sendable
from .patience import Patience

NAME = "openai-file"
"""What the settings call it, and what its errors carry."""

MIN_AUDIO = 0.1
"""Seconds: OpenAI refuses less (``audio_too_short``), and nobody says a word in it."""

_NO_WORDS = re.compile(r"(?:\[[^\]]*\]|\([^)]*\)|[\s.])*")
"""What Whisper's descendants write for silence: ``[BLANK_AUDIO]``, ``(wind blowing)``, a lone full stop."""


@dataclass(frozen=True, slots=True)
class OpenAISpeechToTextOptions:
    """How OpenAI, or a compatible server, hears."""

    model: str = "gpt-transcribe"
    """The model; gpt-4o-transcribe and whisper-1 end on 2027-02-26."""
    language: str | None = None
    """ISO 639-1 code of what is spoken, if the session names none; ``None`` lets the model find out."""
    prompt: str = ""
    """Words to expect, if the session names none."""
    timeout: float = 5.5
    """Seconds for the transcript after a turn: above the endpoint's p99 of 2.0 s, below the session's 6 s."""
    max_turn: float = 30.0
    """Seconds of a turn that are sent at most; what comes later in the same turn is not heard."""


class OpenAISpeechToText(OpenAIStage):
    """A recognizer of whole turns. One object serves all calls; a turn holds its own sound only."""

    name = NAME
    endpoint = "audio/transcriptions"

    def __init__(self, options: OpenAISpeechToTextOptions, client: OpenAIClient) -> None:
        super().__init__(client, options.model)
        self.options = options
        self._optional = OptionalFields(self.endpoint)
        self._turns: set[asyncio.Timeout] = set()

    async def close(self) -> None:
        """End the turns that are being heard, which raise ``ProviderError``, and leave the pool."""
        for turn in self._turns:
            turn.reschedule(asyncio.get_running_loop().time())
        await super().close()

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Each turn is heard by itself; nothing is needed before the first."""
        return EachTurn(self.recognize)

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear ``audio`` to its end, send it, and yield what was said."""
        self.client.warm(self.model)
        try:
            # No deadline: only a scope that ``close`` can end, since a turn may wait for its next frame.
            async with asyncio.timeout(None) as turn:
                self._turns.add(turn)
                try:
                    final = await self._hear(audio, request)
                finally:
                    self._turns.discard(turn)
        except TimeoutError:
            if not turn.expired():
                raise
            raise ProviderError(f"{NAME} was closed during a turn", provider=NAME) from None
        yield final

    async def _hear(self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest) -> Final:
        samples = await self._collect(audio)
        if len(samples) < MIN_AUDIO * HEARING_RATE_HZ:
            return Final("")
        return _final(await self._transcribe(_wav(samples), request), self.model)

    async def _collect(self, audio: AsyncIterator[PcmFrame]) -> Samples:
        """Return the turn's sound, ``(n,)`` at 16 kHz, no longer than ``max_turn``."""
        room = int(self.options.max_turn * HEARING_RATE_HZ)
        parts: list[Samples] = [np.zeros(0, np.int16)]
        async for frame in audio:
            part = frame.samples[:room]
            room -= len(part)
            if len(part):
                parts.append(part)
        return np.concatenate(parts)

    async def _transcribe(self, wav: bytes, request: RecognitionRequest) -> Transcription:
        fields = self._optional.of_request(
            {
                "language": request.language or self.options.language,
                "prompt": sendable(request.prompt or self.options.prompt),
            }
        )
        patience = Patience(NAME, first=self.options.timeout, idle=self.options.timeout)
        return await self.client.call(lambda api: self._send(api, wav, fields), patience, fields)

    async def _send(self, api: openai.AsyncOpenAI, wav: bytes, fields: RequestFields) -> Transcription:
        return await api.audio.transcriptions.create(
            file=("turn.wav", wav, "audio/wav"),
            model=self.model,
            response_format="json",
            extra_body=fields.current,
        )

    async def _rehearse(self, api: openai.AsyncOpenAI) -> None:
        """Send a tenth of a second of silence to nobody."""
        silence = np.zeros(int(MIN_AUDIO * HEARING_RATE_HZ), np.int16)
        await self._send(api, _wav(silence), self._optional.of_request({}))


def _final(answer: object, model: str) -> Final:
    """Read the endpoint's answer; the SDK passes on whatever a server sends, typed or not."""
    text: object = answer.text if isinstance(answer, Transcription) else None
    if not isinstance(answer, Transcription) or not isinstance(text, str):
        raise ProviderCrashed(f"{NAME} sent something else than a transcript", provider=NAME)
    languages: object = answer.languages
    code: object = getattr(languages[0], "code", None) if isinstance(languages, list) and languages else None
    heard = "" if _NO_WORDS.fullmatch(text) else text.strip()
    return Final(heard, language=code if isinstance(code, str) else None, used=_used(answer.usage, model))


def _used(usage: object, model: str) -> Used | None:
    """Read what was counted: seconds, or tokens; some servers count nothing."""
    match usage:
        case UsageDuration():
            return Used(NAME, model, seconds=usage.seconds)
        case UsageTokens():
            details = usage.input_token_details
            audio = (details.audio_tokens if details else None) or 0
            tokens = Usage(usage.input_tokens, usage.output_tokens, input_audio_tokens=audio, provider=NAME)
            return Used(NAME, model, tokens=tokens)
        case _:
            return None


def _wav(samples: Samples) -> bytes:
    """Return ``samples`` as a WAV file, 16 kHz, mono, 16-bit PCM."""
    file = io.BytesIO()
    soundfile.write(file, samples, HEARING_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()

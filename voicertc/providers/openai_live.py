"""Hearing by OpenAI's Realtime transcription: words while the user speaks, the text soon after a turn's end.

    OpenAILiveSpeechToText   one per process
      └─ LiveRecognizer      one per call (``openai_live_recognizer``)
           ├─ LiveLine       its socket, kept ready (``openai_live_line``)
           │    └─ LiveEar   the protocol on it (``openai_live_ear``)
           └─ TurnSound      one per turn (``openai_live_turn``)

We say when a turn ends (``turn_detection: null``, then a commit), and wait a bounded time for its text: what
has come by then is the text, because the service's own last word is late for one turn in a hundred.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from ..errors import ProviderError
from ..logs import event
from .base import RecognitionRequest, Recognizer
from .openai_access import OpenAIOptions
from .openai_live_ear import LiveEar, OnEarLost, OnUsed
from .openai_live_recognizer import NAME, LiveRecognizer
from .openai_live_turn import SERVICE_RATE_HZ
from .openai_models import shutdown_notice
from .openai_socket import RealtimeClient, SocketTimes
from .openai_socket_errors import SessionRefused
from .openai_stage import sendable

__all__ = ["NAME", "OpenAILiveOptions", "OpenAILiveSpeechToText"]

_QUERY = {"intent": "transcription"}
"""A model in the address would make it a conversation, which takes no transcription session."""
_LANGUAGE_LISTS = ("gpt-transcribe", "gpt-live-transcribe")
_NO_PROMPT = ("gpt-realtime-whisper",)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenAILiveOptions:
    """How OpenAI hears a call."""

    model: str = "gpt-live-transcribe"
    """The model; gpt-realtime-whisper streams as well, the gpt-4o ones end on 2027-02-26."""
    language: str | None = None
    """ISO 639-1 code of what is spoken, if the session names none; ``None`` lets the model find out."""
    prompt: str = ""
    """Words to expect, if the session names none; gpt-realtime-whisper takes none."""
    keywords: tuple[str, ...] = ()
    """Names and terms to listen for, for models that take them."""
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = "low"
    """How long the model waits before it writes a word down, if it lets itself be told."""
    wants_confidence: bool = False
    """Whether to ask for the tokens' probabilities: they double what is sent, and nobody needs them yet."""
    final_timeout: float = 3.0
    """Seconds for the text after a turn's end: twice what all but one in a hundred take (1.7 s)."""
    max_age: float = 3000.0
    """Seconds after which a call's socket is replaced: OpenAI ends it after 3600."""
    times: SocketTimes = field(default_factory=SocketTimes)
    """The deadlines of the socket itself."""


class OpenAILiveSpeechToText:
    """A streaming recognizer with a socket per call. ``start`` and ``close`` may each be called twice."""

    def __init__(self, options: OpenAILiveOptions, access: OpenAIOptions) -> None:
        self.options = options
        self.model = options.model
        self._client = RealtimeClient(access, NAME, options.times)
        self._recognizers: set[LiveRecognizer] = set()
        self._has_delay = options.delay is not None

    @property
    def name(self) -> str:
        """``openai-live``."""
        return NAME

    async def start(self) -> None:
        """Get ready; raise ``ProviderUnavailable`` if OpenAI is meant and there is no key."""
        self._client.start()

    async def close(self) -> None:
        """End the turns that are being heard, which raise ``ProviderError``, and hang up."""
        await asyncio.gather(*(each.close() for each in [*self._recognizers]))
        await self._client.close()

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Begin to open the call's socket."""
        recognizer = LiveRecognizer(
            self.open_ear,
            self.session,
            request,
            model=self.model,
            final_timeout=self.options.final_timeout,
            max_age=self.options.max_age,
            on_closed=self._recognizers.discard,
        )
        self._recognizers.add(recognizer)
        return recognizer

    async def probe(self) -> None:
        """Open a socket, set it up, hang up, which costs nothing; raise ``ProviderError`` if that fails."""
        ear = await self.open_ear(RecognitionRequest(), lambda *_: None, lambda *_: None)
        await ear.close()

    def shutdown_notice(self, today: date) -> str | None:
        """Return a warning for start-up if OpenAI has announced the end of the model, else ``None``."""
        return shutdown_notice(self.model, today) if self._client.access.is_openai else None

    async def open_ear(self, request: RecognitionRequest, on_used: OnUsed, on_lost: OnEarLost) -> LiveEar:
        """Open a socket; if ``delay`` may be what is refused, do without, and from then on if that helps."""
        try:
            socket = await self._client.open(_QUERY, self.session(request))
        except SessionRefused as refusal:
            if not self._has_delay or not refusal.may_be_about("delay"):
                raise
            self._has_delay = False
            try:
                socket = await self._client.open(_QUERY, self.session(request))
            except ProviderError:
                self._has_delay = True
                raise
            event(_log, logging.INFO, "openai_field_refused", endpoint="realtime", field="delay")
        timeout = self.options.times.ready
        return LiveEar(socket, update_timeout=timeout, on_used=on_used, on_lost=on_lost)

    def session(self, request: RecognitionRequest) -> dict[str, Any]:
        """Return the session's configuration for turns like this, as far as the model takes it."""
        options = self.options
        language = request.language or options.language
        prompt = sendable(request.prompt or options.prompt).strip()
        transcription: dict[str, Any] = {"model": options.model}
        if options.model.startswith(_LANGUAGE_LISTS):
            transcription |= {"languages": [language]} if language else {}
            transcription |= {"keywords": list(options.keywords)} if options.keywords else {}
        elif language:
            transcription["language"] = language
        if prompt and not options.model.startswith(_NO_PROMPT):
            transcription["prompt"] = prompt
        if self._has_delay:
            transcription["delay"] = options.delay
        session: dict[str, Any] = {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": SERVICE_RATE_HZ},
                    "transcription": transcription,
                    "noise_reduction": None,
                    "turn_detection": None,
                }
            },
        }
        if options.wants_confidence:
            session["include"] = ["item.input_audio_transcription.logprobs"]
        return session

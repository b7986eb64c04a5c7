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
from dataclasses import dataclass, field
from typing import Any, Literal

from .base import RecognitionRequest, Recognizer
from .openai_access import OpenAIOptions
from .openai_fields import SessionField, language_field
from .openai_live_ear import LiveEar, OnEarLost, OnUsed
from .openai_live_recognizer import NAME, LiveRecognizer
from .openai_live_turn import SERVICE_RATE_HZ
from .openai_socket import RealtimeClient, SocketTimes
from .openai_stage import sendable
from .plan_b.address import Address

_QUERY = {"intent": "transcription"}
"""A model in the address would make it a conversation, which takes no transcription session."""
_KEYWORDS = ("gpt-transcribe", "gpt-live-transcribe")
_NO_PROMPT = ("gpt-realtime-whisper",)


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

    name = NAME

    def __init__(self, options: OpenAILiveOptions, access: OpenAIOptions) -> None:
        self.options = options
        self.model = options.model
        self._client = RealtimeClient(access, NAME, options.times)
        self._recognizers: set[LiveRecognizer] = set()
        self._delay = SessionField("delay", is_sent=options.delay is not None)

    @property
    def address(self) -> Address:
        """Where its server is."""
        return self._client.access.address

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

    async def open_ear(self, request: RecognitionRequest, on_used: OnUsed, on_lost: OnEarLost) -> LiveEar:
        """Open a socket, without ``delay`` if that is refused."""
        socket = await self._delay.open(
            lambda has_delay: self._client.open(_QUERY, self._session(request, has_delay=has_delay))
        )
        timeout = self.options.times.ready
        return LiveEar(socket, update_timeout=timeout, on_used=on_used, on_lost=on_lost)

    def session(self, request: RecognitionRequest) -> dict[str, Any]:
        """Return the session's configuration for turns like this, as far as the model takes it."""
        return self._session(request, has_delay=self._delay.is_sent)

    def _session(self, request: RecognitionRequest, *, has_delay: bool) -> dict[str, Any]:
        options = self.options
        prompt = sendable(request.prompt or options.prompt).strip()
        transcription: dict[str, Any] = {"model": options.model}
        transcription |= language_field(options.model, request.language or options.language)
        if options.keywords and options.model.startswith(_KEYWORDS):
            transcription["keywords"] = list(options.keywords)
        if prompt and not options.model.startswith(_NO_PROMPT):
            transcription["prompt"] = prompt
        if has_delay:
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

"""Speech to speech by OpenAI's Realtime models: the caller's sound goes in, the answer's sound comes out.

    OpenAISpeechToSpeech    one per process
      └─ SpeechDialogue     one per call (``openai_speech_dialogue``)
           └─ SpeechEar     its socket of the moment (``openai_speech_ear``)

Turn-taking is ours: the service is told when a turn ends, when to answer and when to stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ..core.replies import Cause, ReplyRequest
from ..errors import ProviderError
from .base import Dialogue, RecognitionRequest
from .openai_access import OpenAIOptions
from .openai_fields import SessionField
from .openai_live_ear import OnEarLost, OnUsed
from .openai_socket import RealtimeClient, RealtimeSocket, SocketTimes
from .openai_speech_dialogue import NAME, SpeechDialogue
from .openai_speech_ear import OnCommitted, SpeechEar
from .openai_speech_fields import VOICES, hearing_fields, session_fields


@dataclass(frozen=True, slots=True)
class OpenAISpeechToSpeechOptions:
    """How OpenAI hears and answers a call."""

    model: str = "gpt-realtime-2.1"
    """The model; gpt-realtime-2.1-mini is cheaper and less able."""
    voice: str = "marin"
    """Who speaks, where the session names no voice that OpenAI has."""
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = "minimal"
    """How long a model that thinks may do so; dropped where the model refuses it."""
    transcriber: str = "gpt-transcribe"
    """The model that writes down what the caller says; gpt-live-transcribe does not do it in here."""
    language: str | None = None
    """ISO 639-1 code of what is spoken, if the session names none; ``None`` lets the model find out."""
    final_timeout: float = 3.0
    """Seconds for a turn's words after its end; the answer does not wait for them."""
    max_age: float = 3000.0
    """Seconds after which a call's socket is replaced: OpenAI ends it after 3600."""
    times: SocketTimes = field(default_factory=SocketTimes)
    """The deadlines of the socket itself."""


class OpenAISpeechToSpeech:
    """The ``SpeechToSpeech`` of OpenAI. ``start`` and ``close`` may each be called twice."""

    name = NAME

    def __init__(self, options: OpenAISpeechToSpeechOptions, access: OpenAIOptions) -> None:
        self.options = options
        self.model = options.model
        self._client = RealtimeClient(access, NAME, options.times)
        self._dialogues: set[SpeechDialogue] = set()
        self._reasoning = SessionField("reasoning", is_sent=options.effort is not None)

    async def start(self) -> None:
        """Get ready; raise ``ProviderUnavailable`` if OpenAI is meant and there is no key."""
        self._client.start()

    async def close(self) -> None:
        """End what is being heard and said, which raises ``ProviderError``, and hang up."""
        await asyncio.gather(*(each.close() for each in [*self._dialogues]))
        await self._client.close()

    def attend(
        self, hearing: RecognitionRequest, replying: ReplyRequest, on_failure: Callable[[ProviderError], None]
    ) -> Dialogue:
        """Begin to open the call's socket."""
        dialogue = SpeechDialogue(
            self._open_ear,
            self._hearing_update,
            self._voice,
            hearing,
            replying,
            model=self.options.transcriber,
            final_timeout=self.options.final_timeout,
            max_age=self.options.max_age,
            on_failure=on_failure,
            on_closed=self._dialogues.discard,
        )
        self._dialogues.add(dialogue)
        return dialogue

    async def probe(self) -> None:
        """Open a socket, set it up, hang up, which costs nothing; raise ``ProviderError`` if that fails."""
        ear = await self._open_ear(
            RecognitionRequest(), ReplyRequest(Cause.TURN), lambda *_: None, lambda *_: None, lambda *_: None
        )
        await ear.close()

    async def _open_ear(
        self,
        hearing: RecognitionRequest,
        replying: ReplyRequest,
        on_used: OnUsed,
        on_lost: OnEarLost,
        on_committed: OnCommitted,
    ) -> SpeechEar:
        """Open a socket, without ``reasoning`` if that is refused."""

        async def open_once(reasons: bool) -> tuple[RealtimeSocket, dict[str, Any]]:
            heard, voice = self._hearing(hearing), self._voice(replying)
            effort = self.options.effort if reasons else None
            session = session_fields(replying, heard, voice=voice, effort=effort)
            return await self._client.open({"model": self.model}, session), session

        socket, session = await self._reasoning.open(open_once)
        return SpeechEar(
            socket,
            update_timeout=self.options.times.ready,
            on_used=on_used,
            on_lost=on_lost,
            on_committed=on_committed,
            configured=session,
        )

    def _hearing_update(self, hearing: RecognitionRequest) -> dict[str, Any]:
        """Return a ``session`` that changes how the caller is heard, and nothing else."""
        return {"type": "realtime", "audio": {"input": self._hearing(hearing)}}

    def _hearing(self, hearing: RecognitionRequest) -> dict[str, Any]:
        language = hearing.language or self.options.language
        return hearing_fields(self.options.transcriber, RecognitionRequest(language, hearing.prompt))

    def _voice(self, request: ReplyRequest) -> str:
        """Return the voice that is asked for, if there is such a one here; other servers have their own."""
        wanted = request.voice
        is_known = wanted in VOICES or wanted.startswith("voice_") or not self._client.access.is_openai
        return wanted if is_known and wanted != "default" else self.options.voice

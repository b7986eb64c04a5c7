"""The ports a provider implements: one object per process, one method that does the work.

A provider is started once, before the first call, and closed once, after the last. ``start`` raises
``ProviderUnavailable`` with the fix in one line; the work methods raise ``ProviderError``. An iterator that
is closed early (``aclose``, or cancellation of its task) must free what it holds at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ..audio.pcm import PcmFrame, Samples
from ..audio.speech_bounds import SpeechSign
from ..core.items import Item, Role
from ..core.options import Tool, ToolChoice
from ..core.replies import CutShort, ReplyRequest, ToolCall, Usage
from ..errors import ProviderError


@dataclass(frozen=True, slots=True)
class Used:
    """What a service counted for a piece of work, in the units it is paid by; what it does not count is 0.

    ``provider``: who did it, by its name in the settings. ``seconds``: of audio, heard or made.
    ``characters``: of text that was voiced. ``tokens``: of a model that hears or speaks.
    """

    provider: str
    model: str = ""
    seconds: float = 0.0
    characters: int = 0
    tokens: Usage | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A recognizer hears the turn's speech begin."""


@dataclass(frozen=True, slots=True)
class Interim:
    """What a recognizer thinks so far; the next one may rewrite it."""

    text: str


@dataclass(frozen=True, slots=True)
class EagerEnd:
    """The turn may be over; ``Resumed`` follows if it is not. ``text`` as in ``Interim``."""

    text: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The turn goes on behind an ``EagerEnd``."""


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The turn is over by what was said, so nobody needs to wait for silence."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One word that was heard, and when: seconds from the first frame that the recognizer was given.

    ``confidence``: 0–1, or ``None`` if it gives none.
    """

    text: str
    start: float
    end: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """What a recognizer heard in a whole turn; ``text`` may be empty.

    ``confidence``: 0–1, or ``None`` if it gives none. ``language``: ISO 639-1, or ``None``. ``words``: the
    text's in order, or none if it gives no times.
    """

    text: str
    confidence: float | None = None
    language: str | None = None
    words: tuple[HeardWord, ...] = ()
    used: Used | None = None


HeardPiece = Started | Interim | EagerEnd | Resumed | EndOfTurn | Final
"""What a recognizer tells of a turn. ``Final`` is due, and last; all else is a service's own choice."""


@dataclass(frozen=True, slots=True)
class RecognitionRequest:
    """What a recognizer may know beforehand.

    ``language``: ISO 639-1 or ``None``. ``prompt``: words to expect, free text. ``grammar``: phrases the
    agent understands, as one JSGF grammar, or ``None``; only command recognizers use it. ``item_id``: the
    turn's item in the history, for a service that also answers what it hears.
    """

    language: str | None = None
    prompt: str = ""
    grammar: str | None = None
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class VoiceRequest:
    """How a text is to be spoken. ``voice``: the provider's own name, or ``default``; ``speed``: 0.25–1.5."""

    voice: str = "default"
    speed: float = 1.0
    language: str | None = None


@dataclass(frozen=True, slots=True)
class WordMark:
    """Where a word begins: ``sample`` from the start of the clause's audio, ``text_start`` in its text."""

    sample: int
    text_start: int


@dataclass(frozen=True, slots=True, eq=False)
class SpeechChunk:
    """A piece of synthesized speech: ``samples`` ``(n,)`` int16 mono at 24 kHz, with the marks known by now.

    A mark may come before the audio it points into, never after it by more than one chunk.

    ``packets``: the same sound as Opus packets of 20 ms, one for every 480 samples, where a service sends
    such; ``audio.clips.ClipDecoder`` makes a chunk's samples of them. Peers are sent them as they are, and
    the samples are for all else: what is heard is counted in them, and ducked, mixed and held.
    """

    samples: Samples
    marks: tuple[WordMark, ...] = ()
    packets: tuple[bytes, ...] = ()
    used: Used | None = None
    """What the clause has cost, in its last chunk, which may be empty otherwise."""
    is_substitute: bool = False
    """Whether another voice speaks in place of the one that was asked."""


class SpeechActivity(Protocol):
    """The ears' attention in one call: whether its user speaks."""

    threshold: float
    """How clear speech must be for the client, 0 to 1; 0.5 at first, which is what the operator wants. It may
    be set at any time, also while speech is going on."""

    @property
    def is_speech(self) -> bool:
        """Whether speech is going on, by what has been fed."""

    def feed(self, frame: PcmFrame) -> tuple[SpeechSign, ...]:
        """Take 20 ms at 16 kHz; return what they show, in order."""


class SpeechDetector(Protocol):
    """Tells speech from silence and noise; one per process, its model shared by all calls."""

    def attend(self) -> SpeechActivity:
        """Begin to listen to a call."""


class Provider(Protocol):
    """What all providers share."""

    @property
    def name(self) -> str:
        """The name the settings choose it by, and the one errors carry."""

    async def start(self) -> None:
        """Load what is needed, or raise ``ProviderUnavailable``. Called once, before any work."""

    async def close(self) -> None:
        """Free everything; may be called twice. What is under way ends with a ``ProviderError``."""


class Recognizer(Protocol):
    """A recognizer's attention to one call, with whatever connection that takes."""

    def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear one turn: yield exactly one ``Final`` after ``audio`` has ended, and anything else before it.

        ``audio``: frames at 16 kHz, 20 ms each, as they are heard, pre-roll first. A turn may begin while the
        words of the one before are still due.
        """

    async def close(self) -> None:
        """Free the connection, if there is one: its turns under way raise ``ProviderError``. May be called
        twice."""


@runtime_checkable
class WarmedVoice(Protocol):
    """A voice that can open its connections before its first clause."""

    def warm(self, request: VoiceRequest) -> None:
        """Open what a clause will need, in the background; a call has begun."""


@runtime_checkable
class WarmedMind(Protocol):
    """A language model, or an agent, that can open its connections before its first answer."""

    def warm(self) -> None:
        """Open what an answer will need, in the background; a call has begun."""


class SpeechToText(Provider, Protocol):
    """Hears: ``attend`` once for each call, then ``Recognizer.recognize`` once for each of its turns."""

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Begin to listen to a call. Returns at once; connections are opened in the background.

        ``request``: what is known when the call begins; each turn has its own.
        """


Recognize = Callable[[AsyncIterator[PcmFrame], RecognitionRequest], AsyncGenerator[HeardPiece, None]]
"""``Recognizer.recognize``."""


class EachTurn:
    """The ``Recognizer`` of a service that keeps nothing between turns: ``recognize`` does it all.

    There is no connection whose end could end a turn. What ends one under way is the recognizer's own
    ``close``, after the last call (``until_closed`` does it), or whoever stops to iterate.
    """

    def __init__(self, recognize: Recognize) -> None:
        self.recognize = recognize

    async def close(self) -> None:
        """Nothing to free; a turn under way goes on."""


class TextToSpeech(Provider, Protocol):
    """A voice: one call of ``synthesize`` for each clause."""

    def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the clause's speech piece by piece, the first as early as possible.

        ``text`` is plain words and punctuation, never empty, without markup.
        """


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A function that the model called, and what it gave back.

    Call and answer are one value, because every service refuses one without the other.
    """

    call_id: str
    name: str
    arguments: str
    """A JSON object, as text."""
    output: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message to a language model: who says it, and what.

    ``calls``: what an assistant called after its ``text``, which may be empty then, all at once.
    """

    role: Role
    text: str
    calls: tuple[AnsweredCall, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """What a language model may do in its answer. ``max_output_tokens``: ``None`` for its own bound."""

    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    max_output_tokens: int | None = None


AnswerPiece = str | ToolCall | CutShort | Usage
"""What an answer is made of."""


class LanguageModel(Provider, Protocol):
    """A language model: one call of ``stream`` for each reply."""

    def stream(
        self, messages: Sequence[Message], request: AnswerRequest
    ) -> AsyncGenerator[AnswerPiece, None]:
        """Yield the answer's text in pieces of any size, the first as early as possible.

        ``messages``: instructions first, then the conversation, oldest first. Behind the text come the calls,
        each whole, with a JSON object as arguments; then ``CutShort``, if the model had to stop; then
        ``Usage``, if it is known. An answer with none of the first three is a ``ProviderError``. Thoughts are
        never yielded.
        """


SaidPiece = str | SpeechChunk | ToolCall | CutShort | Usage
"""What a speech-to-speech service's answer is made of; text is the transcript of its sound, or written."""


class Dialogue(Recognizer, Protocol):
    """A speech-to-speech service's attention to one call: it hears turns, and answers their sound itself.

    Our history is the truth; what the service remembers of the call is made to follow it before each answer.
    """

    def answer(
        self, request: ReplyRequest, history: Sequence[Item], *, reply_id: str = ""
    ) -> AsyncGenerator[SaidPiece, None]:
        """Yield an answer as it is made; closing early cancels it at the service.

        ``history``: what was heard and said so far, or what ``request.input`` holds. The turn it ends with
        may have no words yet: it was, or is being, given to ``recognize`` under its ``item_id``. Text comes
        ahead of its sound. Behind both come ``CutShort`` and ``Usage``. Raises ``ProviderError``.
        """

    def kept(self, reply_id: str, item: Item) -> None:
        """The history's ``item`` holds what that answer put out: its message, or its next function call."""

    def heard(self, item_id: str, seconds: float) -> None:
        """Of a spoken message no more than this much was heard."""


class SpeechToSpeech(Provider, Protocol):
    """Hears and speaks with one model: ``attend`` once for each call."""

    def attend(
        self, hearing: RecognitionRequest, replying: ReplyRequest, on_failure: Callable[[ProviderError], None]
    ) -> Dialogue:
        """Begin to listen to a call. Returns at once; connections are opened in the background.

        ``replying``: what the first replies are likely to be like. ``on_failure``: told each time that the
        service could not be reached, also in the background.
        """

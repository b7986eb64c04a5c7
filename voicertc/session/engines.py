"""Who hears and who answers in a session: the cascade, or a speech-to-speech service with it as plan B.

                     ┌─ cascade            its recognizer, agent and voice
    recognize, reply ┤
                     └─ speech-to-speech   one service for both, by its name; behind it the cascade

The client chooses by ``SessionOptions.engine`` until the first turn or reply: after that a service remembers
what another would have to be told. A service that cannot be reached, or fails twice in a row, is replaced by
the cascade for the rest of the session; what it owes an answer to is answered by the cascade too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace

from .. import logs
from ..audio.pcm import PcmFrame
from ..core import facts
from ..core.agenda import plain_request
from ..core.events import ClientErred, Event, SessionUpdated
from ..core.facts import Fact
from ..core.items import Item, Kind, Role
from ..core.options import SessionOptions
from ..core.replies import Cause, ReplyRequest, Usage
from ..errors import ProviderError, ProviderUnavailable, TurnUnheard
from ..providers.base import HeardPiece, RecognitionRequest, Recognizer, SpeechToSpeech, SpeechToText
from .engine import Piece, ReplyEngine, TextBegan
from .second_ears import SecondEars
from .speech_to_speech import SpeechEngine, as_told
from .tasks import Tasks

CASCADE = "cascade"
_CLOSE_TIMEOUT = 2.0
"""Seconds for a recognizer to free its connection."""
_WORDS_TIMEOUT = 6.0
"""Seconds that a failed answer waits for the turn's words: as long as the core does."""
_MAX_FAILURES = 2
"""Failures in a row until a service is replaced."""
_MAX_RETIRED = 8
"""Recognizers left behind that are closed once more at the end; a choice is rarely changed twice."""

_log = logging.getLogger(__name__)


class Engines:
    """The ``ReplyEngine`` and the ``Recognizer`` of one session, whoever does the work.

    ``options`` and ``items`` give the session's as they are now; ``post`` has an event handled.
    """

    def __init__(
        self,
        *,
        cascade: ReplyEngine,
        recognizer: SpeechToText,
        speech: Mapping[str, SpeechToSpeech],
        max_turn: float,
        options: Callable[[], SessionOptions],
        hearing: Callable[[], RecognitionRequest],
        items: Callable[[], tuple[Item, ...]],
        post: Callable[[SessionUpdated], None],
        tasks: Tasks,
    ) -> None:
        self._cascade = cascade
        self._recognizer = recognizer
        self._services = speech
        self._options, self._hearing, self._items = options, hearing, items
        self._post = post
        self._tasks = tasks
        self._name = ""
        self._ears: Recognizer | None = None
        self._second_ears = SecondEars(recognizer, hearing, max_turn)
        self._retired: deque[Recognizer] = deque(maxlen=_MAX_RETIRED)
        self._speech: SpeechEngine | None = None
        self._is_fixed = False
        self._n_failures = 0
        self._last_failure: ProviderError | None = None
        self._turn_has_failed = False
        self._news_of_words = asyncio.Event()
        self._wordless: str | None = None
        """The last turn whose words will not be known."""
        self._choose(options())

    # --- the choice -----------------------------------------------------------------------------

    def admit(self, update: SessionUpdated) -> tuple[Event, ...]:
        """Return what to have handled in place of an update: without a change of engine that cannot be."""
        name, known = update.options.engine, (CASCADE, *sorted(self._services))
        if name == self._options().engine:
            return (update,)
        param = "session.voicertc.engine"
        if name not in known:
            code, why = "invalid_value", f"{param} must be one of {', '.join(known)}."
        elif self._is_fixed:
            code, why = "engine_fixed", "The engine cannot be changed any more: the conversation has begun."
        else:
            return (update,)
        rest = replace(update, options=replace(update.options, engine=self._options().engine))
        return ClientErred(code, why, param, update.origin), rest

    def note(self, fact: Fact) -> None:
        """Take every fact of the session, in order."""
        match fact:
            case facts.SessionChanged(options):
                self._choose(options)
            case facts.TurnStarted():
                self._is_fixed, self._turn_has_failed = True, False
            case facts.TurnCommitted() | facts.ReplyBegan():
                self._is_fixed = True
            case facts.FinalHeard():
                self._news_of_words.set()
            case facts.HearingFailed(item_id):
                self._wordless = item_id
                self._news_of_words.set()
            case _:
                pass
        if self._speech is not None:
            self._speech.note(fact)

    async def close(self) -> None:
        """Free the connections; may be called twice."""
        for ears in (self._second_ears, *self._retired, *((self._ears,) if self._ears else ())):
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await ears.close()
            except Exception:  # a provider's bug must not keep a session from its end
                logs.event(_log, logging.ERROR, "recognizer_close_failed", exc_info=True)

    def _choose(self, options: SessionOptions) -> None:
        name = CASCADE if options.is_transcription else options.engine
        if name == self._name:
            return
        if self._ears is not None:
            self._retired.append(self._ears)  # the session may end before they are closed
            self._tasks.start(self._ears.close(), f"engine/{self._name}/close")
        self._name = name
        if (service := self._services.get(name)) is None:
            self._speech = None
            self._ears = self._recognizer.attend(self._hearing())
            return
        replying = as_told(plain_request(options, Cause.TURN))
        dialogue = service.attend(self._hearing(), replying, lambda error: self._fail(name, error))
        self._ears = dialogue
        self._speech = SpeechEngine(dialogue, service.name, self._cascade)

    # --- the work -------------------------------------------------------------------------------

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear one turn; see ``Recognizer``."""
        ears = self._ears
        assert ears is not None
        second = self._second_ears.recognize(ears, audio, request) if self._speech else None
        async with aclosing(second or ears.recognize(audio, request)) as pieces:
            async for piece in pieces:
                yield piece

    async def reply(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """Yield a reply; see ``ReplyEngine``."""
        speech = self._speech
        if speech is None or request.text is not None:  # which the cascade speaks in either case
            async with aclosing((speech or self._cascade).reply(request, history, reply_id)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        name, has_begun = self._name, False
        try:
            async with aclosing(speech.reply(request, history, reply_id)) as pieces:
                async for piece in pieces:
                    has_begun = has_begun or not isinstance(piece, TextBegan | Usage)
                    yield piece
            self._n_failures, self._turn_has_failed = 0, False
            return
        except ProviderError as error:
            self._fail(name, error)
            if has_begun:
                raise
            is_guess = bool(history) and all(item.id != history[-1].id for item in self._items())
            if request.input is None and not is_guess:
                history = await self._history_in_words()
            last = _last_said(history)
            is_nothing = request.cause is Cause.TURN and last is not None and not last.text
            if is_nothing or (last is not None and last.is_unheard_speech):
                raise
            logs.event(_log, logging.WARNING, "answered_by_cascade", provider=name, error=error.message)
        async with aclosing(self._cascade.reply(request, history, reply_id)) as pieces:
            async for piece in pieces:
                yield piece

    async def _history_in_words(self) -> tuple[Item, ...]:
        """Return the history once it is known, or will never be, what the user said last."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WORDS_TIMEOUT):
                while (last := _last_said(self._items())) and last.is_unheard_speech:
                    if last.id == self._wordless:
                        break
                    self._news_of_words.clear()
                    await self._news_of_words.wait()
        return self._items()

    def _fail(self, name: str, error: ProviderError) -> None:
        """A service could not be reached, or has not answered; the same error may be told twice."""
        if name != self._name or error is self._last_failure:
            return
        if isinstance(error, TurnUnheard) and self._turn_has_failed:
            return  # that is why
        self._last_failure, self._turn_has_failed = error, True
        self._n_failures += 1
        if not isinstance(error, ProviderUnavailable) and self._n_failures < _MAX_FAILURES:
            return
        logs.event(_log, logging.WARNING, "engine_replaced", engine=name, by=CASCADE, error=error.message)
        self._post(SessionUpdated(replace(self._options(), engine=CASCADE)))


def known_engine(options: SessionOptions, speech: Mapping[str, SpeechToSpeech]) -> SessionOptions:
    """Return a new session's options, with the cascade for a service that is not here."""
    if options.engine == CASCADE or options.engine in speech:
        return options
    logs.event(_log, logging.WARNING, "engine_unknown", engine=options.engine, by=CASCADE)
    return replace(options, engine=CASCADE)


def _last_said(history: tuple[Item, ...]) -> Item | None:
    """Return the last thing the user said or wrote."""
    users = (item for item in reversed(history) if item.kind is Kind.MESSAGE and item.role is Role.USER)
    return next(users, None)

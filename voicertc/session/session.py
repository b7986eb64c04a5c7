"""One conversation, alive: the core with its ears, its mouth and its timers.

session = Session(services, …)
session.hear(frame)            16 kHz in, pushed
session.playout.read(n, now)   24 kHz out, pulled
session.subscribe(wire)        typed facts, as they happen
session.post(event)            what a client asks for
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from .. import logs
from ..agents.base import Agent
from ..audio.pcm import PcmFrame
from ..audio.playout import PlayoutBuffer
from ..core import commands, events, facts
from ..core.commands import Command
from ..core.conversation import Conversation
from ..core.events import Event
from ..core.facts import Fact
from ..core.items import Item
from ..core.options import ConversationOptions, SessionOptions
from ..core.replies import Cause, ReplyRequest
from ..providers.base import RecognitionRequest, SpeechDetector, SpeechToText, TextToSpeech
from .cascade import Cascade
from .driver import Driver
from .hearing import Hearing
from .recorder import Recorder
from .speaking import Speaking
from .tasks import Tasks
from .turn_log import TurnLog

_log = logging.getLogger(__name__)

_MAX_TIMERS = 32
"""Utterances an agent may have planned for later in one session."""
_LAST_WORDS = 5.0
"""Seconds an apology may take before a crashed session ends without it."""

Subscriber = Callable[[Fact], None]


@dataclass(frozen=True, slots=True)
class Services:
    """What all sessions of a process share: loaded once, started before the first session."""

    recognizer: SpeechToText
    agent: Agent
    voice: TextToSpeech
    detector: SpeechDetector


@dataclass(frozen=True, slots=True)
class SessionSetup:
    """The operator's choices for every session of a process."""

    conversation: ConversationOptions = field(default_factory=ConversationOptions)
    session: SessionOptions = field(default_factory=SessionOptions)
    lead_ms: int = 2000
    """Milliseconds of speech made ahead of the ear."""
    journal_dir: Path | None = None
    """Where journals are written; they hold spoken words."""
    version: str = "0"
    """Written into journals: a replay is exact within one version."""


class Session:
    """Also the ``AgentSession`` agents are given. Made and used on the event loop; ended by ``close``.

    ``hearing_delay``: how old, in seconds, the transport's newest sound is when ``hear`` is given it.
    """

    def __init__(
        self,
        services: Services,
        setup: SessionSetup,
        *,
        session_id: str,
        id_prefix: str,
        hearing_delay: float = 0.0,
    ) -> None:
        self.id = session_id
        self._setup = setup
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._subscribers: list[Subscriber] = []
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._n_timers = 0
        self._is_ended = False
        self.ended = asyncio.Event()
        """Set when the conversation has decided to end, or broke; the owner then calls ``close``."""
        self._conversation = Conversation(setup.conversation, setup.session, id_prefix=id_prefix)
        self._recorder = Recorder(
            self._conversation,
            version=setup.version,
            session_id=session_id,
            id_prefix=id_prefix,
            directory=setup.journal_dir,
        )
        self._driver = Driver(
            self._conversation, recorder=self._recorder, execute=self._execute, on_crash=self._crashed
        )
        self._tasks = Tasks(session_id)
        self._turn_log = TurnLog()
        self.playout = PlayoutBuffer(lead_ms=setup.lead_ms)
        self._engine = Cascade(agent=services.agent, voice=services.voice, session=self)
        self._speaking = Speaking(
            engine=self._engine,
            playout=self.playout,
            post=self._driver.post,
            post_first=self._driver.post_first,
            clock=self._loop.time,
            tasks=self._tasks,
        )
        self._hearing = Hearing(
            activity=services.detector.attend(),
            recognizer=services.recognizer,
            request=self._recognition_request,
            post=self._driver.post,
            clock=lambda: self._driver.now,
            tasks=self._tasks,
            delay=hearing_delay,
        )

    # --- media and clients ----------------------------------------------------------------------

    def hear(self, frame: PcmFrame) -> None:
        """Take 20 ms of the caller's sound, 16 kHz mono int16. Never waits."""
        if not self._is_ended:
            self._hearing.hear(frame)

    def post(self, event: Event) -> None:
        """Have an event handled."""
        self._driver.post(event)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with every fact from now on; returns what ends that. It must not wait."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    @property
    def options(self) -> SessionOptions:
        """The session's options as the client has set them."""
        return self._conversation.session

    @property
    def items(self) -> tuple[Item, ...]:
        """The history as it was heard."""
        return self._conversation.items

    async def close(self, reason: str = "hangup") -> None:
        """End the conversation and free everything; may be called twice."""
        self._driver.post(events.CallEnded(reason))
        self._is_ended = True
        self._driver.close()
        self._hearing.close()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self._tasks.close()
        self._recorder.close()
        self.ended.set()

    # --- what an agent may do (AgentSession) ----------------------------------------------------

    def say(self, text: str) -> None:
        """Say something as soon as the floor is free."""
        self._say(text, Cause.SAY)

    def say_later(self, delay: float, text: str) -> int:
        """Say something when ``delay`` seconds have passed and the floor is free; see ``AgentSession``."""
        if len(self._timers) >= _MAX_TIMERS:
            raise ValueError(f"a session has at most {_MAX_TIMERS} timers")
        self._n_timers += 1
        number = self._n_timers
        if not self._is_ended:
            self._timers[number] = self._loop.call_later(delay, self._ring, number, text)
        return number

    def take_back(self, number: int) -> None:
        """Do not say it after all."""
        timer = self._timers.pop(number, None)
        if timer:
            timer.cancel()

    def end_call(self) -> None:
        """End the call when the reply being given has been heard."""
        self._driver.post(events.EndRequested())

    def _ring(self, number: int, text: str) -> None:
        self._timers.pop(number, None)
        self._say(text, Cause.TIMER)

    def _say(self, text: str, cause: Cause) -> None:
        if not self._is_ended and text.strip():
            self._driver.post(events.SayRequested(text, cause))

    # --- commands -------------------------------------------------------------------------------

    def _execute(self, command: Command) -> None:
        match command:
            case commands.OpenTurn(item_id, at):
                self._hearing.open_turn(item_id, at)
            case commands.CloseTurn(item_id):
                self._hearing.close_turn(item_id)
            case commands.DropTurn(item_id):
                self._hearing.drop_turn(item_id)
            case commands.StartReply(reply_id, request):
                self._speaking.start(reply_id, request, self._conversation.items)
            case commands.CancelReply(reply_id):
                self._speaking.cancel(reply_id)
            case commands.DuckReply(reply_id):
                self._speaking.duck(reply_id)
            case commands.HoldReply(reply_id):
                self._speaking.hold(reply_id)
            case commands.ResumeReply(reply_id):
                self._speaking.resume(reply_id)
            case commands.EndCall():
                self.ended.set()
            case commands.Publish(fact):
                self._publish(fact)
            case _:
                assert_never(command)

    def _publish(self, fact: Fact) -> None:
        self._turn_log.note(fact, self._driver.now)
        for subscriber in tuple(self._subscribers):
            subscriber(fact)

    def _recognition_request(self) -> RecognitionRequest:
        options = self._conversation.session
        return RecognitionRequest(
            options.language, options.transcription_prompt, self._services.agent.grammar
        )

    # --- when the machine itself fails ----------------------------------------------------------

    def _crashed(self) -> None:
        self._tasks.start(self._apologize_and_end(), "last-words")

    async def _apologize_and_end(self) -> None:
        """Tell the caller that it is over, past the core, which broke."""
        self._tell_all_the_same(facts.StateChanged(facts.State.ENDING))
        request = ReplyRequest(Cause.APOLOGY, self._setup.conversation.phrases.apology)
        try:
            async with asyncio.timeout(_LAST_WORDS):
                await self._speaking.say_last_words(request)
        except Exception:  # nothing is left to try
            logs.event(_log, logging.WARNING, "apology_not_said", exc_info=True)
        self._tell_all_the_same(facts.CallEnding("failed"))
        self.ended.set()

    def _tell_all_the_same(self, fact: Fact) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(fact)
            except Exception:  # it may be what broke; the others want to know
                logs.event(_log, logging.WARNING, "subscriber_failed", exc_info=True)

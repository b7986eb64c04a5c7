"""One conversation, alive: the core with its ears, its mouth and its timers.

session = Session(services, …)
session.hear(frame)            16 kHz in, pushed
session.playout.read(n, now)   24 kHz out, pulled
session.sounds.mix(block)      what is heard beside it, added to it
session.subscribe(wire)        typed facts, as they happen
session.post(event)            what a client asks for
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from .. import logs
from ..agents.base import may_be_asked_in_vain
from ..audio.pcm import PcmFrame, Samples
from ..audio.playout import PlayoutBuffer
from ..core import commands, events, facts
from ..core.commands import Command
from ..core.conversation import Conversation
from ..core.events import Event
from ..core.facts import Fact
from ..core.items import Item
from ..core.options import ConversationOptions, SessionOptions
from ..core.replies import Cause, ReplyRequest
from ..providers.base import RecognitionRequest, VoiceRequest, WarmedMind, WarmedVoice
from .appended import DRIFT, Appended
from .cascade import Cascade
from .client_paced import ClientPacedPlayout
from .driver import Driver
from .engines import Engines, known_engine
from .for_agent import ForAgent
from .hearing import CLOCK_DRIFT, Hearing
from .recorder import Recorder
from .setup import Services, SessionSetup
from .sounding import Sounding
from .speaking import Speaking
from .tasks import Tasks
from .turn_log import TurnLog
from .usage_count import UsageCount

_log = logging.getLogger(__name__)

_LAST_WORDS = 5.0
"""Seconds an apology may take before a crashed session ends without it."""

Subscriber = Callable[[Fact], None]


class Session:
    """Made and used on the event loop; ended by ``close``.

    ``hearing_delay``: how old, in seconds, the transport's newest sound is when ``hear`` is given it.

    With a ``sink`` the client paces the sound, both ways: replies are handed to ``sink(reply_id, samples)``
    as they are made, and what the client sends comes by ``append``. Without one the transport does, by
    ``hear`` and ``playout.read``.
    """

    def __init__(
        self,
        services: Services,
        setup: SessionSetup,
        *,
        session_id: str,
        id_prefix: str,
        hearing_delay: float = 0.0,
        sink: Callable[[str, Samples], None] | None = None,
    ) -> None:
        self.id = session_id
        conversation = _conversation(services, setup, is_client_paced=sink is not None)
        self._setup = setup
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._subscribers: list[Subscriber] = []
        self._is_ended = False
        self._recording: Samples | None = None  # of the item that is being submitted
        self.ended = asyncio.Event()
        """Set when the conversation has decided to end, or broke; the owner then calls ``close``."""
        options = known_engine(setup.session, services.speech)
        self._conversation = Conversation(conversation, options, id_prefix=id_prefix)
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
        self.for_agent = ForAgent(session_id, post=self._driver.post, tell=self.tell)
        """What agents may do to this conversation."""
        self._turn_log = TurnLog(
            clock=lambda: self._driver.now,
            ear_delay=lambda: self.playout.ear_delay if sink is None else 0.0,
            tell=self.tell,
        )
        self._usage = UsageCount()
        self.playout = PlayoutBuffer(lead_ms=setup.lead_ms)
        self._client_paced = None if sink is None else ClientPacedPlayout(sink)
        self._sounding = Sounding(setup.sounds if sink is None else None, options)
        self.sounds = self._sounding.mixer
        """What the transport has to let each block of ``playout`` go through, if anything is needed."""
        cascade = Cascade(
            agent=services.agent,
            voice=services.voice,
            phrasebook=services.phrasebook,
            clauses=services.clauses,
            session=self.for_agent,
            sends_packets=sink is None,
        )
        self._engines = Engines(
            cascade=cascade,
            recognizer=services.recognizer,
            speech=services.speech,
            max_turn=conversation.endpointing.max_turn,
            options=lambda: self._conversation.session,
            hearing=self._recognition_request,
            items=lambda: self._conversation.items,
            post=self._driver.post,
            tasks=self._tasks,
        )
        self._speaking = Speaking(
            engine=self._engines,
            playout=self._client_paced or self.playout,
            post=self._driver.post,
            post_first=self._driver.post_first,
            note=self._turn_log.reached,
            usage=self._usage,
            clock=self._loop.time,
            tasks=self._tasks,
        )
        self._hearing = Hearing(
            activity=services.detector.attend(),
            recognizer=self._engines,
            request=self._recognition_request,
            usage=self._usage,
            post=self._driver.post,
            clock=lambda: self._driver.now - self._appended.left,
            tasks=self._tasks,
            delay=hearing_delay,
            drift=CLOCK_DRIFT if sink is None else DRIFT,
        )
        self._appended = Appended(
            hear=self.hear,
            clock=lambda: self._driver.now,
            advance=self._driver.advance,
            lag=lambda: self._hearing.lag,
            has_room=lambda: self._is_ended or self._hearing.has_room,
        )
        self._listen_as(options)
        self._warm()

    # --- media and clients ----------------------------------------------------------------------

    def hear(self, frame: PcmFrame) -> None:
        """Take 20 ms of the caller's sound, 16 kHz mono int16. Never waits."""
        if not self._is_ended:
            self._hearing.hear(frame)

    def is_idle(self) -> bool:
        """Whether nobody speaks and nothing is recognized: silence need not be heard then."""
        return self._hearing.is_idle

    async def append(self, samples: Samples) -> None:
        """Take more of the caller's sound, ``(n,)`` int16 mono at 16 kHz, at whatever speed it comes.

        Returns when it has been heard: a client that is ahead of its recognizer waits. One task calls this.
        """
        await self._appended.append(samples)

    def end_append(self) -> None:
        """What was appended is all there is for now: nothing waits for more of it."""
        self._appended.flush()

    def audio_time(self, at: float) -> float:
        """Return how many seconds of sound the client had sent at session time ``at``."""
        return self._appended.audio_time(at) if self._client_paced else at

    def post(self, event: Event) -> None:
        """Have an event handled."""
        admitted = self._engines.admit(event) if isinstance(event, events.SessionUpdated) else (event,)
        for each in admitted:
            self._driver.post(each)

    def submit_speech(self, event: events.ItemSubmitted, samples: Samples) -> None:
        """Add an item that is recorded speech, ``(n,)`` int16 mono at 16 kHz; its words follow."""
        self._recording = samples
        try:
            self._driver.post(event)
        finally:
            self._recording = None

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with every fact from now on; returns what ends that. It must not wait."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def tell(self, fact: Fact) -> None:
        """Tell all subscribers what the conversation itself knows nothing of."""
        for subscriber in tuple(self._subscribers):
            subscriber(fact)

    @property
    def options(self) -> SessionOptions:
        """The session's options as the client has set them."""
        return self._conversation.session

    @property
    def state(self) -> facts.State:
        """The one state shown to the world."""
        return self._conversation.state

    @property
    def items(self) -> tuple[Item, ...]:
        """The history as it was heard."""
        return self._conversation.items

    async def close(self, reason: str = "hangup") -> None:
        """End the conversation and free everything; may be called twice."""
        self._driver.post(events.CallEnded(reason))
        is_first, self._is_ended = not self._is_ended, True
        self._driver.close()
        self._hearing.close()
        if self._client_paced:
            self._client_paced.close()
        self.for_agent.close()
        await self._tasks.close()
        await self._engines.close()
        if is_first:
            self._usage.log()
        self._recorder.close()
        self.ended.set()

    # --- commands -------------------------------------------------------------------------------

    def _execute(self, command: Command) -> None:
        match command:
            case commands.OpenTurn(item_id, at):
                self._hearing.open_turn(item_id, at)
                self._warm()
            case commands.GuessTurn(item_id):
                self._hearing.guess_turn(item_id)
            case commands.CloseTurn(item_id):
                self._hearing.close_turn(item_id)
            case commands.DropTurn(item_id):
                self._hearing.drop_turn(item_id)
            case commands.Recognize(item_id):
                if self._recording is not None:
                    self._hearing.recognize_recording(item_id, self._recording)
            case commands.StartReply(reply_id, request, guess):
                history = self.items if request.input is None else request.input
                self._speaking.start(reply_id, request, (*history, guess) if guess else history)
            case commands.FillReply(reply_id, text):
                self._speaking.bridge(reply_id, text)
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
        if isinstance(fact, facts.SessionChanged):
            self._listen_as(fact.options)
        self._engines.note(fact)
        self._sounding.note(fact)
        self.tell(fact)
        self._turn_log.note(fact)
        if account := self._usage.note(fact):
            self.tell(account)

    def _listen_as(self, options: SessionOptions) -> None:
        detection, noise = options.turn_detection, options.noise_reduction
        self._hearing.set_options(
            threshold=detection.threshold if detection else None,
            noise_reduction=(noise.type, noise.strength) if noise else None,
        )

    def _warm(self) -> None:
        """Have connections opened before an answer needs them."""
        options, agent, voice = self.options, self._services.agent, self._services.voice
        try:
            if isinstance(agent, WarmedMind):
                agent.warm()
            if isinstance(voice, WarmedVoice):
                voice.warm(VoiceRequest(options.voice, options.speed, options.language))
        except Exception:  # a provider's bug must not end the call
            logs.event(_log, logging.ERROR, "warm_up_failed", exc_info=True)

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


def _conversation(services: Services, setup: SessionSetup, *, is_client_paced: bool) -> ConversationOptions:
    """Return the operator's choices as this transport and this agent have them."""
    is_guessing = may_be_asked_in_vain(services.agent)
    endpointing = replace(setup.conversation.endpointing, is_agent_guessing=is_guessing)
    return replace(setup.conversation, endpointing=endpointing, is_client_paced=is_client_paced)

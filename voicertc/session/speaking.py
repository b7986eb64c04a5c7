"""The mouth of a session: replies from the engine into the playout buffer, and what became of them.

One task per live reply pulls from the engine and pushes into the buffer, at most the buffer's lead ahead of
the ear. The buffer tells, from the media's own clock, which clause is leaving; that is posted to the core.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import assert_never

from .. import logs
from ..audio.playout import Playout
from ..core import events
from ..core.events import Event
from ..core.items import Item
from ..core.replies import Cause, CutShort, ReplyRequest, ToolCall, Usage
from ..errors import ProviderError
from .engine import AudioMade, ClauseClosed, ClauseOpened, ReplyEngine, TextBegan, TextMade
from .making import Making
from .tasks import Tasks
from .turn_log import Mark
from .usage_count import UsageCount

_log = logging.getLogger(__name__)

_STARVED_AFTER = 0.25
"""Seconds without sound in the middle of a reply that are no hiccup of a voice's any more."""
_LAST_WORDS = "last-words"
"""The reply id of what is said after the core broke: no core knows it."""


class Speaking:
    """Owned by one session; the listener of its playout. All methods run on the event loop.

    ``note`` is told when a reply has come so far that a turn's waterfall shows it.
    """

    def __init__(
        self,
        *,
        engine: ReplyEngine,
        playout: Playout,
        post: Callable[[Event], None],
        post_first: Callable[[Event], None],
        note: Callable[[str, Mark], None],
        usage: UsageCount,
        clock: Callable[[], float],
        tasks: Tasks,
    ) -> None:
        self._engine = engine
        self._playout = playout
        self._post = post
        self._post_first = post_first
        self._note = note
        self._usage = usage
        self._clock = clock
        self._tasks = tasks
        self._making: dict[str, Making] = {}
        """The replies that are being made or heard."""
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._last_words_left = asyncio.Event()
        playout.listener = self

    # --- commands -------------------------------------------------------------------------------

    def start(self, reply_id: str, request: ReplyRequest, history: tuple[Item, ...]) -> None:
        """Begin a reply; a spoken one comes behind what the client is playing, if it is."""
        making = self._making[reply_id] = Making(request)
        if making.is_spoken:
            self._playout.begin(reply_id)
        making.task = self._tasks.start(self._run(reply_id, request, history, making), reply_id)

    def cancel(self, reply_id: str) -> None:
        """Be silent now; the core learns at once how much was heard, then engine and voice are stopped."""
        making = self._making.pop(reply_id, None)
        is_spoken = making is not None and making.is_spoken
        heard = self._playout.cancel(reply_id, self._clock()) if is_spoken else 0
        self._post_first(events.ReplyStopped(reply_id, heard, making.n_samples if making else 0))
        if making:
            making.stop()

    def bridge(self, reply_id: str, text: str) -> None:
        """Say ``text`` within a reply whose own words take their time, unless a clause is being made."""
        making = self._making.get(reply_id)
        if making is None or making.is_told or making.mouth.locked():
            return
        if making.bridge is None or making.bridge.done():
            logs.event(_log, logging.INFO, "reply_bridged", reply=reply_id)
            making.bridge = self._tasks.start(self._say_filler(reply_id, text, making), f"{reply_id}/filler")

    async def say_last_words(self, request: ReplyRequest) -> None:
        """Say one thing past a core that broke, and wait until it has left."""
        for reply_id, making in self._making.items():
            self._playout.cancel(reply_id, self._clock())
            making.stop()
        self._making.clear()
        self._playout.begin(_LAST_WORDS)
        await self._fill(_LAST_WORDS, request, (), Making(request))
        self._playout.finish(_LAST_WORDS)
        await self._last_words_left.wait()  # the caller's deadline ends this

    def duck(self, reply_id: str) -> None:
        """Speak lower."""
        self._playout.duck(reply_id)

    def hold(self, reply_id: str) -> None:
        """Fall silent, ready to go on."""
        self._playout.hold(reply_id)

    def resume(self, reply_id: str) -> None:
        """Go on from the sample where the silence began."""
        self._playout.resume(reply_id)

    # --- what playout tells (PlayoutListener) ---------------------------------------------------

    def playout_started(self, reply_id: str) -> None:
        """The first sample is leaving."""
        logs.audio_event("playout_started", reply=reply_id)

    def clause_began(self, reply_id: str, index: int) -> None:
        """A clause's first sample is leaving."""
        self._post(events.ClauseBegan(reply_id, index))

    def playout_drained(self, reply_id: str) -> None:
        """The last sample has left."""
        making = self._making.get(reply_id)
        if making and making.is_spoken and not making.is_told:
            making.is_drained = True  # first the core hears that all of it is made
            return
        logs.audio_event("playout_drained", reply=reply_id)
        self._making.pop(reply_id, None)
        if reply_id == _LAST_WORDS:
            self._last_words_left.set()
        self._post(events.PlayoutDrained(reply_id))

    def room_made(self, reply_id: str) -> None:
        """The buffer takes more."""
        self._room.set()

    def playout_starved(self, reply_id: str) -> None:
        """There is nothing to hear although more is due; if that lasts, the core is told."""
        making = self._making.get(reply_id)
        if making and not making.is_told:
            making.feed()
            making.hunger = self._loop.call_later(_STARVED_AFTER, self._tell_starved, reply_id, making)

    def playout_fed(self, reply_id: str) -> None:
        """There is more to hear."""
        if making := self._making.get(reply_id):
            making.feed()
            if making.is_starved:
                making.is_starved = False
                self._post(events.PlayoutFed(reply_id))

    def _tell_starved(self, reply_id: str, making: Making) -> None:
        making.hunger = None
        if not making.is_told:
            making.is_starved = True
            self._post(events.PlayoutStarved(reply_id))

    # --- one reply ------------------------------------------------------------------------------

    async def _run(
        self, reply_id: str, request: ReplyRequest, history: tuple[Item, ...], making: Making
    ) -> None:
        ended: Event
        try:
            await self._fill(reply_id, request, history, making)
            ended = events.ReplyGenerated(reply_id, making.cut_short)
        except ProviderError as error:
            logs.event(
                _log,
                logging.WARNING,
                "reply_failed",
                reply=reply_id,
                provider=error.provider,
                error=error.message,
            )
            ended = events.ReplyFailed(reply_id, "provider_error", error.message, making.n_samples)
        except Exception as error:  # an agent's bug must not end the call
            logs.event(_log, logging.ERROR, "agent_crashed", exc_info=True, reply=reply_id)
            message = f"{type(error).__name__} in the agent"
            ended = events.ReplyFailed(reply_id, "agent_error", message, making.n_samples)
        await self._end_bridge(making)
        making.feed()
        if not making.n_samples:
            # Nothing will drain: playout must be free before the core may begin another reply.
            if making.is_spoken:
                self._playout.cancel(reply_id, self._clock())
            self._making.pop(reply_id, None)
        if making.is_spoken:
            self._playout.finish(reply_id)  # before the core is told, which may begin the next at once
        making.is_told = True
        self._post(ended)
        if making.is_drained:
            self.playout_drained(reply_id)

    async def _fill(
        self, reply_id: str, request: ReplyRequest, history: tuple[Item, ...], making: Making
    ) -> None:
        clause: str | None = None  # announced, and without sound so far
        has_mouth = False
        try:
            async with aclosing(self._engine.reply(request, history, reply_id)) as pieces:
                async for piece in pieces:
                    match piece:
                        case AudioMade(samples):
                            if clause is not None and len(samples):
                                has_mouth = await making.mouth.acquire()
                                making.open_clause(clause)
                                clause = None
                            await self._add_sound(reply_id, piece, making)
                        case ClauseOpened(text):
                            clause = text
                            self._note(reply_id, Mark.FIRST_CLAUSE)
                            self._usage.voiced(len(text), 0)
                        case ClauseClosed():
                            if has_mouth:
                                self._close_clause(reply_id, making)
                                has_mouth = False
                        case _:
                            self._tell(reply_id, piece, making)
        finally:
            if has_mouth:
                making.mouth.release()

    async def _add_sound(self, reply_id: str, made: AudioMade, making: Making) -> None:
        if made.packets and not making.has_sound:
            making.move_clause(self._playout.fill_frame(reply_id))
        making.marks += [(mark.sample, mark.text_start) for mark in made.marks]
        self._tell_of_clause(reply_id, making, has_sound=bool(len(made.samples)))
        making.n_samples += len(made.samples)
        self._usage.voiced(0, len(made.samples))
        if made.used:
            self._usage.add("tts", made.used)
        self._playout.append(reply_id, made.samples, made.packets)
        await self._room_for_more(reply_id)

    def _close_clause(self, reply_id: str, making: Making) -> None:
        making.mouth.release()
        length = making.n_samples - making.start
        self._post(events.ClauseVoiced(reply_id, making.index, making.start, length))

    def _tell(
        self, reply_id: str, piece: TextBegan | TextMade | ToolCall | Usage | CutShort, making: Making
    ) -> None:
        match piece:
            case TextBegan():
                self._note(reply_id, Mark.FIRST_TEXT)
            case TextMade(text):
                self._post(events.ReplyTextAdded(reply_id, text))
            case ToolCall(name, arguments):
                self._post(events.ToolCalled(reply_id, name, arguments))
            case Usage():
                self._usage.thought(piece)
                self._post(events.UsageCounted(reply_id, piece))
            case CutShort(reason):
                making.cut_short = reason
            case _:
                assert_never(piece)

    async def _say_filler(self, reply_id: str, text: str, making: Making) -> None:
        """Say a given text as one clause, in the mouth as soon as there is sound of it."""
        request = replace(making.request, cause=Cause.FILLER, text=text.strip())
        has_mouth = False
        try:
            async with aclosing(self._engine.reply(request, (), reply_id)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, AudioMade) and len(piece.samples):
                        if not has_mouth:
                            has_mouth = await making.mouth.acquire()
                            making.open_clause(text, is_filler=True)
                        # It may be several clauses to the voice, whose marks count from each one's start.
                        await self._add_sound(reply_id, replace(piece, marks=()), making)
        except ProviderError as error:
            logs.event(_log, logging.WARNING, "filler_failed", reply=reply_id, error=error.message)
        finally:
            if has_mouth:
                self._close_clause(reply_id, making)

    async def _end_bridge(self, making: Making) -> None:
        """Let a filler that is being said end; one that has no sound yet is not needed any more."""
        if making.bridge:
            if not making.mouth.locked():
                making.bridge.cancel()
            await asyncio.gather(making.bridge, return_exceptions=True)

    def _tell_of_clause(self, reply_id: str, making: Making, *, has_sound: bool) -> None:
        if has_sound and not making.has_sound:
            making.has_sound = True
            making.index += 1
            if not making.is_filler:
                self._note(reply_id, Mark.FIRST_AUDIO)
            self._post(events.ClauseQueued(reply_id, making.index, making.text, making.is_filler))
            self._playout.mark_clause(reply_id, making.index)
        if making.has_sound and making.marks:
            self._post(events.ClauseMarked(reply_id, making.index, tuple(making.marks)))
            making.marks.clear()

    async def _room_for_more(self, reply_id: str) -> None:
        while self._playout.is_full(reply_id):
            self._room.clear()
            await self._room.wait()  # for as long as the caller holds the reply: CancelReply ends it

"""The mouth of a session: replies from the engine into the playout buffer, and what became of them.

One task per live reply pulls from the engine and pushes into the buffer, at most the buffer's lead ahead of
the ear. The buffer tells, from the media's own clock, which clause is leaving; that is posted to the core.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from .. import logs
from ..audio.pcm import Samples
from ..audio.playout import PlayoutBuffer
from ..core import events
from ..core.events import Event
from ..core.items import Item
from ..core.replies import ReplyRequest
from ..errors import ProviderError
from .engine import AudioMade, ClauseClosed, ClauseOpened, ReplyEngine, TextMade
from .tasks import Tasks

_log = logging.getLogger(__name__)

_LAST_WORDS = "last-words"
"""The reply id of what is said after the core broke: no core knows it."""


@dataclass(slots=True)
class _Making:
    """How far one reply has been made: ``n_samples`` in all, and the clause at work.

    A clause is numbered and told of once it has sound; a silent one never was.
    """

    n_samples: int = 0
    index: int = -1
    text: str = ""
    start: int = 0
    has_sound: bool = False
    marks: list[tuple[int, int]] = field(default_factory=list)
    """Where words lie that nobody has been told of yet."""

    def open_clause(self, text: str) -> None:
        """The sound that follows is that of ``text``."""
        self.text, self.start = text, self.n_samples
        self.has_sound = False
        self.marks.clear()


class Speaking:
    """Owned by one session; the listener of its ``PlayoutBuffer``. All methods run on the event loop."""

    def __init__(
        self,
        *,
        engine: ReplyEngine,
        playout: PlayoutBuffer,
        post: Callable[[Event], None],
        post_first: Callable[[Event], None],
        clock: Callable[[], float],
        tasks: Tasks,
    ) -> None:
        self._engine = engine
        self._playout = playout
        self._post = post
        self._post_first = post_first
        self._clock = clock
        self._tasks = tasks
        self._reply_id: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._last_words_left = asyncio.Event()
        playout.listener = self

    # --- commands -------------------------------------------------------------------------------

    def start(self, reply_id: str, request: ReplyRequest, history: tuple[Item, ...]) -> None:
        """Begin a reply; the one before it is over."""
        self._playout.begin(reply_id)
        self._reply_id = reply_id
        self._task = self._tasks.start(self._run(reply_id, request, history), reply_id)

    def cancel(self, reply_id: str) -> None:
        """Be silent now; the core learns at once how much was heard, then engine and voice are stopped."""
        heard = self._playout.cancel(reply_id, self._clock())
        self._post_first(events.ReplyStopped(reply_id, heard))
        if self._task and self._reply_id == reply_id:
            self._task.cancel()

    async def say_last_words(self, request: ReplyRequest) -> None:
        """Say one thing past a core that broke, and wait until it has left."""
        if self._task and self._reply_id:
            self._playout.cancel(self._reply_id, self._clock())
            self._task.cancel()
        self._playout.begin(_LAST_WORDS)
        await self._fill(_LAST_WORDS, request, (), _Making())
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
        logs.audio_event("playout_drained", reply=reply_id)
        if reply_id == _LAST_WORDS:
            self._last_words_left.set()
        self._post(events.PlayoutDrained(reply_id))

    def room_made(self, reply_id: str) -> None:
        """The buffer takes more."""
        self._room.set()

    # --- one reply ------------------------------------------------------------------------------

    async def _run(self, reply_id: str, request: ReplyRequest, history: tuple[Item, ...]) -> None:
        ended: Event = events.ReplyGenerated(reply_id)
        made = _Making()
        try:
            await self._fill(reply_id, request, history, made)
        except ProviderError as error:
            logs.event(
                _log,
                logging.WARNING,
                "reply_failed",
                reply=reply_id,
                provider=error.provider,
                error=error.message,
            )
            ended = events.ReplyFailed(reply_id, "provider_error", error.message, made.n_samples)
        except Exception as error:  # an agent's bug must not end the call
            logs.event(_log, logging.ERROR, "agent_crashed", exc_info=True, reply=reply_id)
            message = f"{type(error).__name__} in the agent"
            ended = events.ReplyFailed(reply_id, "agent_error", message, made.n_samples)
        if not made.n_samples:
            # Nothing will drain: the buffer must be free before the core may begin another reply.
            self._playout.cancel(reply_id, self._clock())
        self._post(ended)
        self._playout.finish(reply_id)

    async def _fill(
        self, reply_id: str, request: ReplyRequest, history: tuple[Item, ...], made: _Making
    ) -> None:
        async with aclosing(self._engine.reply(request, history)) as pieces:
            async for piece in pieces:
                match piece:
                    case ClauseOpened(text):
                        made.open_clause(text)
                    case AudioMade(samples, marks):
                        made.marks += [(mark.sample, mark.text_start) for mark in marks]
                        self._tell_of_clause(reply_id, made, has_sound=bool(len(samples)))
                        made.n_samples += len(samples)
                        await self._append(reply_id, samples)
                    case ClauseClosed():
                        if made.has_sound:
                            length = made.n_samples - made.start
                            self._post(events.ClauseVoiced(reply_id, made.index, made.start, length))
                    case TextMade(text):
                        self._post(events.ReplyTextAdded(reply_id, text))

    def _tell_of_clause(self, reply_id: str, made: _Making, *, has_sound: bool) -> None:
        if has_sound and not made.has_sound:
            made.has_sound = True
            made.index += 1
            self._post(events.ClauseQueued(reply_id, made.index, made.text))
            self._playout.mark_clause(reply_id, made.index)
        if made.has_sound and made.marks:
            self._post(events.ClauseMarked(reply_id, made.index, tuple(made.marks)))
            made.marks.clear()

    async def _append(self, reply_id: str, samples: Samples) -> None:
        self._playout.append(reply_id, samples)
        while self._playout.is_full(reply_id):
            self._room.clear()
            await self._room.wait()  # for as long as the caller holds the reply: CancelReply ends it

"""The ``ReplyEngine`` of a speech-to-speech service: it answers the user's sound with sound.

    reply ──given text──────────────────> the cascade's voice and phrasebook
          └─else──> Dialogue.answer ──text, sound──> clauses

Greetings, apologies and fillers must be heard when the service is down as well, so they are not its work.
What becomes of an answer is told by the session's facts: which items it is kept in, how much was heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from ..agents.chat import INSTRUCTIONS, TOOL_STYLE
from ..audio.pcm import PLAYOUT_RATE_HZ
from ..core import facts
from ..core.facts import Fact
from ..core.items import Item, Modality
from ..core.replies import Cause, CutShort, ReplyRequest, ToolCall, Usage
from ..errors import ProviderCrashed
from ..providers.base import Dialogue, SaidPiece, SpeechChunk
from ..providers.patience import in_time
from .engine import AudioMade, Piece, ReplyEngine, TextBegan, TextMade, check_call
from .transcript import DEFAULT_PACE, TranscribedSound

FIRST_TIMEOUT = 4.0
"""Seconds until an answer's first word or sound: several times the usual."""
HOLE_TIMEOUT = 2.5
"""Seconds without anything in the middle of one."""
SPEECH_STYLE = """\
This is a live voice call. Answer as people talk: the answer first, in one to three short, plain sentences;
offer more, do not tell it all, and ask one question at a time.
If you did not understand, ask one short question. If you were interrupted, go on from what the user says now,
do not start over. Speak the language the user speaks, whatever language you read here."""
"""What makes a speech model bearable on the telephone; it follows whatever instructions there are."""
SILENCE = "The user has said nothing for a while: say one short sentence that helps them on."
"""Added where something is to be said although nobody has spoken."""
_MAX_REPLIES = 64
"""Replies whose fillers are remembered."""


class SpeechEngine:
    """One per session and service. ``provider``: the service's name; ``given``: who speaks given text."""

    def __init__(
        self,
        dialogue: Dialogue,
        provider: str,
        given: ReplyEngine,
        *,
        first_timeout: float = FIRST_TIMEOUT,
        hole_timeout: float = HOLE_TIMEOUT,
    ) -> None:
        self.dialogue = dialogue
        self._provider = provider
        self._given = given
        self._first_timeout, self._hole_timeout = first_timeout, hole_timeout
        self._pace = DEFAULT_PACE
        self._fillers: dict[str, int] = {}  # samples of them, by reply
        self._replies: dict[str, str] = {}  # by the item of their message

    def note(self, fact: Fact) -> None:
        """Take what became of a reply; every fact of the session comes here."""
        match fact:
            case facts.ReplyItemBegan(reply_id, item) if not fact.is_aside:
                self._replies[item.id] = reply_id
                _bound(self._replies)
                self.dialogue.kept(reply_id, item)
            case facts.ItemTruncated(item_id, audio_end_ms):
                # Fillers are said before an answer's own words, or where it has stopped coming.
                filled = self._fillers.get(self._replies.get(item_id, ""), 0) / PLAYOUT_RATE_HZ
                self.dialogue.heard(item_id, max(0.0, audio_end_ms / 1000 - filled))
            case _:
                pass

    async def reply(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply's pieces; see ``engine.ReplyEngine``."""
        if request.text is not None:
            pieces = self._say_given(request, history, reply_id)
        elif request.output is Modality.TEXT:
            pieces = self._write(request, history, reply_id)
        else:
            pieces = self._speak(request, history, reply_id)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def _say_given(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str
    ) -> AsyncGenerator[Piece, None]:
        async with aclosing(self._given.reply(request, history, reply_id)) as pieces:
            async for piece in pieces:
                if request.cause is Cause.FILLER and isinstance(piece, AudioMade):
                    self._fillers[reply_id] = self._fillers.get(reply_id, 0) + len(piece.samples)
                    _bound(self._fillers)
                yield piece

    async def _write(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str
    ) -> AsyncGenerator[Piece, None]:
        async with aclosing(self._answer(request, history, reply_id)) as said:
            async for piece in said:
                if isinstance(piece, str):
                    yield TextMade(piece)
                elif not isinstance(piece, SpeechChunk):
                    yield piece

    async def _speak(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str
    ) -> AsyncGenerator[Piece, None]:
        """Take what comes at once, so that as much as possible is known when a clause has to be cut."""
        heard = _Heard(self._pace / request.speed)
        me = asyncio.current_task()
        name = me.get_name() if me else "reply"
        # No TaskGroup: its exit and a generator's early close do not go together.
        said = self._answer(request, history, reply_id)
        taking = asyncio.create_task(heard.take_all(said), name=f"{name}/speech")
        try:
            async for piece in heard.pieces():
                yield piece
            self._pace = heard.pace * request.speed
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    async def _answer(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str
    ) -> AsyncGenerator[SaidPiece, None]:
        """Yield what the service says, within its deadlines."""
        patience, is_empty = self._first_timeout, True
        kept_as = "" if request.is_aside else reply_id
        async with aclosing(self.dialogue.answer(as_told(request), history, reply_id=kept_as)) as said:
            while (piece := await in_time(anext(said, None), patience, self._provider)) is not None:
                if isinstance(piece, ToolCall):
                    check_call(piece, request, self._provider)
                patience, is_empty = self._hole_timeout, is_empty and isinstance(piece, Usage)
                yield piece
        if is_empty:
            raise ProviderCrashed(f"{self._provider} answered nothing", provider=self._provider)


class _Heard:
    """What has come of a spoken answer, cut into clauses as it is asked for."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self._message: TranscribedSound | None = None
        self._behind: list[TranscribedSound | ToolCall | CutShort | Usage] = []
        self._error: Exception | None = None
        self._has_ended = False
        self._changed = asyncio.Event()

    async def take_all(self, said: AsyncGenerator[SaidPiece, None]) -> None:
        """Take all that is said, as it comes."""
        try:
            async with aclosing(said):
                async for piece in said:
                    self._take(piece)
                    self._changed.set()
        except Exception as error:  # raised by whoever takes the pieces, behind what was said
            self._error = error
        finally:
            self._end_message(is_whole=self._error is None)
            self._has_ended = True
            self._changed.set()

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Yield the answer's pieces."""
        has_begun = False
        while True:
            while self._behind:
                first = self._behind[0]
                if isinstance(first, TranscribedSound) and not has_begun:
                    has_begun = True
                    yield TextBegan()
                piece = first.take() if isinstance(first, TranscribedSound) else first
                if piece is not None:
                    yield piece
                if not isinstance(first, TranscribedSound) or (piece is None and first is not self._message):
                    self._behind.pop(0)
                elif piece is None:
                    break
            if self._has_ended and not self._behind:
                if self._error is not None:
                    raise self._error
                return
            self._changed.clear()
            await self._changed.wait()

    def _take(self, piece: SaidPiece) -> None:
        match piece:
            case str() | SpeechChunk():
                if self._message is None:
                    self._message = TranscribedSound(self.pace)
                    self._behind.append(self._message)
                if isinstance(piece, str):
                    self._message.add_text(piece)
                else:
                    self._message.add_sound(piece.samples)
            case _:
                self._end_message()
                self._behind.append(piece)

    def _end_message(self, *, is_whole: bool = True) -> None:
        """What comes now is not said by the sound so far."""
        if self._message is not None:
            self._message.end(is_whole=is_whole)
            self.pace = self._message.pace
            self._message = None


def as_told(request: ReplyRequest) -> ReplyRequest:
    """Return ``request`` with the instructions that the service is given."""
    parts = [request.instructions.strip() or INSTRUCTIONS]
    if request.output is Modality.AUDIO:
        parts += [SPEECH_STYLE, *([TOOL_STYLE] if request.tools else ())]
    if request.cause is Cause.IDLE:
        parts.append(SILENCE)
    return replace(request, instructions="\n\n".join(parts))


def _bound(kept: dict[str, str] | dict[str, int]) -> None:
    while len(kept) > _MAX_REPLIES:
        del kept[next(iter(kept))]

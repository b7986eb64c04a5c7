"""One connection of one client that carries all as events: a WebSocket, a session and the wire between them.

client ──events──> line ──> wire ──events──> session          session ──facts──> wire ──> line ──> client
                              └──sound, decoded──^               └──sound, coded──^
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .. import logs
from ..audio.formats import AudioDecoder
from ..audio.pcm import Samples
from ..core import events, facts
from ..core.events import Event, Origin
from ..core.facts import Fact
from ..core.items import Kind
from ..core.options import BYTES_PER_SECOND, AudioFormat
from ..session.session import Session
from ..wire.realtime import RealtimeWire
from ..wire.received import AudioAppended, SpeechSubmitted, Told
from .reply_sound import ReplySound
from .socket_line import GOING_AWAY, INTERNAL, NORMAL, Socket, SocketLine

_log = logging.getLogger(__name__)

_WIRE = "socket"

_MIN_COMMIT = 0.1
"""Seconds of sound without which there is nothing to commit (OpenAI's own limit)."""
_MIN_DECODED = 0.02
"""Seconds that are decoded at once at least, unless something ends: pieces may be as small as a sample."""
_CODES = {"shutdown": GOING_AWAY, "failed": INTERNAL}
"""The close codes of endings that are not as they should be."""
_CLOSE_TIMEOUT = 3.0
"""Seconds until the client is not waited for any longer."""


class SocketCall:
    """Owned by the endpoint, which runs it in a task of its own; ``serve`` is run by whoever has the socket.

    ``open_session`` makes the session, which is given where its sound goes.
    """

    def __init__(
        self, call_id: str, open_session: Callable[[Callable[[str, Samples], None]], Session]
    ) -> None:
        self.id = call_id
        self._sound = ReplySound(self._send_sound, lambda: self.session.options.output_format)
        self.session = open_session(self._sound.add)
        self._wire = RealtimeWire(
            name=_WIRE,
            session_id=self.session.id,
            transport="websocket",
            audio_time=self.session.audio_time,
        )
        self._line = SocketLine(call_id, self._take, lambda: self.end("failed"))
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._reason = "hangup"
        self._decoder: tuple[AudioFormat, AudioDecoder] | None = None
        self._coded = bytearray()  # not decoded yet: less than ``_MIN_DECODED``
        self._uncommitted = 0.0
        self._unsubscribe: Callable[[], None] | None = None

    async def run(self) -> None:
        """Live until the conversation or the connection ends, then free everything."""
        logs.event(_log, logging.INFO, "call_started", transport="websocket")
        try:
            await self.session.ended.wait()
        finally:
            await self._close()

    async def serve(self, socket: Socket) -> None:
        """Talk with the client; returns when the socket is closed."""
        with logs.bind(call=self.id, session=self.session.id):
            for message in self._wire.opened(self.session.options, self.session.state):
                self._line.send(message)
            self._unsubscribe = self.session.subscribe(self._tell)
            self.session.post(events.CallConnected())
            reason = "failed"
            try:
                reason = "hangup" if await self._line.serve(socket) else "lost"
            finally:
                self.end(reason)

    def end(self, reason: str) -> None:
        """Let the conversation end; ``run`` does the rest. May be called twice: the first reason counts."""
        if not self.session.ended.is_set():
            self._reason = reason
            self.session.post(events.CallEnded(reason))
            self.session.ended.set()

    async def _close(self) -> None:
        await self.session.close(self._reason)
        if self._unsubscribe:
            self._unsubscribe()
        self._sound.flush()
        self._line.end(_CODES.get(self._reason, NORMAL))
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._line.ended()
        except TimeoutError:
            logs.event(_log, logging.ERROR, "socket_not_closed")
        seconds = self._loop.time() - self._began
        logs.event(_log, logging.INFO, "call_ended", reason=self._reason, seconds=round(seconds, 1))

    # --- from the client --------------------------------------------------------------------------

    async def _take(self, message: str | bytes) -> None:
        if self._coded and not _is_append(message):
            await self._decode_rest()  # before it is read, for reading takes the session as it is now
        for received in self._wire.receive(message, self.session.options, self._loop.time()):
            match received:
                case AudioAppended(audio, format):
                    await self._hear(audio, format)
                case SpeechSubmitted(event, audio, format):
                    await self._decode_rest()
                    self.session.submit_speech(event, AudioDecoder(format).decode(audio))
                case Told(answer):
                    self._line.send(answer)
                case _:
                    await self._ask(received)

    async def _hear(self, audio: bytes, format: AudioFormat) -> None:
        if self._decoder is None or self._decoder[0] != format:
            await self._decode_rest()
            self._decoder = (format, AudioDecoder(format))
        self._uncommitted += len(audio) / BYTES_PER_SECOND[format]
        self._coded += audio
        if len(self._coded) >= _MIN_DECODED * BYTES_PER_SECOND[format]:
            await self._decode_rest()

    async def _decode_rest(self) -> None:
        """Let all be heard that has come, a second at a time."""
        if self._decoder is None or not self._coded:
            return
        format, decoder = self._decoder
        coded, self._coded = bytes(self._coded), bytearray()
        size = BYTES_PER_SECOND[format]
        for begin in range(0, len(coded), size):
            if self.session.ended.is_set():
                return
            await self.session.append(decoder.decode(coded[begin : begin + size]))

    async def _ask(self, event: Event) -> None:
        await self._decode_rest()  # what was sent before it was said before it
        match event:
            case events.InputCommitRequested(origin) if self._uncommitted < _MIN_COMMIT:
                event = self._too_little(origin)
            case events.InputCommitRequested():
                self.session.end_append()
                self._uncommitted = 0.0
            case events.InputClearRequested():
                self._uncommitted = 0.0
        self.session.post(event)

    def _too_little(self, origin: Origin | None) -> events.ClientErred:
        message = (
            f"Nothing to commit: {round(self._uncommitted * 1000)} ms of audio were appended since the last "
            f"commit, {round(_MIN_COMMIT * 1000)} ms are needed."
        )
        return events.ClientErred("input_audio_buffer_commit_empty", message, None, origin)

    # --- to the client ----------------------------------------------------------------------------

    def _tell(self, fact: Fact) -> None:
        match fact:
            case facts.ReplyItemEnded(reply_id, item) if item.kind is Kind.MESSAGE:
                self._sound.end(reply_id)
            case facts.PlayoutCleared(reply_id):
                self._sound.drop(reply_id)
                self._line.drop_sound(reply_id)
            case facts.CallEnding(reason):
                self._sound.flush()
                self._reason = reason
            case _:
                self._sound.flush()  # before what is told of later
        for message in self._wire.render(fact):
            self._line.send(message)

    def _send_sound(self, reply_id: str, coded: bytes) -> None:
        for message in self._wire.audio(reply_id, coded):
            self._line.send(message, reply_id=reply_id)


def _is_append(message: str | bytes) -> bool:
    """Whether a message most likely brings sound, by where clients write its type."""
    return isinstance(message, str) and "input_audio_buffer.append" in message[:256] + message[-64:]

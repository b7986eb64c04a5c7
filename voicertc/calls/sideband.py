"""A second connection to a call whose sound goes elsewhere: it sees all that happens there, and steers it.

call ──facts──> wire ──> line ──> client          client ──> line ──> wire ──events──> call
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import count

from .. import logs
from ..audio.formats import AudioDecoder
from ..core.facts import Fact
from ..session.session import Session
from ..wire.realtime import RealtimeWire
from ..wire.received import AudioAppended, SpeechSubmitted, Told
from .link_watch import LinkWatch
from .socket_line import Socket, SocketLine

_log = logging.getLogger(__name__)

_numbers = count(1)
"""What sidebands are called by, so that each gets its own errors only."""


class Sideband:
    """Owned by the endpoint. Its end does not end the call; the call's end ends it.

    ``link`` is how the call's packets fare; ``None`` where there are none.
    """

    def __init__(
        self,
        call_id: str,
        session: Session,
        link: LinkWatch | None,
        on_closed: Callable[[Sideband], None],
    ) -> None:
        self._link = link
        self._call_id = call_id
        self._session = session
        self._on_closed = on_closed
        name = f"sideband-{next(_numbers)}"
        self._wire = RealtimeWire(
            name=name, session_id=session.id, transport="sideband", audio_time=session.audio_time
        )
        self._line = SocketLine(f"{call_id}/{name}", self._take, lambda: None)
        self._loop = asyncio.get_running_loop()

    async def serve(self, socket: Socket) -> None:
        """Tell and ask until the socket or the call is closed."""
        with logs.bind(call=self._call_id, session=self._session.id):
            logs.event(_log, logging.INFO, "sideband_opened", wire=self._wire.name)
            for message in self._wire.opened(self._session.options, self._session.state):
                self._line.send(message)
            unsubscribe = self._session.subscribe(self._tell)
            watching = asyncio.create_task(self._watch(), name=f"{self._call_id}/{self._wire.name}/watch")
            try:
                await self._line.serve(socket)
            finally:
                unsubscribe()
                watching.cancel()
                self._follow_link(wanted=False)
                logs.event(_log, logging.INFO, "sideband_closed", wire=self._wire.name)

    def close(self) -> None:
        """Give the place free; may be called twice."""
        self._on_closed(self)

    async def _watch(self) -> None:
        await self._session.ended.wait()
        self._line.end()

    async def _take(self, message: str | bytes) -> None:
        for received in self._wire.receive(message, self._session.options, self._loop.time()):
            match received:
                case Told(answer):
                    self._line.send(answer)
                case SpeechSubmitted(event, audio, format):
                    self._session.submit_speech(event, AudioDecoder(format).decode(audio))
                case AudioAppended():
                    raise AssertionError("the wire of a sideband refuses sound")
                case _:
                    self._session.post(received)
        self._follow_link(wanted=self._wire.wants_link)

    def _follow_link(self, *, wanted: bool) -> None:
        if self._link:
            self._link.follow(self._wire.name, wanted=wanted)

    def _tell(self, fact: Fact) -> None:
        for message in self._wire.render(fact):
            self._line.send(message)

"""One Realtime socket that hears turns and answers them: ``LiveEar`` with responses and a memory.

    turns      append … commit ──────────> item, its words          (``openai_live_ear``)
    answers    create/delete/truncate …    what it shall remember   (``openai_speech_items``)
               response.create ──────────> response.created … done  (``openai_speech_answer``)

One answer at a time is in the conversation; others may be made out of band beside it. What is not wanted any
more is cancelled by its id; what still comes of it is dropped, and what it has cost is owed to the next.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from ..core.items import Item
from ..core.replies import Usage
from ..errors import ProviderError, ProviderTimeout
from ..logs import event as log_event
from .openai_events import Event, nested, word
from .openai_live_ear import LiveEar, OnEarLost, OnUsed, Transcript
from .openai_socket import RealtimeSocket
from .openai_speech_answer import Answer
from .openai_speech_items import Mirror

_RESPONSE = "response."
_KEY = "voicertc"
"""The entry of a response's metadata that says which answer it is."""
_END = 2.0
"""Seconds for a cancelled response to end: the next one must not be asked for before."""
_NO_RESPONSE = "response_cancel_not_active"

_log = logging.getLogger(__name__)

OnCommitted = Callable[[str, "SpeechEar"], None]
"""Is told that all of a turn's sound has been sent; the turn by our item's id."""


class SpeechEar(LiveEar):
    """A socket of one call. ``voice``: the one it was opened with, which is fixed once it ``has_spoken``."""

    def __init__(
        self,
        socket: RealtimeSocket,
        *,
        update_timeout: float,
        on_used: OnUsed,
        on_lost: OnEarLost,
        on_committed: OnCommitted,
        configured: Mapping[str, Any],
    ) -> None:
        self.memory = Mirror()
        self.configured = configured
        """The ``session`` it was opened with."""
        self.has_spoken = False
        self.owed: Usage | None = None
        """What cancelled answers have cost, and nobody has been told."""
        self._on_committed = on_committed
        self._ours: dict[Transcript, str] = {}
        self._asked: dict[str, Answer] = {}
        self._running: dict[str, Answer] = {}
        self._talking: Answer | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(socket, update_timeout=update_timeout, on_used=on_used, on_lost=on_lost)

    # --- turns ----------------------------------------------------------------------------------

    def begin(self, note: Callable[[], None], item_id: str = "") -> Transcript:
        """Begin a turn; see ``LiveEar``."""
        transcript = super().begin(note, item_id)
        self._ours[transcript] = item_id
        return transcript

    async def commit(self, transcript: Transcript) -> None:
        """End the turn: the service makes an item of it."""
        await super().commit(transcript)
        if (item_id := self._ours.pop(transcript, None)) is not None:
            self.memory.expect(item_id, transcript)
            self._on_committed(item_id, self)

    async def drop(self, transcript: Transcript) -> None:
        """Take back a turn that has not been committed."""
        self._ours.pop(transcript, None)
        await super().drop(transcript)

    # --- answers --------------------------------------------------------------------------------

    async def respond(
        self, response: Mapping[str, Any], history: Sequence[Item] | None, reply_id: str
    ) -> Answer:
        """Ask for an answer. ``history``: what the service is to remember first, ``None`` changes nothing.

        It is out of band if ``response`` says so. ``leave`` it in the end. Raises ``ProviderError``.
        """
        is_aside = response.get("conversation") == "none"
        if not is_aside:
            await self._free()
        key = f"answer_{next(self._numbers)}"
        on_item = None if is_aside else self.memory.put_out
        answer = self._asked[key] = Answer(key, reply_id, self.socket.provider, on_item)
        self.n_due += 1
        if not is_aside:
            self._talking = answer
            self._quiet.clear()
        fields = {**response, "metadata": {_KEY: key}}
        asking = [
            *(self.memory.follow(history) if history is not None else ()),
            {"type": "response.create", "event_id": key, "response": fields},
        ]
        try:
            # To its end, even if nobody wants the answer any more: the memory counts it as sent.
            await asyncio.shield(self._start(self._ask(answer, asking), "ask"))
            if answer.error is not None:
                raise answer.error
        except BaseException:
            self.leave(answer)
            raise
        return answer

    def leave(self, answer: Answer) -> None:
        """Nobody waits for an answer any more: cancel what is left of it. Call once for each."""
        if not answer.is_left:
            answer.is_left = True
            self.n_due -= 1
            if answer.response_id in self._running:
                self._cancel(answer)

    async def close(self) -> None:
        """Hang up; may be called twice."""
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        provider = self.socket.provider
        self._fail_all(ProviderError(f"{provider} was closed during an answer", provider=provider))
        await super().close()

    async def _free(self) -> None:
        """Wait for the end of the conversation's last response, which has been cancelled."""
        try:
            async with asyncio.timeout(_END):
                await self._quiet.wait()
        except TimeoutError as error:
            provider = self.socket.provider
            raise ProviderTimeout(f"{provider} did not end its last answer", provider=provider) from error

    # --- what comes -----------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        """Take an event from the socket's reader."""
        kind = word(event, "type")
        if kind.startswith(_RESPONSE):
            self._answer(kind.removeprefix(_RESPONSE), event)
        elif kind == "error" and self._knows_error(event):
            return
        else:
            super()._take(event)

    def _answer(self, kind: str, event: Event) -> None:
        response = nested(event, "response")
        if kind == "created":
            self._created(response)
            return
        response_id = word(event, "response_id") or word(response, "id")
        answer = self._running.get(response_id)
        if answer is None:
            return
        if kind == "output_audio.delta" and not answer.is_aside:
            self.has_spoken = True
        if answer.take(kind, event, self.socket.error_in):
            self._cancel(answer)
        if kind == "done":
            self._end(answer)

    def _created(self, response: Event) -> None:
        """A response has begun: it is the answer whose key it repeats, or the oldest one asked for."""
        key = word(nested(response, "metadata"), _KEY) or next(iter(self._asked), "")
        if answer := self._asked.pop(key, None):
            answer.response_id = word(response, "id")
            self._running[answer.response_id] = answer
            if answer.is_left:
                self._cancel(answer)

    def _knows_error(self, event: Event) -> bool:
        """Take an ``error`` that is about an answer."""
        about, code = word(nested(event, "error"), "event_id"), word(nested(event, "error"), "code")
        if answer := self._asked.get(about):
            answer.fail(self.socket.error_in(event))
            self._end(answer)
            return True
        # It ended by itself in the same moment: nothing to cancel is what was wanted.
        return code == _NO_RESPONSE

    async def _ask(self, answer: Answer, events: Sequence[Event]) -> None:
        try:
            for event in events:
                await self.socket.send(event)
        except ProviderError as error:
            answer.fail(error)
            self._end(answer)

    def _cancel(self, answer: Answer) -> None:
        event = {"type": "response.cancel", "response_id": answer.response_id}
        self._start(self._try_to_send(event), "cancel")

    async def _try_to_send(self, event: Event) -> None:
        try:
            await self.socket.send(event)
        except ProviderError as error:  # the reader tells of it as well
            log_event(_log, logging.INFO, "openai_speech_not_cancelled", error=error.message)

    def _start(self, work: Coroutine[None, None, None], what: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self.socket.provider}/{what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _end(self, answer: Answer) -> None:
        """The service is through with an answer."""
        self._asked.pop(answer.key, None)
        self._running.pop(answer.response_id, None)
        if answer.usage is not None:
            self.owed = answer.usage + (self.owed or Usage())
        if answer is self._talking:
            self._talking = None
            self._quiet.set()

    def _lose(self, error: ProviderError) -> None:
        """The socket has ended by itself."""
        self._fail_all(error)
        super()._lose(error)

    def _fail_all(self, error: ProviderError) -> None:
        for answer in [*self._asked.values(), *self._running.values()]:
            answer.fail(error)
            self._end(answer)

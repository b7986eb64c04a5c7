"""The Realtime transcription protocol on one socket: sound in, words out, by the ids of the service's items.

    append … append, commit ──> committed {item_id}
         delta {item_id} …  ──────────────────────────> completed | failed {item_id}

There is one buffer for sound, so turns are appended one after the other; the words of one may still be due
while the next is appended. A streaming model names an item in its first delta, before the commit: an id that
nobody knows yet is the oldest turn's that has none, and ``committed`` has the last word on it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.replies import Usage
from ..errors import ProviderError, ProviderTimeout
from ..logs import event as log_event
from .openai_events import Event, count, nested, word
from .openai_socket import RealtimeSocket

_TRANSCRIPTION = "conversation.item.input_audio_transcription."
_NO_SOUND = "input_audio_buffer_commit_empty"
_MAX_FORGOTTEN = 64
"""Items remembered after they are done with: an answer may come late, and must not be the next turn's."""

_log = logging.getLogger(__name__)


OnUsed = Callable[[float, Usage | None], None]
"""Is told what an item cost: seconds, tokens."""
OnEarLost = Callable[["LiveEar", ProviderError], None]


@dataclass(slots=True, eq=False)
class Transcript:
    """What one socket makes of one turn. ``note`` is called at each change.

    ``is_over`` when no more will come of it: ``final`` is its text then, or ``error`` says why there is
    none; ``is_lost`` if that is because the socket has ended.
    """

    note: Callable[[], None]
    item_id: str = ""
    deltas: list[str] = field(default_factory=list)
    final: str | None = None
    language: str | None = None
    confidence: float | None = None
    error: ProviderError | None = None
    is_lost: bool = False
    is_committed: bool = False
    """Whether the service has answered the commit."""
    is_forgotten: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def so_far(self) -> str:
        """The words that have come, in full."""
        return "".join(self.deltas).strip()

    def end(self, error: ProviderError | None = None, *, is_lost: bool = False) -> None:
        """Note that no more will come."""
        if not self.over.is_set():
            self.error, self.is_lost = error, is_lost
            self.over.set()
            self.note()


class LiveEar:
    """One transcription socket; its owner appends one turn at a time and closes it.

    ``on_used`` is told what the service counted, in seconds and tokens, also for what comes late.
    """

    def __init__(
        self,
        socket: RealtimeSocket,
        *,
        update_timeout: float,
        on_used: OnUsed,
        on_lost: OnEarLost,
    ) -> None:
        self.socket = socket
        self._update_timeout = update_timeout
        self._on_used, self._on_lost = on_used, on_lost
        self._unnamed: deque[Transcript] = deque()
        self._by_item: dict[str, Transcript] = {}
        self._forgotten: deque[str] = deque(maxlen=_MAX_FORGOTTEN)
        self._commits: dict[str, Transcript] = {}
        self._updates: dict[str, asyncio.Future[None]] = {}
        self._moved = asyncio.Event()
        self._n_clears = 0
        self._ids = itertools.count(1)
        self.n_due = 0
        """Transcripts that somebody waits for."""
        socket.listen(self._take, self._lose)

    def begin(self, note: Callable[[], None], item_id: str = "") -> Transcript:
        """Begin a turn; the one before has been committed or dropped. ``item_id``: our name for it."""
        transcript = Transcript(note)
        self._unnamed.append(transcript)
        self.n_due += 1
        return transcript

    async def append(self, sound: bytes) -> None:
        """Send sound of the turn begun last: 16-bit little-endian mono at 24 kHz."""
        audio = base64.b64encode(sound).decode("ascii")
        await self.socket.send({"type": "input_audio_buffer.append", "audio": audio})

    async def commit(self, transcript: Transcript) -> None:
        """End the turn: all its sound has been sent."""
        event_id = f"commit_{next(self._ids)}"
        self._commits[event_id] = transcript
        await self.socket.send({"type": "input_audio_buffer.commit", "event_id": event_id})

    async def drop(self, transcript: Transcript) -> None:
        """Take back a turn that has not been committed, with its sound."""
        if transcript in self._unnamed:
            self._unnamed.remove(transcript)
        self.forget(transcript)
        if self.socket.is_open:
            self._n_clears += 1
            # A socket that has ended holds no sound; its owner is told by the reader.
            with contextlib.suppress(ProviderError):
                await self.socket.send({"type": "input_audio_buffer.clear"})

    def forget(self, transcript: Transcript) -> None:
        """Wait for a transcript no more; what still comes for it is dropped. May be called twice."""
        if transcript.is_forgotten:
            return
        transcript.is_forgotten = True
        self.n_due -= 1
        if transcript.item_id:
            self._by_item.pop(transcript.item_id, None)
            self._forgotten.append(transcript.item_id)

    async def configure(self, session: Mapping[str, Any]) -> None:
        """Send a ``session.update`` between two turns, and wait until it holds.

        All commits must have been answered: an update deletes what lies in the buffer, without a word.
        """
        event_id = f"update_{next(self._ids)}"
        done = self._updates[event_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._update_timeout):
                await self.socket.send({"type": "session.update", "event_id": event_id, "session": session})
                await done
        except TimeoutError as error:
            provider = self.socket.provider
            raise ProviderTimeout(f"{provider} did not change its session", provider=provider) from error
        finally:
            self._updates.pop(event_id, None)

    async def settled(self) -> None:
        """Wait until the service has taken every turn out of the buffer."""
        while self._unnamed:
            self._moved.clear()
            await self._moved.wait()

    async def close(self) -> None:
        """Hang up; may be called twice."""
        await self.socket.close()

    def _take(self, event: Event) -> None:
        """Take an event from the socket's reader."""
        kind = word(event, "type")
        if kind.startswith(_TRANSCRIPTION):
            self._transcribe(kind.removeprefix(_TRANSCRIPTION), event)
        elif kind == "input_audio_buffer.committed":
            self._take_committed(word(event, "item_id"))
        elif kind == "input_audio_buffer.cleared":
            self._n_clears = max(0, self._n_clears - 1)
        elif kind == "session.updated":
            # Updates go out one at a time, and are answered in order.
            for update in self._updates.values():
                if not update.done():
                    update.set_result(None)
        elif kind == "error":
            self._err(event)

    def _transcribe(self, kind: str, event: Event) -> None:
        """Take a delta, a final, a failure; diarized segments and what else may come say nothing new."""
        transcript = self._find(word(event, "item_id"))
        if kind == "completed":
            self._on_used(*_usage(nested(event, "usage")))
        if transcript is None:
            return
        match kind:
            case "delta":
                transcript.deltas.append(word(event, "delta"))
                transcript.note()
            case "completed":
                transcript.final = word(event, "transcript").strip()
                transcript.language = _language(event)
                transcript.confidence = _confidence(event)
                transcript.end()
            case "failed":
                transcript.end(self.socket.error_in(event))

    def _find(self, item_id: str) -> Transcript | None:
        """Return the transcript of an item, or ``None`` if it is none of ours any more."""
        if found := self._by_item.get(item_id):
            return found
        if not item_id or item_id in self._forgotten:
            return None
        oldest = next((each for each in self._unnamed if not each.item_id), None)
        if self._n_clears or oldest is None or oldest.is_forgotten:
            self._forgotten.append(item_id)
            return None
        oldest.item_id = item_id
        self._by_item[item_id] = oldest
        return oldest

    def _take_committed(self, item_id: str) -> None:
        """The oldest turn without an answer to its commit has become an item."""
        if not self._unnamed:
            return
        transcript = self._unnamed.popleft()
        self._moved.set()
        transcript.is_committed = True
        self._commits = {key: each for key, each in self._commits.items() if each is not transcript}
        if transcript.item_id and transcript.item_id != item_id:
            # The guess was wrong: those words were of something else.
            self._by_item.pop(transcript.item_id, None)
            transcript.deltas.clear()
        transcript.item_id = item_id
        if transcript.is_forgotten:
            self._forgotten.append(item_id)
        else:
            self._by_item[item_id] = transcript

    def _err(self, event: Event) -> None:
        """Take an ``error``: about a commit or an update of ours, or one that changes nothing."""
        about, code = word(nested(event, "error"), "event_id"), word(nested(event, "error"), "code")
        if (update := self._updates.get(about)) and not update.done():
            update.set_exception(self.socket.error_in(event))
        elif transcript := self._commits.pop(about, None):
            if transcript in self._unnamed:
                self._unnamed.remove(transcript)
                self._moved.set()
            transcript.final = "" if code == _NO_SOUND else None
            transcript.end(None if code == _NO_SOUND else self.socket.error_in(event))
        else:
            provider, said = self.socket.provider, self.socket.error_in(event).message
            log_event(
                _log, logging.WARNING, "openai_live_error", provider=provider, code=code or None, error=said
            )

    def _lose(self, error: ProviderError) -> None:
        """The socket has ended by itself."""
        for transcript in [*self._unnamed, *self._by_item.values()]:
            transcript.end(error, is_lost=True)
        for update in self._updates.values():
            if not update.done():
                update.set_exception(error)
        self._unnamed.clear()
        self._moved.set()
        self._on_lost(self, error)


def _usage(usage: Mapping[str, Any]) -> tuple[float, Usage | None]:
    """Read what an item cost: seconds (gpt-live-transcribe), or tokens."""
    seconds = usage.get("seconds")
    if isinstance(seconds, int | float):
        return float(seconds), None
    if not usage:
        return 0.0, None
    heard = count(nested(usage, "input_token_details"), "audio_tokens")
    tokens = Usage(count(usage, "input_tokens"), count(usage, "output_tokens"), input_audio_tokens=heard)
    return 0.0, tokens


def _language(event: Event) -> str | None:
    """Return the first language the service found: objects with a ``code``, as of openai 3.57."""
    found = event.get("languages")
    first = found[0] if isinstance(found, list) and found else None
    code = first.get("code") if isinstance(first, dict) else first
    return code if isinstance(code, str) else None


def _confidence(event: Event) -> float | None:
    """Return the geometric mean of the tokens' probabilities, if it was asked for them."""
    given = event.get("logprobs")
    tokens = given if isinstance(given, list) else []
    logs = [each["logprob"] for each in tokens if isinstance(each, dict) and "logprob" in each]
    known = [value for value in logs if isinstance(value, int | float)]
    return min(1.0, math.exp(sum(known) / len(known))) if known else None

"""One response of a Realtime session, from ``response.create`` to ``response.done``, as pieces.

    events of the socket ──take──> [ pieces … ] ──pieces()──> whoever speaks them

Sound comes faster than it is played, and the socket has other work, so it waits here; a response that has
become too long is cut short.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import AsyncGenerator, Callable

import numpy as np

from ..audio.pcm import PLAYOUT_RATE_HZ
from ..core.items import Kind
from ..core.replies import CutShort, ToolCall, Usage
from ..errors import ProviderCrashed, ProviderError
from .base import SaidPiece, SpeechChunk
from .openai_events import Event, nested, tokens, word
from .openai_speech_items import Entry

_MAX_SECONDS = 180.0
"""Seconds of sound that may wait; at 24 kHz they are 9 MB."""
_CUT_SHORT = ("max_output_tokens", "content_filter")

OnItem = Callable[[Entry], None]


class Answer:
    """Owned by its ``SpeechEar``, which feeds it; read by one task. ``key``: our name for it on the wire."""

    def __init__(self, key: str, reply_id: str, provider: str, on_item: OnItem | None) -> None:
        self.key = key
        self.response_id = ""
        self.is_over = False
        self.is_left = False
        """Whether nobody reads it any more."""
        self.usage: Usage | None = None
        self._reply_id = reply_id
        self._provider = provider
        self._on_item = on_item
        self._entries: dict[str, Entry] = {}
        self._pieces: deque[SaidPiece] = deque()
        self._n_samples = 0
        self._odd: dict[str, bytes] = {}
        self.error: ProviderError | None = None
        self._changed = asyncio.Event()

    @property
    def is_aside(self) -> bool:
        """Whether it is out of band: the service remembers nothing of it."""
        return self._on_item is None

    async def pieces(self) -> AsyncGenerator[SaidPiece, None]:
        """Yield what comes, to its end. The reader has the deadline."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                if isinstance(piece, SpeechChunk):
                    self._n_samples -= len(piece.samples)
                yield piece
            if self.is_over:
                if self.error is not None:
                    raise self.error
                return
            self._changed.clear()
            await self._changed.wait()

    def fail(self, error: ProviderError) -> None:
        """No more will come of it."""
        if not self.is_over:
            self.error = error
            self._end()

    def take(self, kind: str, event: Event, error_in: Callable[[Event], ProviderError]) -> bool:
        """Take an event of this response; return whether the service must be told to stop."""
        item_id = word(event, "item_id")
        match kind:
            case "output_item.added":
                self._begin(nested(event, "item"))
            case "output_audio_transcript.delta" | "output_text.delta":
                self._add(word(event, "delta"))
            case "output_audio.delta":
                self._add_sound(item_id, word(event, "delta"))
            case "output_item.done":
                self._add_call(nested(event, "item"))
            case "done":
                self._finish(nested(event, "response"), error_in)
        if self._n_samples > _MAX_SECONDS * PLAYOUT_RATE_HZ and not self.is_over:
            self._add(CutShort("max_output_tokens"))
            self._end()
            return True
        return False

    def _begin(self, item: Event) -> None:
        is_call = word(item, "type") == "function_call"
        kind = Kind.FUNCTION_CALL if is_call else Kind.MESSAGE
        entry = Entry(word(item, "id"), kind=kind, reply_id=self._reply_id, call_id=word(item, "call_id"))
        if not is_call and any(each.kind is Kind.MESSAGE for each in self._entries.values()):
            self._add(" ")  # to us all of it is one message
        self._entries[entry.own_id] = entry
        if self._on_item is not None:
            self._on_item(entry)

    def _add_sound(self, item_id: str, delta: str) -> None:
        try:
            sound = self._odd.get(item_id, b"") + base64.b64decode(delta, validate=True)
        except (binascii.Error, ValueError):
            self.fail(ProviderCrashed(f"{self._provider} sent what is no sound", provider=self._provider))
            return
        whole = len(sound) // 2 * 2
        self._odd[item_id] = sound[whole:]
        samples = np.frombuffer(sound[:whole], "<i2").astype(np.int16, copy=False)
        if entry := self._entries.get(item_id):
            entry.ms += len(samples) * 1000 / PLAYOUT_RATE_HZ
        if len(samples):
            self._n_samples += len(samples)
            self._add(SpeechChunk(samples))

    def _add_call(self, item: Event) -> None:
        if word(item, "type") == "function_call" and word(item, "status") in ("completed", ""):
            self._add(ToolCall(word(item, "name"), word(item, "arguments") or "{}"))

    def _finish(self, response: Event, error_in: Callable[[Event], ProviderError]) -> None:
        """Take ``response.done``: how it ended, and what it cost."""
        details = nested(response, "status_details")
        why = word(details, "reason")
        self.usage = tokens(nested(response, "usage"), self._provider)
        match word(response, "status"):
            case "incomplete":
                self._add(CutShort(why if why in _CUT_SHORT else "content_filter"))
            case "failed":
                self.error = self.error or error_in(details)
            case "cancelled" if not self.is_left:
                what = f"{self._provider} broke off its answer ({why or 'no reason given'})"
                self.error = self.error or ProviderCrashed(what, provider=self._provider)
        if self.usage is not None and not self.is_left:
            self._add(self.usage)
            self.usage = None
        self._end()

    def _add(self, piece: SaidPiece) -> None:
        if not (self.is_left or self.is_over) and piece != "":
            self._pieces.append(piece)
            self._changed.set()

    def _end(self) -> None:
        self.is_over = True
        self._changed.set()

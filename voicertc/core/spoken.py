"""What was spoken and may still be truncated: a client knows better than we do what it has played.

Server-paced clients are cut by ``ReplyStopped``; those that play at their own pace say it with
``conversation.item.truncate``. Either may shorten what the other left, never lengthen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import facts
from .clauses import Clause, heard_text
from .events import ItemTruncateRequested
from .items import Items
from .outbox import Outbox
from .replies import Reply

SAMPLES_PER_MS = 24
_MAX_SPOKEN = 32
"""Ended replies that a client may still truncate: more than it can have unplayed."""


@dataclass(frozen=True, slots=True)
class _Told:
    """``n_samples`` of audio (``None`` while it is being made), of which ``kept`` count as heard."""

    items: Items
    clauses: tuple[Clause, ...]
    n_samples: int | None
    kept: int | None


class Spoken:
    """Remembers the last replies that had sound. Owned by ``Replying``."""

    def __init__(self, out: Outbox) -> None:
        self._out = out
        self._ended: dict[str, _Told] = {}

    def remember(self, reply: Reply, heard: int | None, made: int = 0) -> None:
        """A reply is over: ``heard`` samples of it count, ``None`` for all; ``made`` were made at least."""
        told = _told(reply)
        kept = min((n for n in (heard, reply.cut_at) if n is not None), default=told.n_samples)
        n_samples = max(made, kept or 0) if told.n_samples is None else told.n_samples
        self._ended[reply.item_id] = replace(told, n_samples=n_samples, kept=kept)
        if len(self._ended) > _MAX_SPOKEN:
            del self._ended[next(iter(self._ended))]

    def truncate(self, event: ItemTruncateRequested, audible: Reply | None) -> str | None:
        """Cut a spoken item to what its client played; return why not, or ``None`` when it is done.

        ``audible`` is the reply whose item it is, if that is not over.
        """
        item_id, audio_end_ms = event.item_id, event.audio_end_ms
        told = _told(audible) if audible else self._ended.get(item_id)
        item = told.items.get(item_id) if told else None
        if told is None or item is None:
            return f"There is no spoken item {item_id} that could be truncated."
        samples = audio_end_ms * SAMPLES_PER_MS
        if told.n_samples is not None and samples >= told.n_samples + SAMPLES_PER_MS:  # clients round up
            return f"Audio of {item_id} ends at {told.n_samples // SAMPLES_PER_MS} ms."
        if told.kept is None or samples < told.kept:
            if audible:
                audible.cut_at = samples
            else:
                self._ended[item_id] = replace(told, kept=samples)
            item = replace(item, text=heard_text(told.clauses, samples))
            told.items.replace(item)
        self._out.publish(facts.ItemTruncated(item_id, audio_end_ms, item.text or "", event.origin))
        return None


def _told(reply: Reply) -> _Told:
    return _Told(reply.items, tuple(reply.clauses[: reply.n_begun]), _length(reply.clauses), reply.cut_at)


def _length(clauses: Sequence[Clause]) -> int | None:
    """Return how many samples the clauses have; ``None`` while that is not known."""
    if not clauses:
        return 0
    n_samples = clauses[-1].n_samples
    return None if n_samples is None else clauses[-1].start + n_samples

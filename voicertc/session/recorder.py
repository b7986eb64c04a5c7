"""Keeps a session's journal: the last entries in memory, all of them in a file where a directory is set."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from .. import logs
from ..core.commands import Command
from ..core.conversation import Conversation
from ..core.events import Event
from ..core.journal import entry_line, header_line

_log = logging.getLogger(__name__)

_MAX_ENTRIES = 1_000
"""Entries kept in memory, about ten minutes of talk: what led to a crash is near its end."""
_FLUSH_AFTER = 1.0
"""Seconds between writes to the file."""
_MAX_UNWRITTEN = 10_000
"""Lines waiting for a slow disk; beyond it the recording stops rather than memory grows."""


class Recorder:
    """One session's flight recorder. Called on the event loop; the disk is written by a worker thread."""

    def __init__(
        self,
        conversation: Conversation,
        *,
        version: str,
        session_id: str,
        id_prefix: str,
        directory: Path | None,
    ) -> None:
        self._header = header_line(version, conversation, id_prefix)
        self._entries: deque[tuple[float, Event, Sequence[Command]]] = deque(maxlen=_MAX_ENTRIES)
        self._session_id = session_id
        self._path = directory / f"{session_id}.jsonl" if directory else None
        self._unwritten: list[str] = [self._header] if self._path else []
        self._writer: ThreadPoolExecutor | None = None
        self._written: Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def record(self, now: float, event: Event, commands: Sequence[Command]) -> None:
        """Keep one handled event."""
        self._entries.append((now, event, commands))
        if self._path is None:
            return
        self._unwritten.append(entry_line(now, event, commands))
        if len(self._unwritten) > _MAX_UNWRITTEN:
            logs.event(_log, logging.WARNING, "journal_abandoned", reason="the disk is too slow")
            self._path, self._unwritten = None, []
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self._flush_in_turn)

    def dump(self) -> str | None:
        """Write what is in memory to a temporary file after a crash; return its path.

        A journal longer than memory lost its beginning and cannot be replayed, only read.
        """
        if self._path is not None:
            self._flush()
            return str(self._path)
        try:
            with tempfile.NamedTemporaryFile(
                "w", prefix=f"voicertc-{self._session_id}-", suffix=".jsonl", delete=False, encoding="utf-8"
            ) as file:
                file.write(self._header + "\n")
                file.writelines(entry_line(*entry) + "\n" for entry in self._entries)
        except OSError as error:
            logs.event(_log, logging.WARNING, "journal_not_written", error=str(error))
            return None
        return file.name

    def close(self) -> None:
        """Write the rest; may be called twice."""
        self._flush()
        if self._writer:
            self._writer.shutdown(wait=False)
            self._writer = None

    def _flush_in_turn(self) -> None:
        self._timer = None
        # Lines that a hanging disk does not take wait here, where they are counted.
        if self._written is None or self._written.done():
            self._flush()

    def _flush(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._path is None or not self._unwritten:
            return
        lines, self._unwritten = self._unwritten, []
        if self._writer is None:
            # One thread of its own keeps the lines in order; it lives as long as the recording.
            self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{self._session_id}/journal")
        self._written = self._writer.submit(_append, self._path, lines)


def _append(path: Path, lines: Sequence[str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
    except OSError as error:
        logs.event(_log, logging.WARNING, "journal_not_written", path=str(path), error=str(error))

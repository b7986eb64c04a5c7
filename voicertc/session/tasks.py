"""The one owner of a session's tasks: named, and none outlives the session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from .. import logs

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 2.0
"""Seconds that cancelled tasks are waited for: a service's code may be slow to give up, or never do."""


class Tasks:
    """A task group whose owner ends it at any time, by ``close``.

    Unlike ``asyncio.TaskGroup`` a failing task does not take the others along: the tasks started here
    report their failures as events and raise nothing else.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run ``coroutine`` as a task of this owner."""
        task = asyncio.create_task(coroutine, name=f"{self._name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel what still runs and wait for it, but not for ever; may be called twice."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, stubborn = await asyncio.wait(self._tasks, timeout=_CLOSE_TIMEOUT)
            for task in stubborn:
                logs.event(_log, logging.ERROR, "task_not_cancelled", task=task.get_name())

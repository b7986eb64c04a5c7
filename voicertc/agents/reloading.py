"""``voicertc serve --dev``: an agent whose module is read anew when its files change.

    files ──0.5 s──► changed? ──► import anew ──ok──► start ──ok──► new sessions get it
                                      └── fails ───────┴──────────► told; the old one stays

A conversation keeps the agent it began with. Files are polled: that works on every file system, network and
container mounts included, and costs microseconds for the handful of files an agent has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import OrderedDict
from collections.abc import AsyncGenerator
from importlib import invalidate_caches
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

from ..logs import event
from .base import Agent, AgentPiece, AgentRequest
from .loading import load_agent

_log = logging.getLogger(__name__)

_MAX_SESSIONS = 1_000
"""Sessions remembered; beyond it the oldest moves to the newest agent. A developer has fewer."""
_MAX_RETIRED = 8
"""Agents kept open for conversations that began with them; an older one is closed."""


class ReloadingAgent:
    """An ``Agent`` that stands for the newest good version of ``module:attribute``.

    ``interval``: seconds between two looks at the files. Raises ``SettingsError`` if the first version fails.
    """

    def __init__(self, name: str, *, interval: float = 0.5) -> None:
        self._import_name = name
        self._interval = interval
        self._current = load_agent(name)
        self._retired: list[Agent] = []
        self._sessions: OrderedDict[str, Agent] = OrderedDict()
        self._times = self._modification_times()
        self._watch: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The current version's name."""
        return self._current.name

    @property
    def grammar(self) -> str | None:
        """The current version's grammar."""
        return self._current.grammar

    @property
    def greeting(self) -> str | None:
        """The current version's greeting."""
        return self._current.greeting

    def reply(self, request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
        """Let the version the session began with reply."""
        agent = self._sessions.setdefault(request.session.id, self._current)
        while len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return agent.reply(request)

    async def start(self) -> None:
        """Start the first version and the watch over its files."""
        await self._current.start()
        self._watch = asyncio.create_task(self._watch_files(), name="dev/agent-reload")

    async def close(self) -> None:
        """Stop watching and close every version; may be called twice."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        for agent in (*self._retired, self._current):
            await agent.close()
        self._retired.clear()

    async def look(self) -> bool:
        """Reload if a file changed since the last look; tell whether there is a new version now."""
        times = self._modification_times()
        if times == self._times:
            return False
        reloaded = await self._reload()
        self._times = self._modification_times()
        return reloaded

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.look()

    async def _reload(self) -> bool:
        old_modules = self._modules()
        for name, module in old_modules.items():
            del sys.modules[name]
            _forget_bytecode(module)
        invalidate_caches()
        try:
            agent = load_agent(self._import_name)
            await agent.start()
        except Exception as error:  # a developer's typo must not end the server
            sys.modules.update(old_modules)
            event(_log, logging.ERROR, "agent_reload_failed", reason=error, still=self._current.name)
            return False
        self._retired.append(self._current)
        self._current = agent
        while len(self._retired) > _MAX_RETIRED:
            await self._retired.pop(0).close()
        event(_log, logging.INFO, "agent_reloaded", agent=agent.name)
        return True

    def _modules(self) -> dict[str, ModuleType]:
        """Return the agent's module and those beside and below it, without installed ones and voicertc."""
        top = self._import_name.partition(":")[0].partition(".")[0]
        root = Path(sys.modules[top].__file__ or "").parent
        return {
            name: module
            for name, module in list(sys.modules.items())
            if _is_below(module, root) and name.partition(".")[0] not in ("voicertc", "__main__")
        }

    def _modification_times(self) -> dict[str, int]:
        """Return the files that matter with their times; one that is being replaced counts as changed."""
        times = {}
        for module in self._modules().values():
            path = Path(module.__file__ or "")
            try:
                times[str(path)] = path.stat().st_mtime_ns
            except OSError:
                times[str(path)] = 0
        return times


def _forget_bytecode(module: ModuleType) -> None:
    # It is told stale by size and whole seconds only: two quick edits could be mistaken for one.
    if module.__file__:
        Path(cache_from_source(module.__file__)).unlink(missing_ok=True)


def _is_below(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or "site-packages" in file:
        return False
    return Path(file).is_relative_to(root)

"""Providers of installed packages: made by their entry points, and kept from harming others.

What third parties raise while they are loaded, made, started or closed becomes ``ProviderUnavailable`` with
the engine's and the package's name, or a line in the log: one broken package never ends the others' work, and
one that hangs never holds it up.
"""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import EntryPoint
from typing import Any

from .. import logs
from ..errors import ProviderError, ProviderUnavailable
from ..settings import Stage
from ..settings.engines import installed
from .context import ProviderContext

_log = logging.getLogger(__name__)

_START_TIMEOUT = 30.0
"""Seconds for a package to start: a large model on a slow disk takes half of it."""
_START_IS_SLOW = 5.0
"""Seconds until an operator who wonders why the server does not start is told."""
_CLOSE_TIMEOUT = 5.0
"""Seconds for a package to free what it holds."""

_WORK: dict[Stage, str] = {"stt": "attend", "llm": "stream", "tts": "synthesize"}
"""The method that makes a provider what it is."""


def make_installed(context: ProviderContext) -> Any:
    """Return the provider that the entry point ``context.engine`` makes.

    Raises ``ProviderUnavailable`` if there is no such entry point, or it makes none.
    """
    point = installed(context.stage).get(context.engine)
    if point is None:
        raise ProviderUnavailable(
            "no installed package has an engine of this name",
            provider=context.engine,
            fix=f"Install the package that has it, or take {context.engine} out of {context.stage}.engine.",
        )
    try:
        provider = point.load()(context)
    except ProviderUnavailable:
        raise
    except Exception as error:
        raise _broken(point, context.engine, "cannot be made", error) from error
    wanted = ("name", "start", "close", _WORK[context.stage])
    if missing := [name for name in wanted if not hasattr(provider, name)]:
        what = f"is no provider: it has no {', '.join(missing)}"
        raise _broken(point, context.engine, what, None)
    return InstalledProvider(provider, point, context.engine)


def package_of(provider: object) -> str | None:
    """Return the package and version that ``provider`` comes from, or ``None`` if it came along."""
    return _package(provider.point) if isinstance(provider, InstalledProvider) else None


class InstalledProvider:
    """A third party's provider, but for what ``start`` and ``close`` may raise and how long they may take."""

    def __init__(self, provider: Any, point: EntryPoint, engine: str) -> None:
        self._provider = provider
        self._engine = engine
        self.point = point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def start(self) -> None:
        """Start it; raises ``ProviderUnavailable`` whatever goes wrong, also if it takes too long."""
        line = asyncio.get_running_loop().call_later(_START_IS_SLOW, self._tell_slow)
        try:
            async with asyncio.timeout(_START_TIMEOUT) as scope:
                await self._provider.start()
        except ProviderUnavailable:
            raise
        except Exception as error:
            if scope.expired():
                what = f"has not started within {_START_TIMEOUT:g} s"
                raise _broken(self.point, self._engine, what, None) from None
            raise _broken(self.point, self._engine, "cannot be started", error) from error
        finally:
            line.cancel()

    async def close(self) -> None:
        """Close it; what goes wrong is logged."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._provider.close()
        except Exception:
            logs.event(_log, logging.ERROR, "provider_close_failed", provider=self._engine, exc_info=True)

    def _tell_slow(self) -> None:
        logs.event(
            _log,
            logging.WARNING,
            "provider_waited_for",
            provider=self._engine,
            package=_package(self.point),
            seconds=_START_IS_SLOW,
            at_most=_START_TIMEOUT,
        )


def _broken(point: EntryPoint, engine: str, what: str, error: Exception | None) -> ProviderUnavailable:
    """Say it with the name of what was raised; its words go to the log only, where keys are masked."""
    if error is not None:
        logs.event(_log, logging.ERROR, "entry_point_broken", provider=engine, exc_info=error)
    told = error.message if isinstance(error, ProviderError) else type(error).__name__ if error else ""
    return ProviderUnavailable(
        f"{point.value} of {_package(point)} {what}{f' ({told})' if told else ''}",
        provider=engine,
        fix=f"Upgrade or remove {_package(point)}{'; the log has the details' if error else ''}.",
    )


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.module

"""One stage: its engines made in the settings' order, and chained, so that each stands in for the one before.

An engine that cannot be made is left out, with a line in the log; the chain does the same with one that
cannot be started. A stage of one engine on this machine needs no chain: it has its own queue, and nobody
behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from .. import logs
from ..agents.chat import ChatAgent
from ..agents.fallback import FallbackAgent
from ..errors import ProviderUnavailable
from ..providers.openai_address import OPENAI_URL, shown_address
from ..providers.plan_b.address import Address
from ..providers.plan_b.gate import GateOptions
from ..providers.plan_b.member import Member
from ..providers.plan_b.stt import FallbackSpeechToText
from ..providers.plan_b.tts import FallbackTextToSpeech
from ..settings import Settings, Stage
from .context import ProviderContext
from .installed import make_installed, package_of
from .makers import LOCAL, MAKERS
from .model_ends import warn_of_end

_log = logging.getLogger(__name__)

Connect = Callable[[Stage], Any]
"""Gives the pool of connections to a stage's server."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """An engine that was made, or why it could not be: ``detail`` is what an operator wants to know of it."""

    engine: str
    detail: str
    member: Member[Any] | None

    def text(self, in_use: Sequence[Member[Any]]) -> str:
        """Return it as start-up prints it; ``in_use``: who has been started."""
        is_in_use = self.member is not None and self.member in in_use
        missing = "" if is_in_use else " (not available; the log says why)"
        return f"{self.engine} {self.detail}{missing}" if self.detail else f"{self.engine}{missing}"


class MadeStage:
    """A stage's engines, made; ``provider`` is what hears, thinks or speaks.

    Raises ``ProviderUnavailable``, the first engine's, if none can be made.
    """

    def __init__(self, stage: Stage, settings: Settings, connect: Connect, today: date) -> None:
        errors: list[ProviderUnavailable] = []
        self.made: list[Made] = []
        for context in contexts(stage, settings, connect):
            try:
                self.made.append(_made(context, today))
            except ProviderUnavailable as error:
                errors.append(error)
                _tell_left_out(context, error)
                self.made.append(Made(context.engine, "", None))
        members = [each.member for each in self.made if each.member is not None]
        if not members:
            raise errors[0]
        self._members = members
        is_alone = len(self.made) == 1 and self.made[0].engine in LOCAL
        self.provider: Any = members[0].provider if is_alone else _chain(stage, settings, members)

    @property
    def text(self) -> str:
        """What start-up prints of it, known after the provider's start."""
        chain = getattr(self.provider, "chain", None)
        in_use = self._members if chain is None else chain.members
        return ", then ".join(each.text(in_use) for each in self.made)


def contexts(stage: Stage, settings: Settings, connect: Connect) -> list[ProviderContext]:
    """Return a context for each of the stage's engines; a model that is set is for OpenAI's first."""
    engines = settings.engines(stage)
    wanted: str = getattr(settings, stage).model
    first = next((name for name in engines if name.startswith("openai-")), None)
    models = {first: wanted} if wanted != "auto" else {}
    return [ProviderContext(stage, name, settings, models.get(name), connect) for name in engines]


def _made(context: ProviderContext, today: date) -> Made:
    make = MAKERS[context.stage].get(context.engine, make_installed)
    provider = make(context)
    address = getattr(provider, "address", None)
    member = Member(
        ChatAgent(provider) if hasattr(provider, "stream") else provider,
        gate=GateOptions(most=context.settings.limits.max_requests),
        # Those of a language model, which its agent does not have.
        probe=getattr(provider, "probe", None),
        rate_limits=getattr(provider, "rate_limits", None),
        address=address if isinstance(address, Address) else None,
    )
    return Made(context.engine, _detail(context, provider, today), member)


def _tell_left_out(context: ProviderContext, error: ProviderUnavailable) -> None:
    logs.event(
        _log,
        logging.ERROR,
        "provider_left_out",
        stage=context.stage,
        provider=context.engine,
        reason=error.message,
        fix=error.fix,
    )


def _chain(stage: Stage, settings: Settings, members: list[Member[Any]]) -> Any:
    first_timeout = getattr(settings, stage).first_timeout
    match stage:
        case "stt":
            max_turn = settings.limits.max_turn
            return FallbackSpeechToText(members, first_timeout=first_timeout, max_turn=max_turn)
        case "llm":
            return FallbackAgent(members, first_timeout=first_timeout)
        case "tts":
            return FallbackTextToSpeech(members, first_timeout=first_timeout)


def _detail(context: ProviderContext, provider: object, today: date) -> str:
    """Return what an operator wants to know of an engine beside its name; warn of a model that ends."""
    if context.engine in LOCAL:
        return "(on this machine)"
    if package := package_of(provider):
        return f"({package})"
    model: str = getattr(provider, "model", "")
    _, base_url = context.settings.openai_access(context.stage)
    if not context.is_openai:
        return f"{model} at {shown_address(base_url or OPENAI_URL)}"
    fix = f"Set another {context.stage}.model, or take {context.engine} out of {context.stage}.engine."
    ends = warn_of_end(model, context.stage, context.engine, fix=fix)
    if ends is None:
        return model
    return f"{model} (OpenAI {'ends' if ends > today else 'ended'} it on {ends.isoformat()})"

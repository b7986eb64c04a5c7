"""What a session uses, in the units that services are paid by: sound heard, text voiced, tokens.

Two accounts side by side: what we count ourselves, whoever did it, and what each service says it has counted.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from .. import logs
from ..audio.pcm import PLAYOUT_RATE_HZ
from ..core import facts
from ..core.facts import Fact, ServiceUsage
from ..core.replies import Usage
from ..providers.base import Used

_log = logging.getLogger(__name__)


class UsageCount:
    """Counts over one session; whoever voices or recognizes tells it, and the facts tell the rest."""

    def __init__(self) -> None:
        self._heard_seconds = 0.0
        self._n_samples = 0
        self._n_characters = 0
        self._tokens = Usage()
        self._services: dict[tuple[str, str, str], ServiceUsage] = {}

    def voiced(self, characters: int, n_samples: int) -> None:
        """A voice was given text, or has made sound (24 kHz) of it, heard or not."""
        self._n_characters += characters
        self._n_samples += n_samples

    def add(self, stage: str, used: Used) -> None:
        """A service of the stage ``stt``, ``llm`` or ``tts`` has told what it counted."""
        key = (stage, used.provider, used.model)
        so_far = self._services.get(key, ServiceUsage(*key))
        self._services[key] = replace(
            so_far,
            seconds=round(so_far.seconds + used.seconds, 3),
            characters=so_far.characters + used.characters,
            tokens=so_far.tokens + (used.tokens or Usage()),
        )

    def thought(self, usage: Usage) -> None:
        """A language model has told what it counted for a reply, or for one that was prepared in vain."""
        self._tokens += replace(usage, provider="")
        if usage.provider:
            self.add("llm", Used(usage.provider, tokens=usage))

    def note(self, fact: Fact) -> Fact | None:
        """Take one fact; return the account where a reply has changed it."""
        match fact:
            case facts.FinalHeard():
                self._heard_seconds += fact.seconds
            case facts.ReplyEnded():
                if counted := fact.usage:
                    logs.event(_log, logging.INFO, "reply_used", reply=fact.reply_id, **_tokens(counted))
                return self._account()
        return None

    def log(self) -> None:
        """Write down what the session has used, and what each service has counted of it."""
        account = self._account()
        logs.event(
            _log,
            logging.INFO,
            "session_used",
            heard_s=account.heard_seconds,
            spoken_s=account.spoken_seconds,
            characters=account.spoken_characters,
            **_tokens(account.tokens),
        )
        for service in account.services:
            logs.event(
                _log,
                logging.INFO,
                "service_used",
                stage=service.stage,
                provider=service.provider,
                model=service.model,
                seconds=service.seconds,
                characters=service.characters,
                **_tokens(service.tokens),
            )

    def _account(self) -> facts.UsageAdded:
        return facts.UsageAdded(
            round(self._heard_seconds, 3),
            round(self._n_samples / PLAYOUT_RATE_HZ, 3),
            self._n_characters,
            self._tokens,
            tuple(self._services.values()),
        )


def _tokens(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "output_tokens": usage.output_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
    }

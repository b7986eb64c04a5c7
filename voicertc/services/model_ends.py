"""Warns an operator of models that OpenAI is about to switch off."""

from __future__ import annotations

import logging
from datetime import date

from .. import logs
from ..providers.openai_models import SHUTDOWNS

_log = logging.getLogger(__name__)


def warn_of_end(model: str, stage: str, provider: str, *, fix: str) -> date | None:
    """Return the day on which OpenAI ends ``model``, with a line in the log; ``None``: it stays.

    It is for OpenAI's own: another server's model of the same name goes on.
    """
    ends = SHUTDOWNS.get(model)
    if ends is not None:
        logs.event(
            _log,
            logging.WARNING,
            "model_shutdown",
            stage=stage,
            provider=provider,
            model=model,
            ends=ends.isoformat(),
            fix=fix,
        )
    return ends

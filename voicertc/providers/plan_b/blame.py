"""Whose fault a failure was: only a provider's own says anything about how it fares."""

from __future__ import annotations

from enum import Enum

from ...errors import ProviderBusy, ProviderError, ProviderUnavailable


class Blame(Enum):
    """Whose fault a failure was."""

    REQUEST = "request"
    """Of what was asked, or of how much we ask at once: it says nothing about the provider."""
    PROVIDER = "provider"
    """The provider's: it may pass by itself."""
    OPERATOR = "operator"
    """A bad key, no credit, an unknown model: it does not pass until somebody has acted."""


class GateFull(ProviderBusy):
    """Too many of our own requests are waiting for a provider."""


def blame(error: BaseException) -> Blame:
    """Say whose fault ``error`` was. What is no ``ProviderError`` is a bug in the provider's adapter."""
    match error:
        case ProviderUnavailable():
            return Blame.OPERATOR
        case GateFull():
            return Blame.REQUEST
        case ProviderError():
            return Blame.PROVIDER if error.retryable else Blame.REQUEST
        case _:
            return Blame.PROVIDER

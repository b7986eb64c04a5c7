"""Whose fault a failure was, for only a provider's own says how it fares, and whether a probe disproves it.

A probe asks for what costs nothing, so it cannot disprove everything: models are described also to who has no
credit left, and a server that describes none shows only that it answers.
"""

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


class Refused(ProviderUnavailable):
    """A service that is there has refused: a bad key, no permission, an unknown model or path."""


class NoCredit(Refused):
    """A service is not paid for."""


class NotDescribed(ProviderError):
    """A probe was answered, and told neither that the provider works nor that it does not."""


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


def is_disproved(failure: type[BaseException] | None, told: NotDescribed | None) -> bool:
    """Whether a probe shows that ``failure`` is over. ``told``: what it brought instead of a success."""
    if failure is None:
        return True
    return not issubclass(failure, NoCredit if told is None else Refused)

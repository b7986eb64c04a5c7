"""Everything voicertc raises on purpose, in one tree that says whose fault it was.

    VoicertcError
    ├── ClientError            the client's: becomes an HTTP status or an ``error`` event
    ├── ProviderError          a speech or language service's
    │   ├── ProviderUnavailable    missing key, package or binary: known before the first call
    │   ├── ProviderBusy           full now; trying later helps
    │   ├── ProviderTimeout        a deadline passed
    │   └── ProviderCrashed        it died or broke its protocol in the middle
    │       └── TurnUnheard            it was to answer sound that had not reached it
    └── SettingsError          the operator's: reported at start, all mistakes together

Our own mistakes are assertions, not part of this tree.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ClientError",
    "ProviderBusy",
    "ProviderCrashed",
    "ProviderError",
    "ProviderTimeout",
    "ProviderUnavailable",
    "SettingsError",
    "TurnUnheard",
    "VoicertcError",
]


class VoicertcError(Exception):
    """The root of the tree: catching it catches nothing that is a bug of ours."""


class ClientError(VoicertcError):
    """The client asked for something it cannot have.

    ``status`` is the HTTP status; ``code`` is stable and for machines; ``message`` is a sentence a
    person can act on; ``param`` names the offending field; ``retry_after`` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int = 400,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.param = param
        self.retry_after = retry_after


class ProviderError(VoicertcError):
    """A speech or language service failed.

    ``provider`` is its name in the settings; ``retryable`` tells whether the same request may
    succeed when sent again. The message never contains a key.
    """

    def __init__(self, message: str, *, provider: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.retryable = retryable


class ProviderUnavailable(ProviderError):
    """A provider cannot start: ``fix`` says in one line what the operator has to do."""

    def __init__(self, message: str, *, provider: str, fix: str) -> None:
        super().__init__(message, provider=provider, retryable=False)
        self.fix = fix


class ProviderBusy(ProviderError):
    """Every worker or connection of a provider is taken.

    ``retry_after``: seconds after which it asks to be asked again, or ``None`` if it does not say.
    """

    def __init__(self, message: str, *, provider: str, retry_after: float | None = None) -> None:
        super().__init__(message, provider=provider, retryable=True)
        self.retry_after = retry_after


class ProviderTimeout(ProviderError):
    """A provider did not answer by its deadline."""

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message, provider=provider, retryable=True)


class ProviderCrashed(ProviderError):
    """A provider's process or connection broke in the middle of a request."""

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message, provider=provider, retryable=True)


class TurnUnheard(ProviderCrashed):
    """A turn's sound has not reached who was to answer it: what broke before that has been told of."""


class SettingsError(VoicertcError):
    """The settings are wrong; ``mistakes`` holds one plain sentence for each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)

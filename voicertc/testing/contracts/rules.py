"""What all contracts share: the deadline of every wait, and what an error or a count may say."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import ProviderError
from ...providers.base import Used

LIMIT = 20.0
"""Seconds until a wait counts as a hang; far above what any provider needs on a loaded machine."""


def assert_tells_no_key(error: BaseException, log: str, planted_key: str | None) -> None:
    """Fail if ``planted_key`` shows in ``error``, in what caused it, or in ``log``."""
    if planted_key is None:
        return
    assert planted_key not in log
    for cause in _chain(error):
        assert planted_key not in f"{cause!s} {cause!r} {cause.args} {getattr(cause, '__dict__', {})}"


def assert_blames(error: ProviderError, provider: str) -> None:
    """Fail unless ``error`` says that ``provider`` failed, and that another try may help."""
    assert (error.provider, error.retryable) == (provider, True)
    assert error.message


def assert_plausible(used: Used, *, provider: str, seconds: float, characters: int = 0) -> None:
    """Fail if a service has counted what cannot be, for ``seconds`` of audio and a text of ``characters``.

    Services round up, and some add the pause behind a sentence or count a sign as several characters.
    """
    assert used.provider == provider
    assert 0.0 <= used.seconds <= 1.5 * seconds + 1.0
    assert 0 <= used.characters <= 4 * characters
    if used.tokens is not None:
        tokens = used.tokens
        assert 0 <= tokens.cached_tokens <= tokens.input_tokens
        assert 0 <= tokens.input_audio_tokens <= tokens.input_tokens
        assert 0 <= tokens.output_audio_tokens <= tokens.output_tokens
        assert 0 <= tokens.cached_audio_tokens <= tokens.cached_tokens


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield ``error`` and all behind it, as a traceback shows them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__

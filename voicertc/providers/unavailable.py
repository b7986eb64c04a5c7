"""What stands in for a provider that could not start, so that the rest of the server runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import cast

from ..errors import ProviderUnavailable
from .base import EachTurn, HeardPiece, RecognitionRequest, Recognizer

_NOTHING: tuple[object, ...] = ()


class Unavailable:
    """A recognizer, a voice and an agent that raise, each time, what kept the real one from starting."""

    grammar = None
    greeting = None

    def __init__(self, error: ProviderUnavailable) -> None:
        self.error = error

    @property
    def name(self) -> str:
        """The name of the one it stands in for."""
        return self.error.provider

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to free."""

    def attend(self, _: RecognitionRequest) -> Recognizer:
        """Every turn raises ``ProviderUnavailable``."""
        return EachTurn(lambda *_: cast(AsyncGenerator[HeardPiece, None], self._nothing()))

    def synthesize(self, *_: object) -> AsyncGenerator[object, None]:
        """Raise ``ProviderUnavailable`` when listened to."""
        return self._nothing()

    def reply(self, *_: object) -> AsyncGenerator[object, None]:
        """Raise ``ProviderUnavailable`` when listened to."""
        return self._nothing()

    async def _nothing(self) -> AsyncGenerator[object, None]:
        for piece in _NOTHING:  # what makes it a generator
            yield piece
        raise self.error

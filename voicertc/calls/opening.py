"""A new call before there is one: its ids, and what its session is made of."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from ..audio.pcm import Samples
from ..session.session import Session
from ..session.setup import Services, SessionSetup


@dataclass(frozen=True, slots=True)
class Opening:
    """Nobody can guess its ids."""

    services: Services
    setup: SessionSetup
    _part: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def call_id(self) -> str:
        """The call's id, ``rtc_…``."""
        return f"rtc_{self._part}"

    @property
    def session_id(self) -> str:
        """The session's id, ``sess_…``."""
        return f"sess_{self._part}"

    def session(
        self, *, hearing_delay: float = 0.0, sink: Callable[[str, Samples], None] | None = None
    ) -> Session:
        """Make the session; see there."""
        return Session(
            self.services,
            self.setup,
            session_id=self.session_id,
            id_prefix=f"{self._part}_",
            hearing_delay=hearing_delay,
            sink=sink,
        )

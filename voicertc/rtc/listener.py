"""What a peer tells whoever owns the call."""

from __future__ import annotations

from typing import Protocol


class PeerListener(Protocol):
    """Whoever owns the call. Nothing is called any more after ``closed`` or once ``close`` was called."""

    def connected(self) -> None:
        """Media can flow both ways."""

    def away(self) -> None:
        """Nothing has arrived for ``pause_after`` seconds."""

    def back(self) -> None:
        """Something has arrived again."""

    def closed(self, reason: str) -> None:
        """It is over: ``never_connected``, ``lost``, ``closed`` (goodbye), ``slow_client`` or ``failed``."""

    def channel_opened(self) -> None:
        """The data channel is open: the first message may be sent, from here on."""

    def message_received(self, message: str | bytes) -> None:
        """A message came on the data channel."""

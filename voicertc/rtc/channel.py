"""The data channel of a call: messages out, bounded by what the client takes and how fast it takes it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from aiortc import InvalidStateError, RTCDataChannel

from .. import logs

_log = logging.getLogger(__name__)

CHANNEL_LABEL = "oai-events"
"""The data channel that clients of OpenAI's Realtime API open."""


class Channel:
    """The channel with a certain label; others are left alone. Owned by the peer.

    ``max_buffered_bytes``: unsent bytes at which a client is too slow.
    """

    def __init__(self, label: str, *, max_buffered_bytes: int) -> None:
        self.label = label
        self._max_buffered_bytes = max_buffered_bytes
        self._channel: RTCDataChannel | None = None

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._channel is not None and self._channel.readyState == "open"

    def take(self, channel: RTCDataChannel, on_message: Callable[[str | bytes], None]) -> bool:
        """Use a channel that the client has opened; return whether it is the one that is waited for."""
        if channel.label != self.label or self.is_open:
            return False
        self._channel = channel
        channel.on("message", on_message)
        return True

    def send(self, text: str, *, limit: int) -> bool:
        """Send a message, or drop it if it cannot be sent; return whether the client keeps up.

        ``limit``: bytes of the longest message that both sides take.
        """
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return True
        n_bytes = len(text.encode())
        if n_bytes > limit:
            logs.event(_log, logging.WARNING, "message_too_long", bytes=n_bytes, limit=limit)
            return True
        if channel.bufferedAmount + n_bytes > self._max_buffered_bytes:
            return False
        with contextlib.suppress(InvalidStateError):  # it closes this very moment
            channel.send(text)
        return True

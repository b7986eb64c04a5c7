"""What the HTTP surface needs of ``voicertc.Endpoint``, so that it can be tested without media."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..calls.call import Door
from ..calls.sideband import Sideband
from ..calls.socket_call import SocketCall
from ..core.options import SessionOptions
from ..rtc.ice import TrickledCandidate


class Answer(Protocol):
    """What an endpoint gives for an offer."""

    @property
    def call_id(self) -> str:
        """The call's id, ``rtc_…``."""

    @property
    def sdp(self) -> str:
        """The answer."""


class CallEndpoint(Protocol):
    """The calls of one process."""

    @property
    def session_options(self) -> SessionOptions:
        """What a session begins with, before its client chooses."""

    async def start(self) -> None:
        """Make ready for calls."""

    async def close(self) -> None:
        """End all calls; may be called twice."""

    async def answer_call(
        self,
        offer_sdp: str,
        *,
        is_loopback_client: bool = False,
        session: SessionOptions | None = None,
        owner: str = "",
        door: Door = Door.REALTIME,
    ) -> Answer:
        """Begin a call. Raises ``ClientError``."""

    async def answer_again(
        self, call_id: str, offer_sdp: str, *, restart: bool = False, is_loopback_client: bool = False
    ) -> Answer:
        """Go on with a call, with ``restart`` on another connection. Raises ``ClientError``."""

    async def open_socket(self, *, session: SessionOptions | None = None, owner: str = "") -> SocketCall:
        """Begin a call over a WebSocket that is about to be there. Raises ``ClientError``."""

    def attach(self, call_id: str) -> Sideband:
        """Return a second connection to a call, over a WebSocket that is about to be there.

        Raises ``ClientError``.
        """

    def owner_of(self, call_id: str) -> str | None:
        """Return whose call it is; ``None``: there is none, nor lately was."""

    async def add_candidates(
        self, call_id: str, candidates: Iterable[TrickledCandidate], *, ufrag: str | None = None
    ) -> bool:
        """Take addresses of a call's client; return whether the call is up. Raises ``ClientError`` 422 if
        ``ufrag`` is not the call's own: ICE is not restarted."""

    async def hangup(self, call_id: str) -> bool:
        """End a call; return whether there is, or lately was, one with this id."""

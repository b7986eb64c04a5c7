"""An endpoint without media: what it is asked is remembered, what it answers can be chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from voicertc.calls.call import Door
from voicertc.core.options import SessionOptions
from voicertc.errors import ClientError
from voicertc.rtc.ice import TrickledCandidate

OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
ANSWER = OFFER.replace("o=- 1 1", "o=- 2 2")
UFRAG = "EsAw"
"""The ICE session that every call has."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    call_id: str
    sdp: str


@dataclass(frozen=True, slots=True)
class Asked:
    """An offer, and all that came with it."""

    offer: str
    session: SessionOptions | None = field(default_factory=SessionOptions)
    owner: str = ""
    is_loopback: bool = True
    door: Door = Door.REALTIME


@dataclass(slots=True)
class SilentEndpoint:
    """``failure`` is raised instead of an answer; ``asked`` lists what happened, in order.

    Calls are ``rtc_1``, ``rtc_2`` and so on; those in ``ended`` are not up any more.
    """

    failure: Exception | None = None
    session_options: SessionOptions = field(default_factory=SessionOptions)
    asked: list[object] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    async def start(self) -> None:
        self.asked.append(("start",))

    async def close(self) -> None:
        self.asked.append(("close",))

    async def answer_call(
        self,
        offer_sdp: str,
        *,
        is_loopback_client: bool = False,
        session: SessionOptions | None = None,
        owner: str = "",
        door: Door = Door.REALTIME,
    ) -> GivenAnswer:
        self.asked.append(Asked(offer_sdp, session, owner, is_loopback_client, door))
        if self.failure is not None:
            raise self.failure
        call_id = f"rtc_{len(self.owners) + 1}"
        self.owners[call_id] = owner
        return GivenAnswer(call_id, ANSWER)

    async def answer_again(
        self, call_id: str, offer_sdp: str, *, restart: bool = False, is_loopback_client: bool = False
    ) -> GivenAnswer:
        self.asked.append((call_id, offer_sdp, restart))
        if call_id in self.ended:
            raise ClientError("The call is over.", code="call_not_found", status=404)
        if self.failure is not None:
            raise self.failure
        return GivenAnswer(call_id, ANSWER)

    def owner_of(self, call_id: str) -> str | None:
        return self.owners.get(call_id)

    async def add_candidates(
        self, call_id: str, candidates: Iterable[TrickledCandidate], *, ufrag: str | None = None
    ) -> bool:
        if ufrag not in (None, UFRAG):
            raise ClientError("ICE cannot be restarted.", code="ice_restart_unsupported", status=422)
        self.asked.append((call_id, *candidates))
        return call_id in self.owners and call_id not in self.ended

    async def hangup(self, call_id: str) -> bool:
        self.asked.append(("hangup", call_id))
        self.ended.add(call_id)
        return call_id in self.owners

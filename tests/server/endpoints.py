"""An endpoint without media: what it is asked is remembered, what it answers can be chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
ANSWER = OFFER.replace("o=- 1 1", "o=- 2 2")


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    call_id: str
    sdp: str


@dataclass(slots=True)
class SilentEndpoint:
    """``failure`` is raised instead of an answer; ``asked`` lists what happened, in order."""

    failure: Exception | None = None
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def start(self) -> None:
        self.asked.append(("start",))

    async def close(self) -> None:
        self.asked.append(("close",))

    async def answer_call(self, offer_sdp: str, *, is_loopback_client: bool = False) -> GivenAnswer:
        self.asked.append(("answer", offer_sdp, is_loopback_client))
        if self.failure is not None:
            raise self.failure
        return GivenAnswer("rtc_1", ANSWER)

    async def hangup(self, call_id: str) -> bool:
        self.asked.append(("hangup", call_id))
        return call_id == "rtc_1"

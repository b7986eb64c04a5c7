"""What became of a caller's turns, found out after the call from the packets that came in it.

All times are of RTP arrival at the client's socket: nothing stands between, no jitter buffer and no player.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voicertc.testing import ear as hearing
from voicertc.testing.ear import Ear, Sound

from .callers import Caller, Said

STAGES = ("silence_ms", "recognition_ms", "first_text_ms", "first_clause_ms", "first_audio_ms", "playout_ms")
"""The stages of ``voicertc.metrics`` up to the first packet. ``heard_ms`` is no measurement but an estimate
of what lies behind it, the network and the client's player, so it is left out."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; lengths of time are seconds.

    ``began``: when its speech did, in the loop's time. ``wait``: from the packet with the end of speech (by
    the recording's label) to the first audible packet of the reply; ``None`` if there is none, or ``cut_in``:
    the server spoke before the caller was through. ``holes``: sound that was missing or late by more than
    60 ms. ``stages``: the server's own waterfall. ``decided``: from the end of speech to when the client was
    told that the turn is over.
    """

    began: float
    speech: float
    wait: float | None = None
    cut_in: bool = False
    reply: float = 0.0
    holes: tuple[float, ...] = ()
    failure: str | None = None
    stages: dict[str, float] | None = None
    decided: float | None = None


def judge(caller: Caller) -> list[Turn]:
    """Return what became of each of a caller's turns."""
    heard = Ear()
    for packet in caller.packets:
        heard.take(packet)
    turns = [said for said in caller.turns if said.spoken.is_over]
    ends = [following.spoken.onset for following in turns[1:]] + [float("inf")]
    return [_judged(caller, said, until, heard.sounds) for said, until in zip(turns, ends, strict=True)]


def _judged(caller: Caller, said: Said, until: float, sounds: list[Sound]) -> Turn:
    spoken = said.spoken
    speech = spoken.end - spoken.onset
    if said.failure is not None:
        return Turn(spoken.sent[0], speech, failure=said.failure)
    # What sounds from the middle of the speech on is no late end of the reply before.
    mine = [sound for sound in sounds if (spoken.onset + spoken.end) / 2 < sound.at < until]
    audible = hearing.audible(mine)
    if not audible:
        return Turn(spoken.sent[0], speech, failure="no audible reply")
    cut_in = audible[0].at <= spoken.end
    stages, decided = _told(caller, spoken.onset, spoken.end, until)
    return Turn(
        spoken.sent[0],
        speech,
        None if cut_in else audible[0].at - spoken.end,
        cut_in,
        audible[-1].at - audible[0].at + 0.02,
        tuple(hearing.gaps(mine, audible)),
        stages=stages,
        decided=decided,
    )


def _told(
    caller: Caller, onset: float, end: float, until: float
) -> tuple[dict[str, float] | None, float | None]:
    """Return what the server told of a turn: its waterfall, and when it took the turn for over."""
    stages: dict[str, Any] | None = None
    decided: float | None = None
    for event in caller.events:
        if not onset < event.at < until:
            continue
        if event.type == "input_audio_buffer.speech_stopped":
            decided = event.at - end
        elif event.type == "voicertc.metrics" and not event.event["is_bridged"]:
            stages = {name: float(event.event["stages"][name]) / 1000 for name in STAGES}
    return stages, decided

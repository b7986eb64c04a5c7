"""One simulated call: what its caller does, and what has to be true of it."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from voicertc.core import facts
from voicertc.core.facts import State
from voicertc.core.items import Role
from voicertc.core.options import ConversationOptions, EndpointingOptions, Phrases
from voicertc.session.session import Session
from voicertc.session.setup import Services, SessionSetup
from voicertc.testing.line import Line

PROMISED = 3.0
"""Seconds from the end of a turn in which its caller hears something."""
_DETECTION = 0.1
"""Seconds of speech until it is certain that it is some."""
_AT_REST = 60.0
"""Seconds after the last turn within which every call is back at listening, whatever was waited for."""
_QUIET = 3.0
"""Seconds of listening after which nothing of the last turn is due any more."""
_SETUP = SessionSetup(ConversationOptions(EndpointingOptions(eager_silence=0.15)))
"""As the server has it with services that stream."""
_APOLOGIES = {Phrases().apology, Phrases().not_heard, Phrases().busy}
_FILLERS = {Phrases().waiting, Phrases().still_waiting}


@dataclass(frozen=True, slots=True)
class Plan:
    """``turns``: begin and length of each of the caller's, in seconds; some fall into replies, as barge-ins.

    ``hangs_up_at``: without waiting for anything; ``None``: when all is quiet.
    """

    turns: tuple[tuple[float, float], ...]
    hangs_up_at: float | None


@dataclass(slots=True)
class Outcome:
    """What came of calls; ``broken``: what should never happen, in words."""

    n_calls: int = 0
    n_turns: int = 0
    n_apologies: int = 0
    n_fillers: int = 0
    n_interrupted: int = 0
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    """From the end of each turn to the next sound, in seconds."""
    broken: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Count another call in."""
        for name in ("n_calls", "n_turns", "n_apologies", "n_fillers", "n_interrupted", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.waits += other.waits
        self.broken += other.broken


def planned(chance: random.Random) -> Plan:
    """Return what a caller does."""
    begins, turns = 3.0, []
    for _ in range(chance.randint(2, 8)):
        is_cough = chance.random() < 0.1
        lasts = 0.2 if is_cough else chance.uniform(0.6, 2.5)
        turns.append((round(begins, 2), round(lasts, 2)))
        # Short ones fall into the reply, or come before it; the shortest are pauses within a turn.
        shortest = 0.2 if chance.random() < 0.5 else 0.8
        gap = chance.uniform(shortest, 4.0 * shortest) if chance.random() < 0.4 else chance.uniform(6.0, 14.0)
        begins += lasts + gap
    hangs_up = chance.random() < 0.25
    return Plan(tuple(turns), chance.uniform(2.0, begins) if hangs_up else None)


async def hold(services: Services, plan: Plan, session_id: str) -> Outcome:
    """Hold a call and judge it."""
    session = Session(services, _SETUP, session_id=session_id, id_prefix="")
    line = Line(session)
    for begins, lasts in plan.turns:
        line.says(begins, lasts=lasts)
    outcome = Outcome(n_calls=1)
    if plan.hangs_up_at is not None:
        await line.run(until=plan.hangs_up_at)
    else:
        await _come_to_rest(line, plan, outcome)
    outcome.seconds = line.now
    _judge(line, plan, outcome)
    await session.close()
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(f"{session_id}/")]
    if left:
        outcome.broken.append(f"{session_id}: tasks are left: {', '.join(left)}")
    return outcome


async def _come_to_rest(line: Line, plan: Plan, outcome: Outcome) -> None:
    """Go on until the session has listened for a while behind the last turn."""
    last = sum(plan.turns[-1])
    await line.run(until=last + 1.0)
    quiet_since = line.now
    while line.now - quiet_since < _QUIET:
        if line.session.ended.is_set():
            outcome.broken.append(f"{line.session.id}: the session ended by itself")
            return
        if line.now > last + _AT_REST:
            outcome.broken.append(
                f"{line.session.id}: {line.session.state} {_AT_REST:g} s after the last turn"
            )
            return
        await line.run(until=line.now + 0.5)
        if line.session.state is not State.LISTENING:
            quiet_since = line.now


def _judge(line: Line, plan: Plan, outcome: Outcome) -> None:
    audible = [when for when, _ in line.heard]
    starts = [begins for begins, _ in plan.turns]
    ear_delay = line.session.playout.ear_delay
    for when in line.when(facts.TurnStopped):
        outcome.n_turns += 1
        # What began a moment before the turn's end is noticed only behind it.
        index = bisect_right(starts, when - _DETECTION)
        following = starts[index] if index < len(starts) else 1e9
        first = bisect_left(audible, when)
        wait = audible[first] + ear_delay - when if first < len(audible) else float("inf")
        # Who goes on speaking, or has gone, is owed nothing yet, or nothing more.
        # What was said over a reply may be told of while more is being said.
        is_speaking = any(begins <= when < begins + lasts for begins, lasts in plan.turns)
        if is_speaking or min(following, line.now) < when + min(wait, PROMISED + ear_delay):
            continue
        outcome.waits.append(wait)
        if wait > PROMISED:
            outcome.broken.append(
                f"{line.session.id}: nothing heard for {wait:.2f} s from {when:.2f} s; {_story(line, when)}"
            )
    texts = [item.text or "" for item in line.session.items if item.role is Role.ASSISTANT]
    outcome.n_apologies += sum(text in _APOLOGIES for text in texts)
    outcome.n_fillers += sum(any(filler in text for filler in _FILLERS if filler) for text in texts)
    outcome.n_interrupted += len(line.when(facts.PlayoutCleared))


def _story(line: Line, since: float) -> str:
    """Return what happened from a moment on, for whoever looks for the mistake."""
    names = [
        f"{when:.2f} {type(fact).__name__}" for when, fact in line.facts if since - 0.1 <= when <= since + 5
    ]
    return ", ".join(names[:14])

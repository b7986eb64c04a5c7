"""An hour of calls over services that fail again and again: nobody is left in silence, nothing is left."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from voicertc.agents.base import AgentRequest, as_agent
from voicertc.session.setup import Services
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from day_bench.day import run
from day_bench.one_call import Outcome, Plan, hold
from day_bench.weather import MORNING, Fault, Weather


def test_in_an_hour_of_failures_every_turn_is_answered_and_nothing_is_left() -> None:
    day = run(1.0, seed=5)
    assert day.broken == []
    # It was an hour worth surviving.
    assert day.outcome.n_calls > 40
    assert day.most_at_once == 3
    assert len(day.outcome.waits) > 200
    assert day.outcome.n_apologies > 10
    assert day.outcome.n_interrupted > 20
    assert set(day.faults) == {fault.value for fault in Fault}
    early, late = day.n_objects
    assert late < early * 1.02


def test_the_same_seed_is_the_same_day() -> None:
    first, second = run(0.4, seed=3), run(0.4, seed=3)
    assert first.outcome == second.outcome
    assert first.faults == second.faults != {}


def test_silence_behind_a_turn_is_noticed() -> None:
    async def says_nothing(request: AgentRequest) -> AsyncGenerator[str, None]:
        for word in ():
            yield word

    async def main() -> Outcome:
        ears = FakeRecognizer(["tell me more"])
        services = Services(ears, as_agent(says_nothing), FakeVoice(), LoudnessDetector())
        return await hold(services, Plan(((4.0, 1.0),), None), "sess_silent")

    (told,) = virtual_time.run(main()).broken
    assert told.startswith("sess_silent: nothing heard for inf s from 5.5")


def test_weather_is_fair_at_first_then_changes_and_can_be_ended() -> None:
    weather = Weather("seed", fair=100.0, foul=100.0)
    assert all(weather.fault(float(second)) is None for second in range(int(MORNING)))
    faults = {weather.fault(MORNING + second) for second in range(2000)}
    assert None in faults
    assert weather.n_spells > 3
    weather.clear_up(MORNING + 2000)
    assert {weather.fault(MORNING + 2000 + second) for second in range(1000)} == {None}

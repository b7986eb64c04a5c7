from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.providers.plan_b.blame import Blame
from voicertc.providers.plan_b.breaker import BreakerOptions, CircuitBreaker, Permit, State


def fail(breaker: CircuitBreaker, *times: float, fault: Blame = Blame.PROVIDER) -> None:
    for now in times:
        breaker.failed(breaker.admit(now), fault, now)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0.0, 1.0), State.CLOSED),
        ((0.0, 1.0, 2.0), State.OPEN),
        ((0.0, 30.0, 60.0), State.OPEN),
        ((0.0, 30.0, 60.1), State.CLOSED),
        ((0.0, 50.0, 70.0, 80.0), State.OPEN),
    ],
)
def test_three_failures_in_a_row_within_a_minute_open_it(times: tuple[float, ...], expected: State) -> None:
    breaker = CircuitBreaker()
    fail(breaker, *times)
    assert breaker.state(times[-1]) is expected


def test_a_success_ends_the_row() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 0.0, 1.0)
    assert not breaker.succeeded(breaker.admit(2.0))
    fail(breaker, 3.0, 4.0)
    assert breaker.state(4.0) is State.CLOSED


@pytest.mark.parametrize("fault", ["refused content", "listener left"])
def test_what_is_not_the_providers_fault_does_not_count(fault: str) -> None:
    breaker = CircuitBreaker()
    for now in range(100):
        permit = breaker.admit(now)
        if fault == "listener left":
            breaker.abandoned(permit)
        else:
            assert not breaker.failed(permit, Blame.REQUEST, now)
    assert breaker.state(100) is State.CLOSED


def test_it_lets_one_request_through_when_its_time_is_over() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 0.0, 0.0, 0.0)
    assert (breaker.allows(29.9), breaker.due(1.0)) == (False, 30.0)
    assert (breaker.state(30.0), breaker.allows(30.0)) == (State.HALF_OPEN, True)
    trial = breaker.admit(30.0)
    assert trial.is_trial
    assert not breaker.allows(31.0)
    assert breaker.succeeded(trial)
    assert breaker.state(31.0) is State.CLOSED


def test_a_trial_that_nobody_waits_for_makes_room_for_another() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 0.0, 0.0, 0.0)
    breaker.abandoned(breaker.admit(30.0))
    assert breaker.allows(30.0)


def test_a_trial_that_never_ends_holds_up_the_next_one_for_a_minute() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 0.0, 0.0, 0.0)
    breaker.admit(30.0)
    assert (breaker.allows(89.9), breaker.due(89.9), breaker.allows(90.0)) == (False, 90.0, True)


def test_a_request_for_want_of_anybody_else_can_only_help() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 0.0, 0.0, 0.0)
    fail(breaker, *range(1, 20))
    assert (breaker.due(20.0), breaker.n_opened) == (30.0, 1)
    assert breaker.succeeded(breaker.admit(20.0))
    assert breaker.state(20.0) is State.CLOSED


def test_each_failed_trial_doubles_the_time_up_to_a_bound() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 0.0, 0.0, 0.0)
    now, waits = 0.0, []
    for _ in range(6):
        waits.append(breaker.due(now) - now)
        now = breaker.due(now)
        fail(breaker, now)
    assert waits == [30, 60, 120, 240, 300, 300]


def test_what_needs_the_operator_opens_it_at_once_for_the_longest_time_or_until_a_probe_is_answered() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 0.0, fault=Blame.OPERATOR)
    assert (breaker.state(299.0), breaker.due(1.0), breaker.state(300.0)) == (
        State.OPEN,
        300.0,
        State.HALF_OPEN,
    )
    assert breaker.probed()
    assert (breaker.state(1.0), breaker.probed()) == (State.CLOSED, False)


def test_after_a_probe_one_failure_is_enough_until_a_request_succeeds() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 0.0, 0.0, 0.0)
    breaker.probed()
    fail(breaker, 10.0)
    assert breaker.due(10.0) == 70.0
    breaker.probed()
    assert breaker.succeeded(breaker.admit(11.0))  # only now the outage is over
    assert not breaker.succeeded(breaker.admit(11.0))
    fail(breaker, 12.0, 13.0)
    assert breaker.state(13.0) is State.CLOSED


@pytest.mark.parametrize("ends_well", [True, False])
def test_an_old_request_that_ends_late_changes_nothing(ends_well: bool) -> None:
    breaker = CircuitBreaker()
    old = breaker.admit(0.0)
    fail(breaker, 1.0, 1.0, 1.0)
    if ends_well:
        assert not breaker.succeeded(old)
    else:
        assert not breaker.failed(old, Blame.OPERATOR, 2.0)
    assert breaker.due(2.0) == 31.0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "succeed", "fail", "operator", "refuse", "abandon", "probe"]),
        st.integers(0, 5),
        st.sampled_from([0.0, 0.5, 7.0, 31.0, 61.0]),
    ),
    max_size=80,
)


@given(STEPS)
def test_it_has_one_trial_at_most_and_never_stays_closed_to_all(steps: list[tuple[str, int, float]]) -> None:
    options = BreakerOptions()
    breaker = CircuitBreaker(options)
    now, running = 0.0, list[tuple[Permit, float]]()
    for step, which, pause in steps:
        now += pause
        if step == "admit":
            running.append((breaker.admit(now), now))
        elif step == "probe":
            breaker.probed()
        elif running:
            permit, _ = running.pop(which % len(running))
            match step:
                case "succeed":
                    breaker.succeeded(permit)
                case "fail":
                    breaker.failed(permit, Blame.PROVIDER, now)
                case "operator":
                    breaker.failed(permit, Blame.OPERATOR, now)
                case "refuse":
                    breaker.failed(permit, Blame.REQUEST, now)
                case "abandon":
                    breaker.abandoned(permit)
        if breaker.state(now) is not State.CLOSED:
            trials = [at for permit, at in running if permit.is_trial and permit.period == breaker.period]
            assert len([at for at in trials if now - at < options.trial]) <= 1
        due = breaker.due(now)
        assert due >= now
        assert breaker.allows(due)
        assert due - now <= options.longest
    breaker.probed()
    assert breaker.allows(now)

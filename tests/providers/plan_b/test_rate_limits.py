from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.providers.plan_b.rate_limits import Allowance, RateLimits, duration


def headers(**values: str) -> dict[str, str]:
    return {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("1h0m0.5s", 3600.5),
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("250µs", 0.00025),
        ("", None),
        ("soon", None),
        ("1s!", None),
        ("-3", None),
        ("nan", None),
        ("9" * 40, None),
    ],
)
def test_a_duration_is_read_as_services_write_it(text: str, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


def test_headers_of_any_case_are_read() -> None:
    limits = RateLimits()
    limits.read(
        {
            "X-RateLimit-Limit-Requests": "500",
            "X-RateLimit-Remaining-Requests": "499",
            "X-RateLimit-Reset-Requests": "120ms",
            "x-ratelimit-limit-tokens": "200000",
            "x-ratelimit-remaining-tokens": "1312",
            "x-ratelimit-reset-tokens": "59.6s",
        },
        10.0,
    )
    assert limits.allowances == {
        "requests": Allowance(500, 499, 10.12),
        "tokens": Allowance(200_000, 1312, 69.6),
    }


@pytest.mark.parametrize(
    ("limit", "remaining", "is_nearly_used"),
    [(500, 500, False), (500, 25, False), (500, 24, True), (3, 1, False), (3, 0, True), (0, 0, True)],
)
@pytest.mark.parametrize("name", ["requests", "tokens"])
def test_an_allowance_is_nearly_used_below_a_twentieth(
    name: str, limit: int, remaining: int, is_nearly_used: bool
) -> None:
    limits = RateLimits()
    told = {f"limit_{name}": str(limit), f"remaining_{name}": str(remaining), f"reset_{name}": "20s"}
    limits.read(headers(**told), 0.0)
    assert limits.is_nearly_used(19.9) is is_nearly_used
    assert not limits.is_nearly_used(20.0)
    assert limits.due(5.0) == 5.0


def test_the_last_answer_counts() -> None:
    limits = RateLimits()
    limits.note("tokens", limit=1000, remaining=0, reset=60, now=0.0)
    limits.note("tokens", limit=1000, remaining=900, reset=6, now=1.0)
    assert not limits.is_nearly_used(2.0)


def test_who_says_when_to_come_back_is_left_alone_until_then() -> None:
    limits = RateLimits()
    limits.refused(7.0, 10.0)
    limits.refused(1.0, 11.0)
    assert (limits.is_nearly_used(16.9), limits.due(12.0)) == (True, 17.0)
    assert (limits.is_nearly_used(17.0), limits.due(18.0)) == (False, 18.0)


def test_nobody_is_believed_that_he_has_nothing_for_days() -> None:
    limits = RateLimits()
    limits.refused(86_400.0, 0.0)
    limits.note("requests", limit=200, remaining=0, reset=86_400.0, now=0.0)
    assert (limits.is_nearly_used(599.0), limits.is_nearly_used(600.0)) == (True, False)


NAMES = st.sampled_from(
    [f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")]
)


@given(st.dictionaries(NAMES, st.text() | st.sampled_from(["0", "1s", "9" * 30, "inf", "1e400"])))
def test_nonsense_in_headers_harms_nobody(told: dict[str, str]) -> None:
    limits = RateLimits()
    limits.read(told, 0.0)
    assert not limits.is_nearly_used(600.0)

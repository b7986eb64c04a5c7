from __future__ import annotations

import pytest

from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from voicertc.providers.plan_b.blame import Blame, GateFull, blame


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProviderUnavailable("bad key", provider="x", fix="set it"), Blame.OPERATOR),
        (ProviderBusy("full", provider="x"), Blame.PROVIDER),
        (ProviderTimeout("late", provider="x"), Blame.PROVIDER),
        (ProviderCrashed("gone", provider="x"), Blame.PROVIDER),
        (ProviderError("conflict", provider="x", retryable=True), Blame.PROVIDER),
        (ProviderError("no such voice", provider="x"), Blame.REQUEST),
        (GateFull("queue is full", provider="x"), Blame.REQUEST),
        (KeyError("a bug in an adapter"), Blame.PROVIDER),
    ],
    ids=repr,
)
def test_an_error_says_whose_fault_it_was(error: Exception, expected: Blame) -> None:
    assert blame(error) is expected

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass

import pytest

from voicertc.providers.secret import Secret


@dataclass(frozen=True)
class Holder:
    key: Secret


def test_a_secret_shows_three_stars_everywhere_but_where_it_is_revealed() -> None:
    secret = Secret("sk-abc")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>3}", repr(Holder(secret))]
    assert shown == ["***", "***", "***", "***", "Holder(key=***)"]
    assert secret.reveal() == "sk-abc"


def test_secrets_are_compared_by_what_they_hide() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert {Secret("a"): 1}[Secret("a")] == 1
    assert (bool(Secret("")), bool(Secret("a"))) == (False, True)


def test_a_secret_is_not_written_down() -> None:
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(Secret("a"))
    with pytest.raises(TypeError, match="not written down"):
        asdict(Holder(Secret("a")))

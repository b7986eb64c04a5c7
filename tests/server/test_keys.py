"""Keys: who is let in, with what, and until when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

from voicertc.errors import ClientError
from voicertc.providers.secret import Secret
from voicertc.server import keys
from voicertc.server.keys import Keyring, Principal

KEY, OTHER = "a-key-of-the-operator", "another-key-of-theirs"
SESSION = {"type": "realtime", "instructions": "Sing."}


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(clock: Clock) -> Keyring:
    return Keyring([Secret(KEY), Secret(OTHER)], clock)


@pytest.fixture
def open_keyring(clock: Clock) -> Keyring:
    """Of a server without API keys."""
    return Keyring([], clock)


def refusal(keyring: Keyring, bearer: str | None, *, is_loopback: bool = True) -> str:
    with pytest.raises(ClientError) as caught:
        keyring.admit(bearer, is_loopback=is_loopback)
    assert caught.value.status == 401
    if bearer:
        assert bearer not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("key", [KEY, OTHER])
@pytest.mark.parametrize("is_loopback", [True, False])
def test_an_api_key_lets_in_and_is_named_without_being_given_away(
    keyring: Keyring, key: str, is_loopback: bool
) -> None:
    name = sha256(key.encode()).hexdigest()[:8]
    assert keyring.admit(key, is_loopback=is_loopback) == Principal(f"key-{name}")


@pytest.mark.parametrize(
    ("bearer", "code"),
    [
        (None, "missing_api_key"),
        ("", "invalid_api_key"),
        (KEY[:-1], "invalid_api_key"),
        (KEY + " ", "invalid_api_key"),
        (KEY.upper(), "invalid_api_key"),
        ("k" * 10_000, "invalid_api_key"),
        ("schl\xfcssel", "invalid_api_key"),
        ("\udcff", "invalid_api_key"),
    ],
)
@pytest.mark.parametrize("is_loopback", [True, False])
def test_nothing_else_does_where_there_are_api_keys(
    keyring: Keyring, bearer: str | None, code: str, is_loopback: bool
) -> None:
    assert refusal(keyring, bearer, is_loopback=is_loopback) == code


def test_without_api_keys_everybody_comes_in_and_foreign_keys_only_from_this_machine(
    open_keyring: Keyring,
) -> None:
    assert open_keyring.admit(None, is_loopback=False) == Principal("")
    assert open_keyring.admit("sk-of-another-service", is_loopback=True) == Principal("")
    assert refusal(open_keyring, "sk-of-another-service", is_loopback=False) == "invalid_api_key"


@pytest.mark.parametrize("which", ["keyring", "open_keyring"])
@pytest.mark.parametrize("is_loopback", [True, False])
def test_a_short_lived_key_brings_its_configuration_until_it_expires(
    which: str, is_loopback: bool, clock: Clock, request: pytest.FixtureRequest
) -> None:
    keyring: Keyring = request.getfixturevalue(which)
    clock.now += 0.9
    value, expires_at = keyring.mint(SESSION, 600)
    assert value.startswith("ek_")
    assert expires_at == 1_000_600
    for _ in range(2):
        principal = keyring.admit(value, is_loopback=is_loopback)
        assert principal == Principal(f"ek-{value.split('_')[1]}", SESSION)
    clock.now = 1_000_599.9
    keyring.admit(value, is_loopback=is_loopback)
    clock.now = 1_000_600.0
    assert refusal(keyring, value, is_loopback=is_loopback) == "expired_api_key"


def test_a_key_stays_expired_when_the_clock_is_set_back(keyring: Keyring, clock: Clock) -> None:
    value, _ = keyring.mint({}, 10)
    clock.now += 11
    keyring.mint({}, 10)
    clock.now -= 5
    assert refusal(keyring, value) == "expired_api_key"


def _flipped(value: str, index: int) -> str:
    return value[:index] + ("0" if value[index] != "0" else "1") + value[index + 1 :]


@pytest.mark.parametrize("which", ["keyring", "open_keyring"])
def test_a_key_with_any_letter_changed_is_refused(which: str, request: pytest.FixtureRequest) -> None:
    keyring: Keyring = request.getfixturevalue(which)
    value, _ = keyring.mint(SESSION, 600)
    for index in range(3, len(value)):
        assert refusal(keyring, _flipped(value, index)) == "invalid_api_key"


@pytest.mark.parametrize(
    "forge",
    [
        lambda value: "ek_",
        lambda value: "ek_x",
        lambda value: "ek_68af1234567890ab",
        lambda value: value[:-1],
        lambda value: value + "0",
        lambda value: value.upper().replace("EK_", "ek_"),
        lambda value: value.rpartition("_")[0],
        lambda value: value.rpartition("_")[0] + "_",
        lambda value: "ek__" + value.split("_", 2)[2],
        lambda value: "ek_\udcff_" + value.split("_", 2)[2],
    ],
)
@pytest.mark.parametrize("which", ["keyring", "open_keyring"])
def test_a_forged_key_is_refused_from_this_machine_too(
    which: str, forge: Any, request: pytest.FixtureRequest
) -> None:
    keyring: Keyring = request.getfixturevalue(which)
    value, _ = keyring.mint(SESSION, 600)
    assert refusal(keyring, forge(value)) == "invalid_api_key"


def test_a_longer_life_cannot_be_written_into_a_key(keyring: Keyring, clock: Clock) -> None:
    short, _ = keyring.mint({}, 10)
    long, _ = keyring.mint({}, 7200)
    prefix, key_id, _, signature = short.split("_")
    assert refusal(keyring, "_".join((prefix, key_id, long.split("_")[2], signature))) == "invalid_api_key"


def test_keys_of_another_process_are_refused(keyring: Keyring, clock: Clock) -> None:
    value, _ = Keyring([Secret(KEY)], clock).mint(SESSION, 600)
    assert refusal(keyring, value) == "invalid_api_key"


def test_what_a_key_is_bound_to_cannot_be_changed_from_outside(keyring: Keyring) -> None:
    session: dict[str, object] = {"tools": []}
    value, _ = keyring.mint(session, 600)
    session["tools"] = ["more"]
    bound = keyring.admit(value, is_loopback=True).session
    assert bound == {"tools": []}
    assert isinstance(bound, dict)
    bound["tools"].append("more")
    assert keyring.admit(value, is_loopback=True).session == {"tools": []}


def test_what_is_kept_is_bounded_and_freed_when_it_expires(
    keyring: Keyring, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_BOUND_BYTES", 5_000)
    large = {"instructions": "x" * 1_000}
    first, _ = keyring.mint(large, 100)
    for _ in range(2):
        keyring.mint(large, 10)
    with pytest.raises(ClientError) as caught:
        keyring.mint(large, 10)
    assert (caught.value.status, caught.value.code) == (503, "too_many_keys")
    assert caught.value.retry_after is not None
    assert keyring.admit(first, is_loopback=True).session == large
    clock.now += 10
    for _ in range(2):
        keyring.mint(large, 10)


def test_a_key_goes_through_a_header_and_a_subprotocol_and_is_masked_in_logs(keyring: Keyring) -> None:
    value, _ = keyring.mint(SESSION, 600)
    # RFC 6455 §4.1: a subprotocol is a token; voicertc/logs.py masks what has this shape.
    assert set(value) <= set("ek_0123456789abcdef")
    assert len(value) < 128
    assert json.dumps(SESSION) not in value


@pytest.mark.parametrize(
    ("principal", "reaches"),
    [
        (Principal(""), ["", "key-1", "ek-1", "ek-2"]),
        (Principal("key-1"), ["", "key-1", "ek-1", "ek-2"]),
        (Principal("ek-1", {}), ["ek-1"]),
    ],
)
def test_a_short_lived_key_reaches_its_own_calls_alone(principal: Principal, reaches: list[str]) -> None:
    assert [owner for owner in ("", "key-1", "ek-1", "ek-2") if principal.may_reach(owner)] == reaches

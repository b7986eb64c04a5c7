from __future__ import annotations

from voicertc.rtc.watchdog import Sign, Watchdog


def made(now: float = 100.0) -> Watchdog:
    return Watchdog(now, connect_timeout=15.0, pause_after=5.0, close_after=15.0)


def test_a_client_that_never_connects_is_given_up() -> None:
    watchdog = made()
    watchdog.heard = 114.0  # it knocks, but no more comes of it
    assert (watchdog.deadline, watchdog.check(114.9), watchdog.check(115.0)) == (
        115.0,
        None,
        Sign.NEVER_CONNECTED,
    )


def test_a_client_is_away_back_and_lost() -> None:
    watchdog = made()
    watchdog.connect(101.0)
    assert watchdog.check(105.9) is None
    assert watchdog.deadline == 106.0
    assert watchdog.check(106.0) is Sign.AWAY
    assert watchdog.check(107.0) is None, "each thing is said once"
    assert watchdog.deadline == 116.0
    watchdog.heard = 110.0
    assert watchdog.check(110.0) is Sign.BACK
    assert watchdog.deadline == 115.0
    assert watchdog.check(115.0) is Sign.AWAY
    assert watchdog.check(125.0) is Sign.LOST


def test_any_datagram_puts_the_deadline_off() -> None:
    watchdog = made()
    watchdog.connect(100.0)
    for now in range(101, 200):
        watchdog.heard = float(now)
        assert watchdog.check(now + 4.9) is None


def test_a_late_look_finds_a_client_lost_that_was_never_called_away() -> None:
    watchdog = made()
    watchdog.connect(100.0)
    assert watchdog.check(120.0) is Sign.LOST

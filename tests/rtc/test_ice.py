from __future__ import annotations

import pytest

from voicertc.errors import ClientError
from voicertc.rtc.ice import MAX_CANDIDATES, MAX_OFFER_CHARS, announce, check_offer, sanitize_offer

from .offers import audio, data, offer, transport, video

HOST = "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host"


def refusal(sdp: str) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        check_offer(sdp)
    return caught.value.status, caught.value.code


def test_a_browsers_offer_passes() -> None:
    check_offer(offer(audio(), video(), data()))


def test_an_offer_without_any_candidate_passes() -> None:
    text = offer(audio(), data())
    assert "candidate" not in text
    check_offer(text)


@pytest.mark.parametrize(
    "text",
    ["", "hello", '{"type": "offer", "sdp": "v=0"}', " v=0\r\n"],
)
def test_what_is_not_sdp_is_refused_as_the_clients_mistake(text: str) -> None:
    assert refusal(text) == (400, "invalid_sdp")


def test_an_endless_offer_is_not_even_parsed() -> None:
    assert refusal("v=0\r\n" + "a=x\r\n" * MAX_OFFER_CHARS) == (400, "invalid_sdp")


def test_sdp_without_audio_is_told_apart_from_no_sdp() -> None:
    assert refusal(offer(data())) == (422, "no_audio")
    assert refusal(offer(audio(codecs="pcmu"), data())) == (422, "no_audio")


@pytest.mark.parametrize("name", ["ice-ufrag", "ice-pwd", "fingerprint", "setup"])
def test_an_offer_without_ice_or_dtls_is_refused(name: str) -> None:
    lines = [line for line in transport() if not line.startswith(f"a={name}")]
    assert refusal(offer(audio(lines=lines))) == (400, "invalid_sdp")


def test_lines_that_break_aioice_are_stripped() -> None:
    text = offer(
        audio(
            "0",
            HOST,
            "a=candidate:2 1 udp 2113937151 4f0c-aa.local 5001 typ host",
            "a=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
            "a=candidate:4 1 udp 1 host.example 5001 typ host",
            "a=candidate:5 1 udp 1 192.0.2.7 99999 typ host",
            "a=candidate:6 1 udp",
            "a=candidate:7 1 udp 1 192.0.2.7 \N{SUPERSCRIPT TWO} typ host",
            "a=candidate:8 1 udp " + "1" * 5_000 + " 192.0.2.7 5001 typ host",
            "a=end-of-candidates",
        )
    )
    kept = sanitize_offer(text)
    assert [line for line in kept.splitlines() if "candidate" in line] == [HOST]
    check_offer(text)


def test_only_so_many_addresses_are_taken_from_a_stranger() -> None:
    text = offer(audio("0", *[HOST] * (MAX_CANDIDATES + 5)))
    assert sanitize_offer(text).count("a=candidate:") == MAX_CANDIDATES


def test_actpass_becomes_active_and_other_roles_are_left_alone() -> None:
    text = offer(audio(), data())
    assert sanitize_offer(text) == text.replace("a=setup:actpass", "a=setup:active")
    passive = offer(audio(lines=transport(setup="passive")))
    assert sanitize_offer(passive) == passive


def test_bare_newlines_are_read_too() -> None:
    text = offer(audio(), data())
    assert sanitize_offer(text.replace("\r\n", "\n")) == sanitize_offer(text)


ANSWER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nm=audio 5000 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 10.0.0.5\r\n"
    "a=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=candidate:1 1 udp 2130706431 10.0.0.5 5000 typ host\r\n"
    "a=candidate:2 1 udp 2130706431 fd00::5 5001 typ host\r\n"
    "a=candidate:3 1 udp 2130706431 127.0.0.1 5002 typ host\r\n"
    "a=candidate:4 1 udp 16777215 198.51.100.9 5003 typ relay raddr 10.0.0.5 rport 5000\r\n"
)


def test_the_announced_address_takes_the_place_of_the_machines_own() -> None:
    assert announce(ANSWER, "203.0.113.4") == ANSWER.replace(
        "c=IN IP4 10.0.0.5", "c=IN IP4 203.0.113.4"
    ).replace("10.0.0.5 5000 typ host", "203.0.113.4 5000 typ host")


def test_an_announced_ipv6_address_leaves_ipv4_alone() -> None:
    assert announce(ANSWER, "2001:db8::9") == ANSWER.replace("fd00::5", "2001:db8::9")


def test_one_address_of_each_ip_version_can_be_announced() -> None:
    both = announce(announce(ANSWER, "2001:db8::9"), "203.0.113.4")
    assert announce(ANSWER, "203.0.113.4, 2001:DB8::9") == both


def test_addresses_that_share_a_port_become_one_candidate() -> None:
    lines = [f"a=candidate:{n} 1 udp 2130706431 10.0.0.{n} 5000 typ host" for n in (1, 2)]
    other = "a=candidate:3 1 udp 2130706431 10.0.0.3 5001 typ host"
    answer = "\r\n".join(["v=0", "m=audio 9 X 0", *lines, other, "m=application 9 X 0", *lines, ""])
    told = [lines[0].replace("10.0.0.1", "203.0.113.4"), other.replace("10.0.0.3", "203.0.113.4")]
    assert announce(answer, "203.0.113.4").splitlines() == [
        "v=0",
        "m=audio 9 X 0",
        *told,
        "m=application 9 X 0",
        told[0],
    ]


def test_only_addresses_can_be_announced() -> None:
    with pytest.raises(ValueError, match=r"'voice\.example' must be an IP address"):
        announce(ANSWER, "voice.example")
    with pytest.raises(ValueError, match="two addresses of one IP version"):
        announce(ANSWER, "203.0.113.4,203.0.113.5")

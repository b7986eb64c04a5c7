from __future__ import annotations

import pytest

from voicertc.errors import ClientError
from voicertc.rtc.fragment import Fragment, read_fragment
from voicertc.rtc.ice import TrickledCandidate

HOST = "a=candidate:1 1 udp 2130706431 192.0.2.1 61665 typ host"
TCP = "a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active"
LOCAL = "a=candidate:3 1 udp 2130706431 6a7b.local 61665 typ host"


def test_a_fragment_names_its_ice_session_and_its_candidates_with_their_sections() -> None:
    text = "\r\n".join(
        (
            "a=ice-ufrag:EsAw",
            "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1",
            "a=ice-options:trickle",
            "m=audio 9 UDP/TLS/RTP/SAVPF 0",
            "a=mid:0",
            HOST,
            TCP,
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            LOCAL,
            "a=mid:data",
            LOCAL,
            "a=end-of-candidates",
            "",
        )
    )
    found = (
        TrickledCandidate(HOST, "0"),
        TrickledCandidate(TCP, "0"),
        TrickledCandidate(LOCAL, None, 0),
        TrickledCandidate(LOCAL, "data"),
    )
    assert read_fragment(text) == Fragment("EsAw", found)
    assert read_fragment(text.replace("\r\n", "\n")) == Fragment("EsAw", found)


@pytest.mark.parametrize("text", [HOST, f"\r\n\r\n  {HOST}  \r\n"])
def test_a_candidate_without_a_section_is_the_firsts(text: str) -> None:
    assert read_fragment(text) == Fragment(None, (TrickledCandidate(HOST, None, 0),))


def test_that_there_are_no_more_candidates_says_nothing() -> None:
    assert read_fragment("a=mid:0\r\na=end-of-candidates\r\n") == Fragment(None, ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n \r\n",
        "hello",
        "candidate:1 1 udp 1 192.0.2.1 1 typ host",
        f"{HOST}\r\n\x00",
        "A=mid:0",
        "a=ice-ufrag:",
        "a=ice-ufrag:abc",
        "a=ice-ufrag:ab cd",
        "a=ice-ufrag:" + "x" * 257,
    ],
)
def test_what_is_no_fragment_is_refused(text: str) -> None:
    with pytest.raises(ClientError) as caught:
        read_fragment(text)
    assert (caught.value.status, caught.value.code) == (400, "invalid_fragment")

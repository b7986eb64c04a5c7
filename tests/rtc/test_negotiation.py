from __future__ import annotations

import pytest
from aiortc.sdp import SessionDescription

from voicertc.errors import ClientError
from voicertc.rtc.ice import TrickledCandidate
from voicertc.rtc.negotiation import DEFAULT_MAX_MESSAGE_BYTES, Offer

from .offers import audio, data, offer, transport, video

AIORTC = [
    "a=ice-ufrag:ours",
    "a=ice-pwd:ours0123456789012345678901",
    "a=fingerprint:sha-256 CD",
    "a=setup:passive",
]
HOST = "a=candidate:1 1 udp 2130706431 10.0.0.5 5000 typ host"


def answer_of_aiortc(read: Offer) -> str:
    """An answer in aiortc's shape to what it is shown."""
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE x"]
    for media in SessionDescription.parse(read.text).media:
        lines += [
            f"m={media.kind} 5000 {media.profile} {media.fmt[0]}",
            f"a=mid:{media.rtp.muxId}",
            HOST,
            *AIORTC,
        ]
    return "\r\n".join(lines) + "\r\n"


def shape(sdp: str) -> list[str]:
    """Each section's kind, port and mid, behind the bundle."""
    lines = sdp.splitlines()
    found = [line for line in lines if line.startswith("a=group:BUNDLE")]
    for line in lines:
        if line.startswith("m="):
            found.append(" ".join(line[2:].split(" ")[:2]))
        elif line.startswith("a=mid:"):
            found[-1] += " " + line.removeprefix("a=mid:")
        elif line == "a=inactive":
            found[-1] += " inactive"
    return found


def test_aiortc_sees_sound_and_messages_only() -> None:
    read = Offer.read(offer(audio("0"), video("1"), video("2"), data("3")))
    assert shape(read.text) == ["a=group:BUNDLE 0 3", "audio 9 0", "application 9 3"]


def test_video_is_answered_inactive_in_its_place_whatever_its_codec() -> None:
    read = Offer.read(offer(audio("0"), video("1"), video("2", "AV1/90000"), data("3")))
    answer = read.answer(answer_of_aiortc(read), uses_dtx=True)
    assert shape(answer) == [
        "a=group:BUNDLE 0 1 2 3",
        "audio 5000 0",
        "video 9 inactive 1",
        "video 9 inactive 2",
        "application 5000 3",
    ]
    assert "a=rtpmap:96 AV1/90000" in answer
    described = SessionDescription.parse(answer)
    assert [media.ice.usernameFragment for media in described.media] == ["ours"] * 4
    assert [len(media.ice_candidates) for media in described.media] == [1, 1, 1, 1]


def test_a_second_audio_section_is_answered_inactive() -> None:
    read = Offer.read(offer(audio("0", codecs="pcmu"), audio("1"), audio("2")))
    assert shape(read.answer(answer_of_aiortc(read), uses_dtx=True))[1:] == [
        "audio 9 inactive 0",
        "audio 5000 1",
        "audio 9 inactive 2",
    ]


def test_a_section_the_client_gave_up_is_rejected() -> None:
    gone = video("1").replace("m=video 9", "m=video 0")
    read = Offer.read(offer(audio("0"), gone, data("2")))
    assert shape(read.answer(answer_of_aiortc(read), uses_dtx=True)) == [
        "a=group:BUNDLE 0 2",
        "audio 5000 0",
        "video 0 inactive 1",
        "application 5000 2",
    ]


def test_a_section_that_lives_in_the_bundle_only_has_port_0_and_is_accepted() -> None:
    only = audio("1", "a=bundle-only", port=0, lines=[]).replace("a=rtcp-mux\r\n", "")
    read = Offer.read(offer(video("0"), only))
    (media,) = SessionDescription.parse(read.text).media
    assert (media.ice.usernameFragment, media.rtcp_mux, media.dtls.role) == ("frag", True, "client")


def test_the_bundles_first_section_gives_its_transport_to_those_that_are_used() -> None:
    own = audio("1", lines=transport("mine"))
    read = Offer.read(offer(video("0"), own))
    (media,) = SessionDescription.parse(read.text).media
    assert media.ice.usernameFragment == "frag"


def test_without_a_bundle_there_is_none_in_the_answer_and_video_is_rejected() -> None:
    read = Offer.read(offer(audio("0"), video("1"), data("2"), bundle=None))
    assert shape(read.answer(answer_of_aiortc(read), uses_dtx=True)) == [
        "audio 5000 0",
        "video 0 inactive 1",
        "application 5000 2",
    ]


def test_what_is_no_data_channel_is_rejected() -> None:
    other = "m=application 9 TCP/MRCPv2 1\r\na=mid:5\r\n"
    read = Offer.read(offer(audio("0"), other, data("2")))
    assert shape(read.answer(answer_of_aiortc(read), uses_dtx=True))[1:] == [
        "audio 5000 0",
        "application 0 inactive 5",
        "application 5000 2",
    ]


def test_an_audio_section_without_a_mid_is_answered() -> None:
    read = Offer.read(offer(audio("0").replace("a=mid:0\r\n", ""), bundle=None))
    assert shape(read.text) == ["audio 9"]


@pytest.mark.parametrize(
    "line", ["a=setup:holdconn", "a=candidate:", "a=rtpmap:x", "a=extmap:1", "a=fmtp:5 x=1"]
)
def test_a_section_that_cannot_be_read_is_the_clients_mistake(line: str) -> None:
    if line == "a=candidate:":
        Offer.read(offer(audio("0", line)))  # useless candidates are nothing to refuse a call for
        return
    with pytest.raises(ClientError) as caught:
        Offer.read(offer(audio("0", line)))
    assert (caught.value.status, caught.value.code) == (400, "invalid_sdp")


def test_a_section_that_is_not_used_may_hold_anything() -> None:
    Offer.read(offer(audio("0"), video("1", "VP8/90000", "a=fmtp:5 x=1", "a=ssrc:1 nothing")))


def test_audio_that_the_client_itself_disabled_is_no_audio() -> None:
    with pytest.raises(ClientError) as caught:
        Offer.read(offer(audio(port=0), data()))
    assert (caught.value.status, caught.value.code) == (422, "no_audio")


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ((), DEFAULT_MAX_MESSAGE_BYTES),
        (("a=max-message-size:1073741823",), 1_073_741_823),
        (("a=max-message-size:0",), 2**31 - 1),
        (("a=max-message-size:1200",), 1200),
    ],
)
def test_the_clients_largest_message_is_read(line: tuple[str, ...], limit: int) -> None:
    assert Offer.read(offer(audio("0"), data("1", *line))).max_message_bytes == limit
    assert Offer.read(offer(audio("0"))).max_message_bytes == DEFAULT_MAX_MESSAGE_BYTES


def trickled(mid: str | None = None, index: int | None = None) -> TrickledCandidate:
    return TrickledCandidate("candidate:1 1 udp 1 192.0.2.1 5000 typ host", mid, index)


@pytest.mark.parametrize(
    ("candidate", "mid"),
    [
        (trickled("0"), "1"),  # the bundle's first section gives it its transport
        (trickled("0", 3), "1"),
        (trickled(index=0), "1"),
        (trickled("1"), None),  # its own transport is given up for the bundle's
        (trickled("2"), None),
        (trickled("9"), None),
        (trickled(index=9), None),
        (trickled(), None),
    ],
)
def test_a_candidate_is_the_first_sections_of_a_bundle(candidate: TrickledCandidate, mid: str | None) -> None:
    assert Offer.read(offer(video("0"), audio("1"), data("2"))).mid_of(candidate) == mid


def test_without_a_bundle_each_section_has_candidates_of_its_own() -> None:
    read = Offer.read(offer(audio("0"), video("1"), data("2"), bundle=None))
    assert [read.mid_of(trickled(mid)) for mid in "012"] == ["0", None, "2"]


def test_an_offer_goes_on_with_another_on_the_same_transport() -> None:
    first = Offer.read(offer(audio("0"), data("1")))
    assert Offer.read(offer(audio("0", direction="sendonly"), data("1"))).continues(first)
    assert not Offer.read(offer(audio("1"), data("0"))).continues(first)
    assert not Offer.read(offer(audio("0", lines=transport("new")), data("1"))).continues(first)
    assert (first.has_ufrag("frag"), first.has_ufrag("fra")) == (True, False)


def test_the_answer_asks_for_error_correction_and_for_no_silence() -> None:
    read = Offer.read(offer(audio("0"), data("1")))
    opus = "a=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1"
    given = answer_of_aiortc(read).replace("a=mid:0", opus)
    for uses_dtx, parameters in (
        (True, "minptime=10;useinbandfec=1;usedtx=1"),
        (False, "minptime=10;useinbandfec=1"),
    ):
        lines = read.answer(given, uses_dtx=uses_dtx).splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith("a=rtpmap:111 "))
        assert lines[at + 1] == f"a=fmtp:111 {parameters}"
        assert sum(line.startswith("a=fmtp:") for line in lines) == 1

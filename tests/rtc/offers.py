"""Offers as clients write them, cut to what matters here."""

from __future__ import annotations

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)


def transport(ufrag: str = "frag", setup: str = "actpass") -> list[str]:
    return [
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{ufrag}0123456789012345678901",
        FINGERPRINT,
        f"a=setup:{setup}",
    ]


def audio(
    mid: str = "0",
    *extra: str,
    codecs: str = "opus",
    direction: str = "sendrecv",
    port: int = 9,
    lines: list[str] | None = None,
) -> str:
    known = {"opus": "a=rtpmap:111 opus/48000/2", "pcmu": "a=rtpmap:0 PCMU/8000"}
    names = codecs.split()
    numbers = " ".join(known[name].split(":")[1].split(" ")[0] for name in names)
    section = [
        f"m=audio {port} UDP/TLS/RTP/SAVPF {numbers}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        f"a={direction}",
        "a=rtcp-mux",
        *(known[name] for name in names),
        *(transport() if lines is None else lines),
        *extra,
    ]
    return "\r\n".join(section) + "\r\n"


def video(mid: str = "1", codec: str = "VP8/90000", *extra: str) -> str:
    section = [
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=sendrecv",
        "a=rtcp-mux",
        f"a=rtpmap:96 {codec}",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        *transport(),
        *extra,
    ]
    return "\r\n".join(section) + "\r\n"


def data(mid: str = "2", *extra: str) -> str:
    section = [
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=sctp-port:5000",
        *transport(),
        *extra,
    ]
    return "\r\n".join(section) + "\r\n"


def offer(*sections: str, bundle: str | None = "") -> str:
    """An offer of these sections; ``bundle`` names the group's mids: all by default, no group if ``None``."""
    if bundle == "":
        mids = [
            line.removeprefix("a=mid:") for text in sections for line in text.splitlines() if "a=mid:" in line
        ]
        bundle = " ".join(mids)
    group = "" if bundle is None else f"a=group:BUNDLE {bundle}\r\n"
    return HEAD + group + "".join(sections)

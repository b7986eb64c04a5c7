"""Which sections of an offer become a call, and what the others are answered with.

A voice agent needs one audio section with Opus and one data channel. aiortc is shown these alone: a video
section makes it create receivers that must be read, a codec it does not know (AV1) makes it refuse the whole
offer, and more sections of a kind confuse its bundling. ``answer`` then gives the other sections back, in
the offer's order: *inactive* where the client may keep its transceiver, *rejected* (port 0) otherwise.

    offer:   audio  video  video  application(data)        → aiortc sees:  audio  application
    answer:  audio  inactive  inactive  application        ← aiortc says:  audio  application

Sections of a BUNDLE group (RFC 9143) share the transport of the group's first section; its lines are copied
into those that aiortc sees, which may have left them out (RFC 9429 §5.2.1) or described another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from aiortc.sdp import SessionDescription

from ..errors import ClientError
from .ice import TrickledCandidate, check_offer, invalid_sdp, sanitize_offer

DEFAULT_MAX_MESSAGE_BYTES = 65_536
"""What a peer takes that does not say (RFC 8841 §6.1)."""

_PARSER_ERRORS = (AssertionError, AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError)
"""What ``aiortc.sdp`` raises on text that is not SDP: it has no error of its own."""

_OPUS_MAP = re.compile(r"a=rtpmap:\d+ opus/48000", re.IGNORECASE)
_TRANSPORT = ("ice-ufrag:", "ice-pwd:", "ice-options:", "fingerprint:", "setup:", "candidate:")


class _Fate(Enum):
    """What becomes of a section."""

    USED = "aiortc negotiates it"
    INACTIVE = "accepted, but nothing flows"
    REJECTED = "port 0"


@dataclass(frozen=True, slots=True)
class _Section:
    """One ``m=`` line with the lines below it; ``is_bundled`` if the offer's BUNDLE group names its mid."""

    lines: tuple[str, ...]
    is_bundled: bool

    @property
    def kind(self) -> str:
        return self.lines[0].removeprefix("m=").split(" ")[0]

    @property
    def is_offered(self) -> bool:
        """Port 0 means rejected before, unless the section only lives in the bundle (RFC 9143 §6)."""
        fields = self.lines[0].split(" ")
        return (len(fields) > 3 and fields[1] != "0") or "a=bundle-only" in self.lines

    @property
    def has_opus(self) -> bool:
        return any(
            line.startswith("a=rtpmap:") and line.lower().partition(" ")[2].startswith("opus/48000")
            for line in self.lines
        )

    @property
    def is_data(self) -> bool:
        return self.kind == "application" and "DTLS/SCTP" in self.lines[0]

    def attribute(self, name: str) -> str | None:
        """Return the value of ``a=name:value``, ``None`` if there is no such line."""
        prefix = f"a={name}:"
        return next((line.removeprefix(prefix) for line in self.lines if line.startswith(prefix)), None)

    def transport(self) -> tuple[str, ...]:
        """Return the lines that describe the transport (RFC 8859: category TRANSPORT)."""
        return tuple(line for line in self.lines if line.startswith("a=") and line[2:].startswith(_TRANSPORT))


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that passed ``check_offer``: ``text`` is what aiortc is shown of it."""

    text: str
    max_message_bytes: int
    """Longest data channel message the client takes, in bytes."""
    _sections: tuple[tuple[_Section, _Fate], ...]
    _tagged: _Section | None

    @classmethod
    def read(cls, sdp: str) -> Offer:
        """Read the client's text; raises ``ClientError`` as ``check_offer`` does."""
        check_offer(sdp)
        session, sections = _split(sanitize_offer(sdp))
        fates = _fates(sections)
        if not any(fate is _Fate.USED and section.kind == "audio" for section, fate in fates):
            # The offer names Opus, in a section that it rejects itself.
            raise ClientError("The offer's audio section is disabled.", code="no_audio", status=422)
        used = [section for section, fate in fates if fate is _Fate.USED]
        data = next((section for section in used if section.is_data), None)
        tagged = _tagged(session, sections)
        text = _shown_to_aiortc(session, tagged, used)
        _parse(text)
        return cls(
            text=text,
            max_message_bytes=_max_message_bytes(data),
            _sections=tuple(fates),
            _tagged=tagged,
        )

    def continues(self, earlier: Offer) -> bool:
        """Whether it is about the connection that ``earlier`` began, on the same transport (RFC 8829 §4.1.8).

        aiortc can take such an offer; it cannot restart ICE.
        """
        return self._transport == earlier._transport and self._audio_mid == earlier._audio_mid

    def has_ufrag(self, ufrag: str) -> bool:
        """Whether this is the client's half of the name of the ICE session (RFC 8839 §5.4)."""
        return f"a=ice-ufrag:{ufrag}" in self._transport

    def mid_of(self, candidate: TrickledCandidate) -> str | None:
        """Return the section that a candidate belongs to, in aiortc's eyes; ``None``: one that is not used.

        Of a bundle's sections only the first one's addresses are used, whose place the first takes that is.
        """
        sections = [section for section, _ in self._sections]
        mid = candidate.mid
        if mid is None and candidate.index is not None and candidate.index < len(sections):
            mid = sections[candidate.index].attribute("mid")
        if self._tagged is not None and mid == self._tagged.attribute("mid"):
            return next((section.attribute("mid") for section in self._used if section.is_bundled), None)
        alone = (section.attribute("mid") for section in self._used if not section.is_bundled)
        return mid if mid is not None and mid in alone else None

    def answer(self, aiortc_answer: str, *, uses_dtx: bool) -> str:
        """Return aiortc's answer with the sections that were kept from it given back in order.

        ``uses_dtx``: whether the client may send next to nothing while its user is silent.
        """
        session, answered = _split(aiortc_answer)
        transport = answered[0].transport()
        rest = iter(answered)
        lines: list[str] = []
        bundled: list[str] = []
        for section, fate in self._sections:
            mid = section.attribute("mid")
            if section.is_bundled and fate is not _Fate.REJECTED and mid is not None:
                bundled.append(mid)
            match fate:
                case _Fate.USED:
                    lines += _asking_for_speech(next(rest).lines, uses_dtx=uses_dtx)
                case _Fate.INACTIVE:
                    lines += _inactive(section, transport)
                case _Fate.REJECTED:
                    lines += _rejected(section)
        group = [f"a=group:BUNDLE {' '.join(bundled)}"] if bundled else []
        kept = [line for line in session if not line.startswith("a=group:BUNDLE")]
        return "\r\n".join([*kept, *group, *lines]) + "\r\n"

    @property
    def _used(self) -> list[_Section]:
        return [section for section, fate in self._sections if fate is _Fate.USED]

    @property
    def _audio_mid(self) -> str | None:
        return next(section.attribute("mid") for section in self._used if section.kind == "audio")

    @property
    def _transport(self) -> frozenset[str]:
        """The lines by which both sides know each other, whatever their order."""
        known = ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:")
        return frozenset(line for line in self.text.splitlines() if line.startswith(known))


def _asking_for_speech(lines: tuple[str, ...], *, uses_dtx: bool) -> list[str]:
    """Say how Opus is to be sent to us (RFC 7587 §6.1): aiortc's answers leave it to clients, without FEC."""
    opus = [line.split()[0].partition(":")[2] for line in lines if _OPUS_MAP.match(line)]
    parameters = "minptime=10;useinbandfec=1" + (";usedtx=1" if uses_dtx else "")
    described = tuple(f"a=fmtp:{payload_type} " for payload_type in opus)
    asking: list[str] = []
    for line in lines:
        if line.startswith(described):
            continue
        asking.append(line)
        if _OPUS_MAP.match(line):
            asking.append(f"a=fmtp:{line.split()[0].partition(':')[2]} {parameters}")
    return asking


def _parse(text: str) -> None:
    """Let aiortc's parser judge what it will be shown; sections that it is not shown may be anything."""
    try:
        SessionDescription.parse(text)
    except _PARSER_ERRORS as error:
        raise invalid_sdp("The offer's audio or data section cannot be parsed as SDP.") from error


def _split(sdp: str) -> tuple[list[str], list[_Section]]:
    """Split SDP into the session's lines and its sections."""
    session: list[str] = []
    media: list[list[str]] = []
    for line in sdp.splitlines():
        if line.startswith("m="):
            media.append([line])
        else:
            (media[-1] if media else session).append(line)
    bundled = _bundle(session)
    sections = []
    for lines in media:
        section = _Section(tuple(lines), is_bundled=False)
        sections.append(_Section(section.lines, is_bundled=section.attribute("mid") in bundled))
    return session, sections


def _bundle(session: list[str]) -> list[str]:
    """Return the mids of the BUNDLE group, empty if there is none."""
    for line in session:
        if line.startswith("a=group:BUNDLE"):
            return line.split()[1:]
    return []


def _fates(sections: list[_Section]) -> list[tuple[_Section, _Fate]]:
    """Choose the first usable audio section and the first data section."""
    audio = next((s for s in sections if s.kind == "audio" and s.is_offered and s.has_opus), None)
    data = next((s for s in sections if s.is_data and s.is_offered), None)
    fates: list[tuple[_Section, _Fate]] = []
    for section in sections:
        if section is audio or section is data:
            fates.append((section, _Fate.USED))
        elif section.kind in ("audio", "video") and section.is_offered and section.is_bundled:
            fates.append((section, _Fate.INACTIVE))
        else:
            # Outside the bundle it would need a transport of its own, for nothing.
            fates.append((section, _Fate.REJECTED))
    return fates


def _tagged(session: list[str], sections: list[_Section]) -> _Section | None:
    """Return the bundle's first section, which gives it its transport (RFC 9143 §7.1.1)."""
    bundle = _bundle(session)
    return next((s for s in sections if bundle and s.attribute("mid") == bundle[0]), None)


def _shown_to_aiortc(session: list[str], tagged: _Section | None, used: list[_Section]) -> str:
    mids = [section.attribute("mid") for section in used if section.is_bundled]
    lines = [
        f"a=group:BUNDLE {' '.join(mid for mid in mids if mid)}"
        if line.startswith("a=group:BUNDLE")
        else line
        for line in session
    ]
    for section in used:
        lines += _with_transport_of(tagged, section) if tagged and section.is_bundled else section.lines
    return "\r\n".join(lines) + "\r\n"


def _with_transport_of(tagged: _Section, section: _Section) -> list[str]:
    """Return the section's lines with the transport of the bundle's first one."""
    own = section.transport()
    lines = [line for line in section.lines if line not in own and line != "a=bundle-only"]
    if section.kind == "audio" and "a=rtcp-mux" not in lines:
        lines.append("a=rtcp-mux")  # implied by BUNDLE (RFC 9143 §9.3); aiortc wants it said
    return [*lines, *tagged.transport()]


def _inactive(section: _Section, transport: tuple[str, ...]) -> list[str]:
    """Answer a section so that the client keeps it, but sends and expects nothing (RFC 3264 §6.1)."""
    fields = section.lines[0].split(" ")
    payload_type = fields[3]
    described = (f"a=rtpmap:{payload_type} ", f"a=fmtp:{payload_type} ")
    return [
        f"{fields[0]} 9 {fields[2]} {payload_type}",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
        f"a=mid:{section.attribute('mid')}",
        "a=rtcp-mux",
        *(line for line in section.lines if line.startswith(described)),
        *transport,  # with the candidates: a client reads those of the bundle's first section alone
    ]


def _rejected(section: _Section) -> list[str]:
    fields = section.lines[0].split(" ")
    mid = section.attribute("mid")
    lines = [f"{fields[0]} 0 {' '.join(fields[2:])}", "c=IN IP4 0.0.0.0", "a=inactive"]
    return lines if mid is None else [*lines, f"a=mid:{mid}"]


def _max_message_bytes(data: _Section | None) -> int:
    """Return the peer's limit; 0 in the offer means none (RFC 8841 §6.1)."""
    value = data.attribute("max-message-size") if data else None
    if value is None or not value.isdigit():
        return DEFAULT_MAX_MESSAGE_BYTES
    return int(value) or 2**31 - 1

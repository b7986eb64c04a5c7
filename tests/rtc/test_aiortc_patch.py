from __future__ import annotations

from voicertc.rtc import aiortc_patch
from voicertc.rtc.aiortc_patch import missing_names, shared_certificate


def test_the_pinned_versions_have_every_private_name() -> None:
    assert missing_names() == ()
    assert aiortc_patch.MISSING == ()


def test_a_name_that_an_upgrade_took_away_is_named() -> None:
    names = [
        ("aiortc", "RTCPeerConnection", "_RTCPeerConnection__certificates"),
        ("aioice", "Connection", "_gone"),
        ("aioice", "Connection", "_queue"),
        ("aioice.ice", "get_host_addresses", ""),
        ("aioice.ice", "no_function", ""),
        ("aioice.no_module", "StunProtocol", "id"),
    ]
    assert missing_names(names) == (
        "aioice.Connection._gone",
        "aioice.ice.no_function",
        "aioice.no_module.StunProtocol.id",
    )


def test_the_certificate_is_made_once() -> None:
    assert shared_certificate() is shared_certificate()

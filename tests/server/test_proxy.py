"""Who really asked, when proxies stand between."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from voicertc.server.proxy import Proxies, Visitor

TRUSTED = Proxies(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])


def visitor(peer: str | None, *headers: tuple[str, str]) -> Visitor:
    request = make_mocked_request("GET", "/", CIMultiDict([("Host", "inner:8080"), *headers]))
    return TRUSTED.visitor(request.clone(remote=peer))  # type: ignore[arg-type]


def seen(
    address: str | None, scheme: str = "http", host: str = "inner:8080", prefix: str | None = None
) -> Visitor:
    return Visitor(ip_address(address) if address else None, scheme, host, prefix)


def test_nobody_is_believed_who_is_not_trusted() -> None:
    lies = (
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "bank.example"),
        ("X-Forwarded-Prefix", "/x"),
        ("Forwarded", "for=127.0.0.1;proto=https;host=bank.example"),
    )
    assert visitor("203.0.113.9", *lies) == seen("203.0.113.9")
    assert visitor(None, *lies) == seen(None)


def test_a_trusted_proxy_says_who_asked_and_for_what() -> None:
    assert visitor(
        "10.0.0.1",
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "HTTPS"),
        ("X-Forwarded-Host", "voice.example.com"),
        ("X-Forwarded-Prefix", "/voice/"),
    ) == seen("203.0.113.9", "https", "voice.example.com", "/voice")


def test_a_trusted_proxy_that_says_nothing_is_the_client() -> None:
    assert visitor("10.0.0.1") == seen("10.0.0.1")


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        (["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        (["1.1.1.1, 203.0.113.9, 10.9.9.9, 192.0.2.1"], "203.0.113.9"),
        (["1.1.1.1", "203.0.113.9", "10.9.9.9"], "203.0.113.9"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["1.1.1.1, unknown"], None),
        (["1.1.1.1, , 10.2.2.2"], None),
        (["203.0.113.9:5000"], "203.0.113.9"),
        (["2606:4700::1"], "2606:4700::1"),
        (["[2606:4700::1]:443"], "2606:4700::1"),
        (["2606:4700::1, 2001:db8::7"], "2606:4700::1"),
    ],
)
def test_the_client_is_the_last_one_that_no_trusted_proxy_stands_for(
    hops: list[str], client: str | None
) -> None:
    headers = [("X-Forwarded-For", hop) for hop in hops]
    assert visitor("10.0.0.1", *headers) == seen(client)


def test_the_standard_header_is_read_when_no_other_is_there() -> None:
    forwarded = ("Forwarded", 'for=1.1.1.1;proto=http, for="[2606:4700::1]:443";proto=https;host=a.example')
    assert visitor("10.0.0.1", forwarded) == seen("2606:4700::1", "https", "a.example")
    # A proxy that writes one kind passes on the other as its client wrote it.
    assert visitor("10.0.0.1", forwarded, ("X-Forwarded-For", "203.0.113.9")) == seen("203.0.113.9")


def test_the_nearest_proxys_word_counts_for_scheme_and_host() -> None:
    headers = (("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "liar.example, a.example"))
    assert visitor("10.0.0.1", *headers) == seen("10.0.0.1", "https", "a.example")


@pytest.mark.parametrize("prefix", ["//evil.example", "voice", "/a//b", "/a b", "/a?b", "/", ""])
def test_a_prefix_that_could_lead_elsewhere_is_none(prefix: str) -> None:
    assert visitor("10.0.0.1", ("X-Forwarded-Prefix", prefix)).prefix is None


def test_ipv4_clients_of_an_ipv6_socket_are_recognized() -> None:
    assert visitor("::ffff:10.0.0.1", ("X-Forwarded-For", "::ffff:203.0.113.9")) == seen("203.0.113.9")
    assert visitor("fe80::1%eth0") == seen("fe80::1")


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), (None, False)],
)
def test_a_loopback_client_is_known_by_its_address(address: str | None, is_loopback: bool) -> None:
    assert seen(address).is_loopback is is_loopback

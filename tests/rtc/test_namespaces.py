"""Calls across networks as they are: containers, NAT, firewalls, TURN, IPv6, and no network at all.

Everything runs in network namespaces: server and client are processes of their own, routers and firewalls are
the kernel's. A call counts if the server understood the client's tone and the client heard the server's.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from voicertc.rtc.turn_credentials import turn_credentials

from .far_server import VOICE_HZ, VOICE_SECONDS
from .namespaces import Host, Network, skip_unless_possible

pytestmark = pytest.mark.network

HTTP_PORT = 8080
UDP_PORT = 5000
PUBLIC = "203.0.113.10"
"""The address under which the server's machine is known."""
TURN = "192.0.2.30"
SECRET = "north-star"
_TIMEOUT = 20.0
"""Seconds for a program to do all it has to: it begins by importing for two."""

MASQUERADE = """
table ip nat {
    chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade %s; }
}
"""
ONLY_FROM_WITHIN = """
table ip filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "lan" %s accept
    }
}
"""
PUBLISH = """
table ip nat {
    chain in {
        type nat hook prerouting priority dstnat;
        iifname "wan" tcp dport 8080 dnat to 172.30.0.2
        iifname "wan" udp dport 5000 dnat to 172.30.0.2
    }
}
table ip filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ct status dnat accept
        iifname "lan" accept
    }
}
"""


@pytest.fixture
def network(tmp_path: Path) -> Generator[Network]:
    skip_unless_possible()
    with Network(tmp_path) as network:
        yield network


def serve(host: Host, *settings: str) -> None:
    own = [f"server.port={HTTP_PORT}", f"rtc.udp_port={UDP_PORT}", "agent.greeting=null"]
    process = host.start(sys.executable, "-m", "tests.rtc.far_server", *own, *settings)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", host.log.read_text()


def call(host: Host, url: str, how: str = "direct") -> dict[str, object]:
    process = host.start(sys.executable, "-m", "tests.rtc.far_client", url, how)
    output, _ = process.communicate(timeout=_TIMEOUT)
    assert output, host.log.read_text()
    told: dict[str, object] = json.loads(output)
    return told


def assert_both_were_heard(told: dict[str, object]) -> None:
    seconds = told.pop("voice_seconds", 0.0)
    assert told == {"transcript": "440 hertz", "voice_hz": VOICE_HZ}
    assert isinstance(seconds, float)
    assert abs(seconds - VOICE_SECONDS) < 0.1


def container(network: Network, internet: Host) -> Host:
    """Make a container on a bridge, of whose ports the machine around it publishes two."""
    machine, inside = network.host("machine"), network.host("server")
    network.wire(machine, "wan", f"{PUBLIC}/24", internet, "machine", "203.0.113.1/24")
    machine.run("ip", "link", "add", "lan", "type", "bridge")
    machine.run("ip", "address", "add", "172.30.0.1/24", "dev", "lan")
    machine.run("ip", "link", "set", "lan", "up")
    network.wire(machine, "container", "169.254.0.1/32", inside, "eth0", "172.30.0.2/24")
    machine.run("ip", "link", "set", "container", "master", "lan")
    machine.route("203.0.113.1")
    inside.route("172.30.0.1")
    machine.forward()
    machine.rules(MASQUERADE % "" + PUBLISH)
    return inside


def household(network: Network, internet: Host, *, allowed: str = "", nat: str = "") -> Host:
    """Make a client behind a router, which lets ``allowed`` (nftables) out, and answers in."""
    router, client = network.host("router"), network.host("client")
    network.wire(router, "wan", "198.51.100.20/24", internet, "router", "198.51.100.1/24")
    network.wire(router, "lan", "10.7.0.1/24", client, "eth0", "10.7.0.2/24")
    router.route("198.51.100.1")
    client.route("10.7.0.1")
    router.forward()
    router.rules(MASQUERADE % nat + ONLY_FROM_WITHIN % allowed)
    return client


def relay(network: Network, internet: Host) -> Host:
    """Make a TURN server, coturn, that shares a secret with ours."""
    skip_unless_possible("turnserver")
    host = network.host("turn")
    network.wire(host, "eth0", f"{TURN}/24", internet, "turn", "192.0.2.1/24")
    host.route("192.0.2.1")
    host.start(
        *["turnserver", "--no-cli", "--no-tls", "--no-dtls", "--fingerprint", "--simple-log"],
        *["--listening-ip", TURN, "--relay-ip", TURN, "--realm", "voicertc.test", "--pidfile", "/dev/null"],
        *[
            "--use-auth-secret",
            f"--static-auth-secret={SECRET}",
            "--min-port",
            "50000",
            "--max-port",
            "50100",
        ],
        *["--userdb", str(network.directory / "turn.sqlite")],
        *["--log-file", str(network.directory / "coturn.log")],
    )
    return host


def internet(network: Network) -> Host:
    host = network.host("internet")
    host.forward()
    return host


def test_a_client_behind_nat_calls_a_container_of_which_two_ports_are_published(network: Network) -> None:
    world = internet(network)
    server, client = container(network, world), household(network, world)
    serve(server, "server.host=0.0.0.0", f"rtc.announced_address={PUBLIC}")
    assert_both_were_heard(call(client, f"http://{PUBLIC}:{HTTP_PORT}"))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_client_whose_firewall_knows_only_the_relay_calls_through_it(
    network: Network, transport: str
) -> None:
    world = internet(network)
    doors = f"{{ {TURN} . {transport} . 3478, {PUBLIC} . tcp . {HTTP_PORT} }}"
    server = container(network, world)
    client = household(
        network, world, allowed=f"ip daddr . ip protocol . th dport {doors}", nat="fully-random"
    )
    relay(network, world)
    told = [{"urls": [f"turn:{TURN}:3478?transport={transport}"]}]
    serve(
        server,
        "server.host=0.0.0.0",
        f"rtc.announced_address={PUBLIC}",
        f"rtc.client_ice_servers={json.dumps(told)}",
        f"rtc.turn_secret={SECRET}",
    )
    url = f"http://{PUBLIC}:{HTTP_PORT}"
    assert_both_were_heard(call(client, url, "relay"))
    assert call(client, url) == {"failure": "TimeoutError"}


def test_the_relay_opens_for_our_passwords_until_they_expire(network: Network) -> None:
    world = internet(network)
    turn = relay(network, world)
    now = int(time.time())
    ours = turn_credentials(SECRET, "guest", expires_at=now + 60)
    expired = turn_credentials(SECRET, "guest", expires_at=now - 60)
    others = turn_credentials("another secret", "guest", expires_at=now + 60)
    longer = (f"{now + 6_000}:guest", ours[1])
    asked = [":".join(credential) for credential in (ours, expired, others, longer)]
    process = world.start(sys.executable, "-m", "tests.rtc.far_relay", TURN, *asked)
    output, _ = process.communicate(timeout=_TIMEOUT)
    assert output.split() == ["opened", "401", "401", "401"], turn.log.read_text()


def test_a_call_needs_no_ipv4(network: Network) -> None:
    router, server, client = (network.host(name) for name in ("router", "server", "client"))
    network.wire(router, "one", "2001:db8:1::1/64", server, "eth0", "2001:db8:1::2/64")
    network.wire(router, "two", "2001:db8:2::1/64", client, "eth0", "2001:db8:2::2/64")
    server.route("2001:db8:1::1")
    client.route("2001:db8:2::1")
    router.forward()
    serve(server, "server.host=::")
    assert_both_were_heard(call(client, f"http://[2001:db8:1::2]:{HTTP_PORT}"))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_machine_without_a_network_calls_itself(network: Network, host: str) -> None:
    machine = network.host("machine")
    serve(machine, f"server.host={host.strip('[]')}")
    assert_both_were_heard(call(machine, f"http://{host}:{HTTP_PORT}"))

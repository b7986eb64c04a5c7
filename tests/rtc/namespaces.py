"""Small internets made of Linux network namespaces: hosts, routers, firewalls and wires, all gone at the end.

    with Network(directory) as network:
        home, client = network.host("home"), network.host("client")
        network.wire(home, "lan", "10.7.0.1/24", client, "eth0", "10.7.0.2/24")
        client.run("ip", "route", "add", "default", "via", "10.7.0.1")
        home.forward()
        home.rules("add table …")                                      # nftables
        client.start("python", "-m", "…")

Nothing of it touches the machine's own network: wires go from namespace to namespace. Takes root.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

_RUN_TIMEOUT = 10.0
"""Seconds that a command of ``ip``, ``nft`` and the like is given."""
_END_TIMEOUT = 5.0
"""Seconds from asking a process to end until it is ended."""

_numbers = itertools.count()


def skip_unless_possible(*commands: str) -> None:
    """Skip the test where namespaces cannot be made, and say what is missing."""
    if missing := [name for name in ("ip", "nft", *commands) if shutil.which(name) is None]:
        pytest.skip(f"commands for network namespaces are missing: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    name = _name("probe")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, timeout=_RUN_TIMEOUT)
    if made.returncode != 0:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    _delete(name)


class Network:
    """Hosts and the wires between them; ``directory`` takes what the hosts' processes print."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._hosts: list[Host] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts:
            host.end_processes()
        for host in self._hosts:
            _delete(host.namespace)

    def host(self, name: str) -> Host:
        """Make a host that has nothing but a loopback interface."""
        host = Host(name, self.directory)
        self._hosts.append(host)
        host.run("ip", "link", "set", "lo", "up")
        return host

    def wire(
        self, one: Host, name: str, address: str, other: Host, other_name: str, other_address: str
    ) -> None:
        """Join two hosts; addresses have the length of their prefix, as in ``10.7.0.1/24``."""
        pair = ["type", "veth", "peer", "name", other_name, "netns", other.namespace]
        one.run("ip", "link", "add", name, *pair)
        for host, interface, own in ((one, name, address), (other, other_name, other_address)):
            # Without asking the network first whether somebody else has it, which takes a second.
            no_question = ["nodad"] if ":" in own else []
            host.run("ip", "address", "add", own, "dev", interface, *no_question)
            host.run("ip", "link", "set", interface, "up")


class Host:
    """A machine, or a container, with a network of its own."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.namespace = _name(name)
        self._directory = directory
        self._processes: list[subprocess.Popen[str]] = []
        subprocess.run(["ip", "netns", "add", self.namespace], check=True, timeout=_RUN_TIMEOUT)

    def run(self, *command: str, text: str | None = None) -> None:
        """Run a command to its end; ``text`` is its input."""
        done = subprocess.run(
            self._inside(*command), input=text, capture_output=True, text=True, timeout=_RUN_TIMEOUT
        )
        assert done.returncode == 0, f"{self.name}: {' '.join(command)}: {done.stderr}"

    def rules(self, text: str) -> None:
        """Load rules for nftables."""
        self.run("nft", "-f", "-", text=text)

    def forward(self) -> None:
        """Pass packets on, as a router does."""
        self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")

    def route(self, gateway: str) -> None:
        """Send everything else to ``gateway``."""
        self.run("ip", "-6" if ":" in gateway else "-4", "route", "add", "default", "via", gateway)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a program, whose output is read from the returned process and whose log is a file."""
        log = self.log.open("a")
        with log:
            process = subprocess.Popen(
                self._inside(*command), stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPOSITORY
            )
        self._processes.append(process)
        return process

    @property
    def log(self) -> Path:
        """What the host's programs complain of."""
        return self._directory / f"{self.name}.log"

    def end_processes(self) -> None:
        """End what was started."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + _END_TIMEOUT
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def _inside(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *command]


def _name(name: str) -> str:
    return f"voicertc-{os.getpid()}-{next(_numbers)}-{name}"


def _delete(namespace: str) -> None:
    subprocess.run(["ip", "netns", "delete", namespace], check=True, timeout=_RUN_TIMEOUT)

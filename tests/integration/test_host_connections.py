"""No connection that nobody needs is kept for months, and none that is used is cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standby.host.address import HostAddress
from standby.host.connections import Connections
from standby.host.interface import Host
from standby.host.ssh import SshHost
from tests.integration.host_sshd import Sshd, running_sshd

LIMIT = 10.0
HELD = ("sh", "-c", "echo up; while read -r _; do :; done")
LONG = 600.0


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def connections() -> Iterator[Connections]:
    with Connections() as made:
        yield made


def used(connections: Connections, address: HostAddress) -> SshHost:
    host = connections.host(address)
    host.run(("true",), timeout=LIMIT)
    assert isinstance(host, SshHost)
    return host


def is_connected(host: SshHost) -> bool:
    return any(link.alive for link in host._links)


def test_a_host_that_nobody_needs_any_more_is_closed(sshd: Sshd, connections: Connections) -> None:
    host = used(connections, sshd.address)
    assert is_connected(host)
    assert connections.close_unwanted((), 0) == (host.name,)
    assert not is_connected(host)
    assert connections.close_unwanted((), 0) == ()
    assert used(connections, sshd.address) is not host


def test_one_that_a_profile_names_stays(sshd: Sshd, connections: Connections) -> None:
    host = used(connections, sshd.address)
    assert connections.close_unwanted({sshd.address}, 0) == ()
    assert is_connected(host)


def test_one_that_was_asked_for_lately_stays(sshd: Sshd) -> None:
    clock = Clock()
    with Connections(steady=clock) as connections:
        connections.host(sshd.address)
        clock.now += LONG - 1
        assert connections.close_unwanted((), LONG) == ()


def test_one_that_holds_a_command_stays(sshd: Sshd, connections: Connections) -> None:
    host: Host = connections.host(sshd.address)
    held = host.hold(HELD, ready=b"up", timeout=LIMIT)
    assert connections.close_unwanted((), 0) == ()
    assert held.alive
    held.close()
    assert connections.close_unwanted((), 0) == (host.name,)


def test_one_whose_socket_is_forwarded_stays(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = connections.host(sshd.address)
    with host.forward(str(tmp_path / "socket")):
        assert connections.close_unwanted((), 0) == ()
    assert connections.close_unwanted((), 0) == (host.name,)


def test_who_still_has_it_connects_anew(sshd: Sshd, connections: Connections) -> None:
    host = used(connections, sshd.address)
    connections.close_unwanted((), 0)
    assert host.run(("echo", "here"), timeout=LIMIT).text == "here\n"
    host.close()

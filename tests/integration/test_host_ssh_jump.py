"""ssh_config is honoured alike for commands and for data: jumps, proxies, aliases, identities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standby.errors import AcceptHostKey, ReachHost
from standby.host.address import HostAddress
from standby.host.connections import Connections
from standby.host.interface import Host
from tests.integration.host_sshd import ME, Sshd, make_key, public, running_sshd

TRUE = ("true",)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "far") as running:
        yield running


@pytest.fixture
def jump(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "jump") as running:
        yield running


@pytest.fixture
def connections() -> Iterator[Connections]:
    with Connections() as made:
        yield made


def section(alias: str, sshd: Sshd, *more: str) -> str:
    """Return what ssh_config says of one sshd."""
    lines = (
        f"Host {alias}",
        "HostName 127.0.0.1",
        f"Port {sshd.port}",
        f"User {ME}",
        f"IdentityFile {sshd.identity}",
        f"UserKnownHostsFile {sshd.known_hosts}",
        *more,
    )
    return "\n  ".join(lines) + "\n"


def configured(connections: Connections, path: Path, *sections: str) -> Host:
    path.write_text("".join(sections))
    return connections.host(HostAddress("kvm", "far", ssh_config=str(path), connect_timeout=5))


def works(host: Host) -> bool:
    """Tell whether commands and data arrive."""
    with host.forward("/nonexistent") as local:
        return host.run(("echo", "here"), timeout=10).text == "here\n" and bool(local)


def test_an_alias_with_port_user_and_identity_is_reached(
    far: Sshd, connections: Connections, tmp_path: Path
) -> None:
    assert works(configured(connections, tmp_path / "config", section("far", far)))


def test_a_host_behind_another_is_reached(
    far: Sshd, jump: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = configured(
        connections,
        tmp_path / "config",
        section("far", far, "ProxyJump jump"),
        section("jump", jump),
    )
    assert works(host)
    assert "Accepted publickey" in jump.log.read_text()


def test_a_jump_may_be_written_out_with_user_and_port(
    far: Sshd, jump: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = configured(
        connections,
        tmp_path / "config",
        section("far", far, f"ProxyJump {ME}@127.0.0.2:{jump.port}"),
        section("127.0.0.2", jump),
    )
    # The section of the jump host names its address: 127.0.0.1, where it listens.
    assert works(host)


def test_two_jumps_in_a_row_are_made(
    far: Sshd, jump: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = configured(
        connections,
        tmp_path / "config",
        section("far", far, "ProxyJump jump,again"),
        section("jump again", jump),
    )
    assert works(host)
    assert jump.log.read_text().count("Accepted publickey") >= 4


def test_a_proxy_command_is_used_with_its_tokens(
    far: Sshd, jump: Sshd, connections: Connections, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    proxy = f"ProxyCommand ssh -F {config} -W %h:%p jump"
    host = configured(connections, config, section("far", far, proxy), section("jump", jump))
    assert works(host)
    assert "Accepted publickey" in jump.log.read_text()


def test_an_unknown_key_of_the_jump_host_is_refused(
    far: Sshd, jump: Sshd, connections: Connections, tmp_path: Path
) -> None:
    jump.know()
    host = configured(
        connections,
        tmp_path / "config",
        section("far", far, "ProxyJump jump"),
        section("jump", jump),
    )
    with pytest.raises(AcceptHostKey):
        host.run(TRUE, timeout=10)
    with pytest.raises(AcceptHostKey), host.forward("/socket"):
        pass


def test_an_unknown_key_behind_the_jump_host_is_refused(
    far: Sshd, jump: Sshd, connections: Connections, tmp_path: Path
) -> None:
    far.know(make_key(tmp_path / "other"))
    host = configured(
        connections,
        tmp_path / "config",
        section("far", far, "ProxyJump jump"),
        section("jump", jump),
    )
    with pytest.raises(AcceptHostKey, match="changed"):
        host.run(TRUE, timeout=10)


def test_a_jump_host_that_is_down_is_unreachable(
    far: Sshd, jump: Sshd, connections: Connections, tmp_path: Path
) -> None:
    jump.process.kill()
    jump.process.wait()
    host = configured(
        connections,
        tmp_path / "config",
        section("far", far, "ProxyJump jump"),
        section("jump", jump),
    )
    with pytest.raises(ReachHost, match="refused"):
        host.run(TRUE, timeout=10)
    with pytest.raises(ReachHost, match="refused"), host.forward("/socket"):
        pass


def test_settings_that_do_not_belong_to_us_do_no_harm(
    far: Sshd, connections: Connections, tmp_path: Path
) -> None:
    foreign = (
        "StrictHostKeyChecking no",
        "ControlMaster auto",
        f"ControlPath {tmp_path}/mux-%C",
        "ControlPersist yes",
        "RequestTTY yes",
        "RemoteCommand echo not this",
        "LocalForward 127.0.0.1:1 127.0.0.1:2",
        f"LocalForward {tmp_path}/foreign.sock /nowhere",
        "PermitLocalCommand yes",
        "LocalCommand echo not this either",
        "ForwardAgent yes",
        "LogLevel DEBUG",
    )
    host = configured(connections, tmp_path / "config", section("far", far, *foreign))
    assert works(host)
    connections.close()
    assert not list(tmp_path.glob("mux-*"))
    assert not (tmp_path / "foreign.sock").exists()


def test_checking_host_keys_cannot_be_configured_away(
    far: Sshd, connections: Connections, tmp_path: Path
) -> None:
    known = public(make_key(tmp_path / "other"))
    far.known_hosts.write_text(f"other {known}\n")
    host = configured(
        connections, tmp_path / "config", section("far", far, "StrictHostKeyChecking no")
    )
    with pytest.raises(AcceptHostKey):
        host.run(TRUE, timeout=10)
    with pytest.raises(AcceptHostKey), host.forward("/socket"):
        pass
    assert far.known_hosts.read_text() == f"other {known}\n"

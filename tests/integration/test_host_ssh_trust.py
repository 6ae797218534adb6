"""Whom we trust and who trusts us: host keys, user keys, and errors that say what to do."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from standby.errors import AcceptHostKey, Cancelled, FixProfile, GrantAccess, ReachHost
from standby.host.address import HostAddress
from standby.host.connections import Connections
from tests.integration.host_sshd import ME, Sshd, fingerprint_of, make_key, public, running_sshd

TRUE = ("true",)
SESAME = "open sesame ü"


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def connections() -> Iterator[Connections]:
    with Connections() as made:
        yield made


def follow(remedy: str) -> None:
    """Do what a remedy says: its command stands after the last colon and space."""
    subprocess.run(("sh", "-c", remedy.rpartition(": ")[2]), check=True, capture_output=True)


def test_an_unknown_key_is_refused_and_shown(sshd: Sshd, connections: Connections) -> None:
    sshd.know()
    with pytest.raises(AcceptHostKey) as caught:
        connections.host(sshd.address).run(TRUE, timeout=10)
    assert fingerprint_of(sshd.host_keys[0]) in caught.value.found
    assert sshd.known_hosts.read_text() == ""


def test_the_remedy_for_an_unknown_key_is_a_command_that_works(
    sshd: Sshd, connections: Connections
) -> None:
    sshd.know()
    host = connections.host(sshd.address)
    with pytest.raises(AcceptHostKey) as caught:
        host.run(TRUE, timeout=10)
    follow(caught.value.remedy)
    host.run(TRUE, timeout=10)
    with host.forward("/nonexistent"):
        pass


def test_a_changed_key_is_refused_naming_the_old_line(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    old = make_key(tmp_path / "old")
    sshd.known_hosts.write_text(f"# first\n[127.0.0.1]:{sshd.port} {public(old)}\n")
    host = connections.host(sshd.address)
    with pytest.raises(AcceptHostKey, match="changed") as caught:
        host.run(TRUE, timeout=10)
    assert f"{sshd.known_hosts}:2" in caught.value.expected
    assert fingerprint_of(old) in caught.value.expected
    assert fingerprint_of(sshd.host_keys[0]) in caught.value.found
    follow(caught.value.remedy)
    host.run(TRUE, timeout=10)


def test_nobody_logs_in_to_a_host_with_a_wrong_key(
    connections: Connections, tmp_path: Path
) -> None:
    asked: list[str] = []
    with running_sshd(tmp_path / "debug", extra="LogLevel DEBUG") as sshd:
        sshd.know(sshd.identity)
        host = connections.host(sshd.but(password=lambda: asked.append("password") or "secret"))
        with pytest.raises(AcceptHostKey):
            host.run(TRUE, timeout=10)
        assert asked == []
        assert "userauth-request" not in sshd.log.read_text()
        sshd.know(*sshd.host_keys)
        host.run(TRUE, timeout=10)
        assert "userauth-request" in sshd.log.read_text()


def test_data_goes_to_no_host_with_a_wrong_key(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    sshd.know(make_key(tmp_path / "old"))
    with pytest.raises(AcceptHostKey), connections.host(sshd.address).forward("/socket"):
        pass


def test_a_revoked_key_is_refused(sshd: Sshd, connections: Connections) -> None:
    line = f"[127.0.0.1]:{sshd.port} {public(sshd.host_keys[0])}\n"
    sshd.known_hosts.write_text(f"{line}@revoked {line}")
    with pytest.raises(AcceptHostKey, match="revoked"):
        connections.host(sshd.address).run(TRUE, timeout=10)


def test_a_hashed_name_is_found(sshd: Sshd, connections: Connections) -> None:
    command = ("ssh-keygen", "-q", "-H", "-f", str(sshd.known_hosts))
    subprocess.run(command, check=True, capture_output=True)
    assert "127.0.0.1" not in sshd.known_hosts.read_text()
    connections.host(sshd.address).run(TRUE, timeout=10)


def test_an_entry_without_the_port_is_found(sshd: Sshd, connections: Connections) -> None:
    sshd.known_hosts.write_text(f"127.0.0.1 {public(sshd.host_keys[0])}\n")
    connections.host(sshd.address).run(TRUE, timeout=10)


def test_an_alias_of_the_host_key_is_used(sshd: Sshd, connections: Connections) -> None:
    sshd.known_hosts.write_text(f"the-kvm-host {public(sshd.host_keys[0])}\n")
    configuration = sshd.directory / "ssh_config"
    configuration.write_text("Host *\n  HostKeyAlias the-kvm-host\n")
    host = connections.host(sshd.but(ssh_config=str(configuration)))
    host.run(TRUE, timeout=10)
    with host.forward("/nonexistent"):
        pass


@pytest.mark.parametrize("known", [0, 1, 2])
def test_the_kind_of_key_that_is_known_is_asked_for(
    tmp_path: Path, connections: Connections, known: int
) -> None:
    with running_sshd(tmp_path / "many", kinds=("ed25519", "ecdsa", "rsa")) as sshd:
        sshd.know(sshd.host_keys[known])
        connections.host(sshd.address).run(TRUE, timeout=10)


def test_a_certificate_authority_alone_is_not_enough_and_it_is_said(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    authority = public(make_key(tmp_path / "authority"))
    sshd.known_hosts.write_text(f"@cert-authority [127.0.0.1]:{sshd.port} {authority}\n")
    with pytest.raises(AcceptHostKey, match="certificates are not supported"):
        connections.host(sshd.address).run(TRUE, timeout=10)


def test_a_wrong_user_key_names_user_and_key(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other")
    with pytest.raises(GrantAccess) as caught:
        connections.host(sshd.but(identity_file=str(other))).run(TRUE, timeout=10)
    assert f"user {ME}" in caught.value.found
    assert str(other) in caught.value.found


def test_a_wrong_user_key_is_refused_for_data_too(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other")
    host = connections.host(sshd.but(identity_file=str(other)))
    with pytest.raises(GrantAccess), host.forward("/socket"):
        pass


def test_a_missing_user_key_is_said(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    address = sshd.but(identity_file=str(tmp_path / "nothing"))
    with pytest.raises(GrantAccess, match="tried nothing"):
        connections.host(address).run(TRUE, timeout=10)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_kind_of_user_key_is_accepted(
    sshd: Sshd, connections: Connections, tmp_path: Path, kind: str
) -> None:
    key = make_key(tmp_path / kind, kind)
    (sshd.directory / "authorized").write_text(public(key))
    connections.host(sshd.but(identity_file=str(key))).run(TRUE, timeout=10)


@pytest.fixture
def encrypted(sshd: Sshd, tmp_path: Path) -> Path:
    key = make_key(tmp_path / "encrypted", passphrase=SESAME)
    (sshd.directory / "authorized").write_text(public(key))
    return key


def test_an_encrypted_key_works_for_commands_and_data(
    sshd: Sshd, connections: Connections, encrypted: Path
) -> None:
    address = sshd.but(identity_file=str(encrypted), passphrase=lambda: SESAME)
    host = connections.host(address)
    host.run(TRUE, timeout=10)
    with host.forward("/nonexistent"):
        pass


@pytest.mark.parametrize(
    ("answer", "said"), [(None, "no passphrase is given"), ("wrong", "passphrase is wrong")]
)
def test_an_encrypted_key_that_cannot_be_opened_is_said(
    sshd: Sshd, connections: Connections, encrypted: Path, answer: str | None, said: str
) -> None:
    secret = None if answer is None else lambda: answer
    address = sshd.but(identity_file=str(encrypted), passphrase=secret)
    host = connections.host(address)
    with pytest.raises(GrantAccess, match=said):
        host.run(TRUE, timeout=10)
    with pytest.raises(GrantAccess), host.forward("/socket"):
        pass


def test_a_passphrase_stands_in_no_log_no_command_line_no_file(
    sshd: Sshd,
    connections: Connections,
    encrypted: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for logger in ("", "standby"):
        caplog.set_level("DEBUG", logger)
    address = sshd.but(identity_file=str(encrypted), passphrase=lambda: SESAME)
    host = connections.host(address)
    host.run(TRUE, timeout=10, stdin=b"the input is secret")
    with host.forward("/nonexistent") as local:
        files = Path(local).parent.rglob("*")
        assert not any(b"sesame" in file.read_bytes() for file in files if file.is_file())
    assert "true" in caplog.text
    assert "sesame" not in caplog.text
    assert "the input is secret" not in caplog.text


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "agent"
    command = ("ssh-agent", "-D", "-a", str(path))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # it says where it listens once it does
        yield path
        process.kill()


def test_a_key_of_the_agent_is_used(
    sshd: Sshd, connections: Connections, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    subprocess.run(("ssh-add", "-q", str(sshd.identity)), check=True)
    sshd.identity.unlink()
    host = connections.host(sshd.but(identity_file=""))
    host.run(TRUE, timeout=10)
    with host.forward("/nonexistent"):
        pass


def test_an_agent_that_ssh_config_names_is_used(
    sshd: Sshd, connections: Connections, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    environment = os.environ | {"SSH_AUTH_SOCK": str(agent)}
    subprocess.run(("ssh-add", "-q", str(sshd.identity)), check=True, env=environment)
    configuration = sshd.directory / "ssh_config"
    configuration.write_text(f"IdentityAgent {agent}\n")
    host = connections.host(sshd.but(identity_file="", ssh_config=str(configuration)))
    host.run(TRUE, timeout=10)


def test_a_named_key_is_the_only_one_offered(
    sshd: Sshd,
    connections: Connections,
    agent: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    subprocess.run(("ssh-add", "-q", str(sshd.identity)), check=True)
    other = make_key(tmp_path / "other")
    with pytest.raises(GrantAccess) as caught:
        connections.host(sshd.but(identity_file=str(other))).run(TRUE, timeout=10)
    assert fingerprint_of(sshd.identity) not in caught.value.found


def test_a_refused_connection_is_unreachable(connections: Connections) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = HostAddress("kvm", f"ssh://root@127.0.0.1:{unused.getsockname()[1]}")
        host = connections.host(address)
        with pytest.raises(ReachHost, match="refused"):
            host.run(TRUE, timeout=10)
        with pytest.raises(ReachHost, match="refused"), host.forward("/socket"):
            pass


def test_an_unknown_name_is_unreachable(connections: Connections) -> None:
    host = connections.host(HostAddress("kvm", "root@no-such-host.invalid"))
    with pytest.raises(ReachHost, match="name not found"):
        host.run(TRUE, timeout=10)
    with pytest.raises(ReachHost), host.forward("/socket"):
        pass


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_does_not_speak_ssh_is_given_up_in_time(
    connections: Connections, greeting: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        destination = f"ssh://root@127.0.0.1:{server.getsockname()[1]}"
        address = HostAddress("kvm", destination, connect_timeout=1)
        if greeting:
            threading.Thread(target=lambda: server.accept()[0].sendall(greeting)).start()
        with pytest.raises(ReachHost, match="no SSH answer"):
            connections.host(address).run(TRUE, timeout=10)


def test_who_wants_to_stop_does_not_wait_for_a_host_that_says_nothing() -> None:
    """Neither for commands nor for data."""
    cancel = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server, Connections(cancel=cancel) as made:
        destination = f"ssh://root@127.0.0.1:{server.getsockname()[1]}"
        host = made.host(HostAddress("kvm", destination, connect_timeout=20))

        def stop_once_connected() -> None:
            stack.enter_context(server.accept()[0])
            cancel.set()

        for use in (lambda: host.run(TRUE, timeout=10), host.forward("/socket").__enter__):
            cancel.clear()
            with ExitStack() as stack:
                threading.Thread(target=stop_once_connected).start()
                with pytest.raises(Cancelled):
                    use()


def test_a_wrong_ssh_config_is_an_error_with_its_line(
    connections: Connections, tmp_path: Path
) -> None:
    configuration = tmp_path / "ssh_config"
    configuration.write_text("Host *\n  NoSuchSetting yes\n")
    address = HostAddress("kvm", "root@127.0.0.1", ssh_config=str(configuration))
    with pytest.raises(FixProfile, match=re.escape(f"{configuration}") + ".*line 2"):
        connections.host(address).run(TRUE, timeout=10)


@pytest.mark.parametrize("destination", ["-oProxyCommand=id", "", "a b", "a\nb"])
def test_a_destination_that_is_none_is_refused(destination: str) -> None:
    with pytest.raises(FixProfile):
        HostAddress("kvm", destination)

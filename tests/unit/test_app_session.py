"""How a host's file becomes the address that the host room connects to."""

from __future__ import annotations

from pathlib import Path

import pytest
from configuration_files import PROFILE, loaded, write_root

from standby.app.session import Session, host_address, ssh_destination
from standby.host.privilege import Privilege
from standby.profile import Compression, Configuration, SshAddress


@pytest.mark.parametrize(
    ("address", "destination"),
    [
        (SshAddress("kvm1"), "kvm1"),
        (SshAddress("kvm1", "root"), "root@kvm1"),
        (SshAddress("kvm1", "root", 2222), "ssh://root@kvm1:2222"),
        (SshAddress("kvm1", None, 2222), "ssh://kvm1:2222"),
        (SshAddress("fe80::1%eth0", "root"), "root@fe80::1%eth0"),
        (SshAddress("2001:db8::1", "root", 22), "ssh://root@[2001:db8::1]:22"),
    ],
)
def test_an_address_is_written_as_ssh_takes_it(address: SshAddress, destination: str) -> None:
    assert ssh_destination(address) == destination


def test_nothing_of_a_hosts_file_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """\
address: op@kvm1:2222
identity_file: /k/id
known_hosts: /k/known
ssh_config: /k/config
passphrase: {env: KEY_SECRET}
password: {env: LOGIN_SECRET}
sudo: true
connect_timeout: 7s
"""
    monkeypatch.setenv("KEY_SECRET", "one")
    monkeypatch.setenv("LOGIN_SECRET", "two")
    settings = Configuration(write_root(tmp_path, {"hosts/kvm1.yaml": text})).host("kvm1")
    address = host_address(settings, Compression.SSH)
    assert address.destination == "ssh://op@kvm1:2222"
    assert (address.identity_file, address.known_hosts) == ("/k/id", "/k/known")
    assert (address.ssh_config, address.privilege) == ("/k/config", Privilege.SUDO)
    assert (address.connect_timeout, address.compression) == (7.0, True)
    assert address.passphrase is not None
    assert address.password is not None
    assert (address.passphrase(), address.password()) == ("one", "two")


def test_the_manager_itself_needs_no_ssh(tmp_path: Path) -> None:
    address = host_address(Configuration(write_root(tmp_path, {})).host("local"), Compression.NONE)
    assert address.destination is None


def test_connections_to_hosts_that_a_profile_names_are_kept(tmp_path: Path) -> None:
    more = "transfer: {compression: ssh}\nlimits: {nice: 7}\n"
    profile = loaded(tmp_path, {"profiles/web1.yaml": PROFILE + more})
    with Session(tmp_path) as session:
        hosts = session.source_host(profile), session.kvm_host(profile)
        assert session.close_unwanted([profile], 0) == ()
        assert (session.source_host(profile), session.kvm_host(profile)) == hosts
        assert set(session.close_unwanted([], 0)) == {"hv1", "kvm1"}

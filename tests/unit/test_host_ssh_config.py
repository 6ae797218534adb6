"""What `ssh -G` says, read into what holds for one destination."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from standby.errors import AcceptHostKey, GrantAccess, ReachHost
from standby.host.address import HostAddress
from standby.host.local import LocalHost
from standby.host.ssh_config import effective, options, parse
from standby.host.ssh_proxy import proxy_command, translate

HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)


def ask(text: str, directory: Path, destination: str = "web") -> HostAddress:
    file = directory / "config"
    file.write_text(text)
    return HostAddress("kvm", destination, ssh_config=str(file))


def test_defaults_are_those_of_ssh(tmp_path: Path) -> None:
    found = effective(ask("", tmp_path, "somebody@web"), LocalHost())
    assert (found.user, found.hostname, found.port) == ("somebody", "web", 22)
    assert HOME / ".ssh" / "id_ed25519" in found.identity_files
    assert found.known_hosts[0] == HOME / ".ssh" / "known_hosts"
    assert found.key_names == ("web",)
    assert not found.identities_only
    assert found.identity_agent is None
    assert proxy_command(ask("", tmp_path), found) == ()


def test_a_host_s_section_is_honoured(tmp_path: Path) -> None:
    text = (
        "Host web\n HostName 192.0.2.7\n Port 2222\n User op\n IdentityFile ~/keys/%h\n"
        " IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile /k1 /k2\n"
        " GlobalKnownHostsFile none\n AddressFamily inet6\n"
    )
    found = effective(ask(text, tmp_path), LocalHost())
    assert found.login == "op@192.0.2.7:2222"
    assert found.identity_files == (HOME / "keys" / "192.0.2.7",)
    assert found.identities_only
    assert found.identity_agent == "none"
    assert found.known_hosts == (Path("/k1"), Path("/k2"))
    assert found.key_names == ("[192.0.2.7]:2222", "192.0.2.7")
    assert found.address_family == "inet6"


def test_what_the_address_says_wins_over_ssh_config(tmp_path: Path) -> None:
    asked = ask("Host *\n IdentityFile /theirs\n UserKnownHostsFile /theirs\n", tmp_path)
    address = HostAddress(
        "kvm",
        "ssh://op@web:2200",
        identity_file=str(tmp_path / "my 100% key"),
        known_hosts=str(tmp_path / "k"),
        ssh_config=asked.ssh_config,
    )
    found = effective(address, LocalHost())
    assert (found.user, found.port, found.identities_only) == ("op", 2200, True)
    assert found.identity_files[0] == tmp_path / "my 100% key"
    assert found.known_hosts[0] == tmp_path / "k"


def test_an_alias_alone_names_the_key(tmp_path: Path) -> None:
    found = effective(ask("Host *\n HostKeyAlias a\n Port 99\n", tmp_path), LocalHost())
    assert found.key_names == ("a",)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("ProxyJump j", ("-W", "[web]:22", "--", "j")),
        ("ProxyJump u@j:2222", ("-W", "[web]:22", "--", "ssh://u@j:2222")),
        ("ProxyJump a,u@b:3,c", ("-J", "a,u@b:3", "-W", "[web]:22", "--", "c")),
        ("ProxyCommand nc -x 'a b' %h %p", ("nc", "-x", "a b", "web", "22")),
    ],
)
def test_proxies_become_argument_lists(
    tmp_path: Path, setting: str, expected: tuple[str, ...]
) -> None:
    address = ask(f"Host web\n {setting}\n", tmp_path)
    command = proxy_command(address, effective(address, LocalHost()))
    assert command[-len(expected) :] == expected
    if "Jump" in setting:
        assert command[:3] == ("ssh", "-F", address.ssh_config)


def test_host_keys_are_checked_whatever_is_asked_for() -> None:
    assert "StrictHostKeyChecking=yes" in options(HostAddress("kvm", "web"))


def test_compression_is_asked_for_only_when_wanted() -> None:
    assert "Compression=no" in options(HostAddress("kvm", "web"))
    assert "Compression=yes" in options(HostAddress("kvm", "web", compression=True))


def test_a_word_that_is_unknown_is_ignored() -> None:
    found = parse("user u\nhostname h\nport 22\nnews of 2040\n", "h")
    assert found.login == "u@h"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Host key verification failed.", AcceptHostKey),
        ("root@h: Permission denied (publickey).", GrantAccess),
        ("ssh: connect to host h port 22: Connection refused", ReachHost),
        ("", ReachHost),
    ],
)
def test_the_last_words_of_ssh_name_the_remedy(words: str, kind: type) -> None:
    assert type(translate(words, "kvm")) is kind

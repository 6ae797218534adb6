"""Hosts are local or behind SSH; secrets are references, and never repeated."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from configuration_files import PROFILE, loaded, mistakes, only_mistake, write_root
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import FixProfile
from standby.profile import (
    Configuration,
    HostSettings,
    LocalAddress,
    Profile,
    ProfileMistakes,
    SecretFile,
    SecretVariable,
    SshAddress,
)
from standby.profile.hosts import WrittenAddress

SYSTEM = "qemu:///system"


def host(root: Path, text: str) -> HostSettings:
    return Configuration(write_root(root, {"hosts/kvm1.yaml": text})).host("kvm1")


@pytest.mark.parametrize(
    ("text", "address", "libvirt_uri"),
    [
        ("local", LocalAddress(), SYSTEM),
        ("kvm1", SshAddress("kvm1"), SYSTEM),
        ("root@kvm1.example.org:2222", SshAddress("kvm1.example.org", "root", 2222), SYSTEM),
        ("root@192.0.2.7", SshAddress("192.0.2.7", "root"), SYSTEM),
        ("root@[2001:db8::7]:22", SshAddress("2001:db8::7", "root", 22), SYSTEM),
        ("qemu:///system", LocalAddress(), SYSTEM),
        ("qemu:///session", LocalAddress(), "qemu:///session"),
        ("qemu+ssh://root@kvm1/system", SshAddress("kvm1", "root"), SYSTEM),
        ("qemu+ssh://kvm1:2222/session", SshAddress("kvm1", None, 2222), "qemu:///session"),
    ],
)
def test_an_address_is_local_or_an_ssh_destination_or_a_libvirt_uri(
    tmp_path: Path, text: str, address: object, libvirt_uri: str
) -> None:
    settings = host(tmp_path, f"address: {text}\n")
    assert settings.address == address
    assert settings.libvirt_uri == libvirt_uri
    assert settings.is_local == isinstance(address, LocalAddress)


@pytest.mark.parametrize(
    "text",
    [
        "'-oProxyCommand=id'",
        "root@-oProxyCommand=id",
        "'-l@kvm1'",
        "a b",
        "kvm1:0",
        "kvm1:65536",
        "2001:db8::7",
        "kvm1/x",
        "kvm1;id",
        "''",
        "22",
        "qemu+tcp://kvm1/system",
        "qemu+ssh:///system",
        "qemu://kvm1/system",
        "qemu+ssh://root@kvm1/system?keyfile=/x",
        "qemu+ssh://root@-x/system",
    ],
)
def test_an_address_that_ssh_could_misread_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProfileMistakes, match=r"hosts/kvm1.yaml:1: address: .*allowed: local, "):
        host(tmp_path, f"address: {text}\n")


@given(st.text(max_size=40))
def test_no_text_makes_an_address_that_ssh_would_take_for_an_option(text: str) -> None:
    try:
        written = WrittenAddress.parse(text).address
    except ValueError:
        return
    if isinstance(written, SshAddress):
        assert not str(written).startswith("-")
        assert not written.host.startswith("-")
        assert WrittenAddress.parse(str(written)).address == written


def test_all_settings_of_a_host_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/admin")
    settings = host(
        tmp_path,
        "address: admin@kvm1\nidentity_file: ~/.ssh/id\nknown_hosts: /etc/known\nsudo: true\n"
        "connect_timeout: 1m\npassword: {file: /run/secret}\npassphrase: {env: PASSPHRASE}\n"
        "ssh_config: ~/config\n"
        "libvirt_uri: qemu+unix:///system?socket=/run/other.sock\n",
    )
    assert settings == HostSettings(
        "kvm1",
        SshAddress("kvm1", "admin"),
        identity_file=Path("/home/admin/.ssh/id"),
        known_hosts=Path("/etc/known"),
        ssh_config=Path("/home/admin/config"),
        passphrase=SecretVariable(env="PASSPHRASE"),
        password=SecretFile(file=Path("/run/secret")),
        sudo=True,
        connect_timeout=timedelta(minutes=1),
        libvirt_uri="qemu+unix:///system?socket=/run/other.sock",
    )


def test_an_address_and_a_uri_that_disagree_are_a_mistake(tmp_path: Path) -> None:
    text = "address: qemu+ssh://root@kvm1/system\nlibvirt_uri: qemu:///session\n"
    with pytest.raises(ProfileMistakes, match=r"kvm1.yaml:2: libvirt_uri: the address says"):
        host(tmp_path, text)
    same = "address: qemu+ssh://root@kvm1/system\nlibvirt_uri: qemu:///system\n"
    assert host(tmp_path, same).libvirt_uri == SYSTEM


@pytest.mark.parametrize(
    "key",
    [
        "identity_file: /a",
        "known_hosts: /a",
        "ssh_config: /a",
        "passphrase: {env: A}",
        "password: {env: A}",
    ],
)
def test_a_key_that_means_nothing_on_a_local_host_is_a_mistake(tmp_path: Path, key: str) -> None:
    with pytest.raises(ProfileMistakes, match=r"kvm1.yaml:2: \w+: means nothing on a local host"):
        host(tmp_path, f"address: local\n{key}\n")


def test_a_passphrase_needs_the_key_that_it_opens(tmp_path: Path) -> None:
    with pytest.raises(ProfileMistakes, match=r"kvm1.yaml:2: passphrase: is that of no key"):
        host(tmp_path, "address: kvm1\npassphrase: {env: A}\n")


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("kvm1", "kvm1"),
        ("root@kvm1", "root@kvm1"),
        ("root@kvm1:22", "ssh://root@kvm1:22"),
        ("root@[2001:db8::7]", "ssh://root@[2001:db8::7]"),
    ],
)
def test_an_address_is_written_as_ssh_takes_it(text: str, destination: str) -> None:
    address = WrittenAddress.parse(text).address
    assert isinstance(address, SshAddress)
    assert address.destination == destination


def test_a_path_that_ssh_config_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileMistakes, match="quotation mark"):
        host(tmp_path, "address: kvm1\nidentity_file: '/a\"b'\n")


def test_a_mistake_in_a_host_is_told_once_when_both_ends_are_on_it(tmp_path: Path) -> None:
    files = {
        "hosts/hv1.yaml": "adress: hv1\naddress: hv1\n",
        "profiles/web1.yaml": PROFILE.replace("kvm1", "hv1"),
    }
    assert only_mistake(tmp_path, files).mark.line == 1


def test_an_unknown_host_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(FixProfile, match="one of: hv1, kvm1, local"):
        Configuration(write_root(tmp_path, {})).host("kvm2")


# ---- secrets ---------------------------------------------------------------------------

SECRET = "hunter2"  # noqa: S105 - what must never be seen


@pytest.mark.parametrize(
    "text",
    [
        f"passphrase: {SECRET}",
        f"passphrase: {{file: {SECRET}}}",
        f"password: {SECRET}",
        f"password: '{SECRET}'",
        f"password: [{SECRET}]",
        f"password: {{{SECRET}}}",
        f"password: {{{SECRET}: }}",
        f"password: {{value: {SECRET}}}",
        f"password: {{file: {SECRET}}}",
        f"password: {{file: [{SECRET}]}}",
        f"password: {{file: {{x: {SECRET}}}}}",
        f"password: {{env: '{SECRET}!'}}",
        f"password: {{env: A, file: {SECRET}}}",
        f"password: !secret {SECRET}",
        f"address: root:{SECRET}@kvm1",
        f"address: qemu+ssh://root:{SECRET}@kvm1/system",
    ],
)
def test_a_secret_written_into_a_file_is_refused_and_not_repeated(
    tmp_path: Path, text: str
) -> None:
    address = "" if text.startswith("address") else "address: kvm1\n"
    files = {"hosts/kvm1.yaml": address + text, "profiles/web1.yaml": PROFILE}
    found = mistakes(tmp_path, files)
    assert SECRET not in "\n".join(map(repr, found))
    assert SECRET not in "\n".join(map(str, found))


def test_a_literal_secret_is_told_what_to_write_instead(tmp_path: Path) -> None:
    files = {
        "hosts/kvm1.yaml": f"address: kvm1\npassword: {SECRET}\n",
        "profiles/web1.yaml": PROFILE,
    }
    mistake = only_mistake(tmp_path, files)
    assert (mistake.path, mistake.mark.line) == ("password", 2)
    assert mistake.wrong == "a secret never stands in a file of the configuration"
    assert mistake.allowed == "a mapping with file, or a mapping with env, or null"


def secret_file(root: Path, text: str, mode: int = 0o600) -> SecretFile:
    file = root / "secret"
    file.write_text(text)
    file.chmod(mode)
    return SecretFile(file=file)


def test_a_secret_is_read_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KVM1", raising=False)
    reference = SecretVariable(env="KVM1")
    with pytest.raises(FixProfile, match="KVM1: is empty or not set"):
        reference.read()
    monkeypatch.setenv("KVM1", SECRET)
    assert reference.read().get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("text", "value"), [("a\n", "a"), ("a", "a"), ("a \r\n", "a "), ("\na\n\n", "\na\n")]
)
def test_one_line_end_after_a_secret_is_not_part_of_it(
    tmp_path: Path, text: str, value: str
) -> None:
    assert secret_file(tmp_path, text).read().get_secret_value() == value


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    assert secret_file(tmp_path, SECRET, 0o640).read().get_secret_value() == SECRET
    with pytest.raises(FixProfile, match="chmod 0600") as caught:
        secret_file(tmp_path, SECRET, 0o644).read()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_secret_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FixProfile, match="empty"):
        secret_file(tmp_path, text).read()


def test_a_secret_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FixProfile, match="No such file"):
        SecretFile(file=tmp_path / "gone").read()
    reference = secret_file(tmp_path, "")
    reference.file.write_bytes(b"\xff\xfe")
    with pytest.raises(FixProfile, match="not UTF-8"):
        reference.read()
    with pytest.raises(FixProfile, match=r"small regular file|directory"):
        SecretFile(file=tmp_path).read()


def test_no_secret_shows_in_a_profile_or_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVM1", SECRET)
    files = {
        "hosts/kvm1.yaml": "address: kvm1\npassword: {env: KVM1}\n",
        "profiles/web1.yaml": PROFILE,
    }
    profile: Profile = loaded(tmp_path, files)
    assert profile.target_host.password is not None
    read = profile.target_host.password.read()
    for shown in (profile, profile.effective(), profile.target_host, read):
        assert SECRET not in repr(shown)
        assert SECRET not in str(shown)

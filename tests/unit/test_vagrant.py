"""The Vagrantfile is sound, and makes the same lab as the embedded one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab.layout import ADDRESSES, CHECKOUT, HOST_BRIDGE, HYPERVISORS, STORAGE

VAGRANT = CHECKOUT / "vagrant"
VAGRANTFILE = VAGRANT / "Vagrantfile"
READER = Path(__file__).parent / "vagrantfile_reader.rb"
IN_MACHINES = "/srv/checkout/"
LAB = {host.value: address for host, address in ADDRESSES.items()}


class Call(NamedTuple):
    """One thing that the Vagrantfile says."""

    path: str
    arguments: list[Any]
    named: dict[str, Any]


@pytest.fixture(scope="module")
def said() -> list[Call]:
    assert shutil.which("ruby"), "ruby is not installed: lab/setup.sh does it"
    read = subprocess.run(
        ["ruby", str(READER), str(VAGRANTFILE)], capture_output=True, text=True, check=False
    )
    assert read.returncode == 0, read.stderr
    return [Call(*call) for call in json.loads(read.stdout)]


def of_machine(said: list[Call], machine: str, what: str) -> Iterator[Call]:
    return (call for call in said if call.path == f"vm.define({machine}).{what}")


def scripts_of(said: list[Call], machine: str) -> list[list[str]]:
    calls = of_machine(said, machine, "vm.provision")
    commands: list[list[str]] = [call.named["args"] for call in calls]
    return [[words[0].removeprefix(IN_MACHINES), *words[1:]] for words in commands]


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="vagrant is not installed")
def test_vagrant_accepts_it(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "VAGRANT_HOME": str(tmp_path / "home"),
        "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot"),
        "VAGRANT_DEFAULT_PROVIDER": "libvirt",
    }
    done = subprocess.run(
        ["vagrant", "validate"],
        cwd=VAGRANT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruby_finds_nothing_to_warn_about() -> None:
    checked = subprocess.run(
        ["ruby", "-wc", str(VAGRANTFILE)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_machines_have_the_names_addresses_and_storage_of_the_embedded_lab(
    said: list[Call],
) -> None:
    assert {call.arguments[0] for call in said if call.path == "vm.define"} == set(LAB)
    for name, address in LAB.items():
        (network,) = of_machine(said, name, "vm.network")
        assert (network.arguments, network.named["ip"]) == (["private_network"], address)
    for host in HYPERVISORS:
        commands = {words[0]: words[1:] for words in scripts_of(said, host.value)}
        assert commands["lab/provision/host.sh"][0] == str(STORAGE[host])


def test_hypervisors_may_use_the_processors_virtualisation(said: list[Call]) -> None:
    for host in HYPERVISORS:
        (nested,) = of_machine(said, host.value, "vm.provider(libvirt).nested=")
        assert nested.arguments == [True]


def test_every_script_is_there_and_can_run(said: list[Call]) -> None:
    found = {words[0] for machine in LAB for words in scripts_of(said, machine)}
    assert {"lab/provision/host.sh", "lab/provision/manager.sh"} < found
    for script in (*found, "vagrant/make-keys.sh"):
        file = CHECKOUT / script
        assert os.access(file, os.X_OK), script
        assert subprocess.run(["sh", "-n", str(file)], check=False).returncode == 0, script


def test_keys_never_travel_with_the_checkout(said: list[Call]) -> None:
    (checkout,) = (call for call in said if call.arguments == ["..", IN_MACHINES.rstrip("/")])
    assert "vagrant/keys/" in checkout.named["rsync__exclude"]
    for name in LAB:
        (keys,) = of_machine(said, name, "vm.synced_folder")
        assert keys.arguments[0] == f"keys/{name}"


def test_keys_are_made_before_and_make_every_host_known(said: list[Call], tmp_path: Path) -> None:
    (trigger,) = (call for call in said if call.path.endswith(".run="))
    assert trigger.path == "trigger.before(up,provision).run="
    script = shutil.copy(VAGRANT / trigger.arguments[0]["path"], tmp_path)
    make = [script, *trigger.arguments[0]["args"]]
    subprocess.run(make, check=True)
    keys = tmp_path / "keys"
    once = {file: file.read_text() for file in keys.rglob("*") if file.is_file()}
    subprocess.run(make, check=True)
    assert {file: file.read_text() for file in keys.rglob("*") if file.is_file()} == once

    known = (keys / "manager/known_hosts").read_text().splitlines()
    for host, line in zip(HYPERVISORS, known, strict=True):
        names, kind, key = line.split()
        assert names == f"{host.value},{LAB[host.value]}"
        public = (keys / host.value / "ssh_host_ed25519_key.pub").read_text().split()
        assert public[:2] == [kind, key]
        authorised = (keys / host.value / "manager.pub").read_text()
        assert authorised == (keys / "manager/id_ed25519.pub").read_text()
    assert all(file.stat().st_mode & 0o077 == 0 for file in once)
    assert not (keys / "source/id_ed25519").exists()


def test_guests_are_on_a_bridge_of_the_same_name_everywhere() -> None:
    assert f'<bridge name="{HOST_BRIDGE}"/>' in (VAGRANT / "lan.xml").read_text()

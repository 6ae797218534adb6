"""The machine type is the machine's own, or the nearest of its family that the host knows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from domain_cases import machine, settings

from standby.errors import InstallPrograms
from standby.target.domain.capabilities import GuestSupport, HostCapabilities, MachineType
from standby.target.domain.machine import Virtualisation
from standby.target.domain.platform import choose_platform, family_of

KVM, EMULATED = Virtualisation.KVM, Virtualisation.EMULATED
DEBIAN = (
    "pc-q35-6.2", "pc-q35-7.2", "pc-q35-7.10", "pc-i440fx-2.5", "pc-i440fx-7.2", "isapc",
    "microvm", "x-remote",
)  # fmt: skip
PLAIN = machine("plain-q35")


def host(*names: str, deprecated: tuple[str, ...] = (), **aliases: str) -> HostCapabilities:
    types = [MachineType(name, name, name in deprecated) for name in (*names, *deprecated)]
    types += [MachineType(alias, name) for alias, name in aliases.items()]
    guest = GuestSupport("x86_64", "/usr/bin/qemu", tuple(types), frozenset({KVM, EMULATED}))
    return HostCapabilities((guest,))


def chosen(wanted: str, of: HostCapabilities) -> str:
    asked = replace(PLAIN, machine_type=wanted)
    return choose_platform(asked, settings(PLAIN), of).value.machine_type


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("pc-q35-6.2", "pc-q35-6.2"),
        ("pc-q35-8.2", "pc-q35-7.10"),  # the newest there is; 10 is more than 2
        ("pc-q35-7.1", "pc-q35-6.2"),  # the newest that is not newer
        ("pc-q35-4.0", "pc-q35-6.2"),  # the oldest, when all are newer
        ("pc-q35-rhel9.4.0", "pc-q35-7.10"),
        ("pc-q35-noble", "pc-q35-7.10"),
        ("pc-i440fx-8.1+pve0", "pc-i440fx-7.2"),
        ("pc-i440fx-rhel7.6.0", "pc-i440fx-7.2"),
        ("pc-1.3", "pc-i440fx-2.5"),
        ("q35", "pc-q35-7.2"),
    ],
)
def test_a_machine_type_that_the_host_lacks_has_its_nearest_relative(
    wanted: str, expected: str
) -> None:
    assert chosen(wanted, host(*DEBIAN, q35="pc-q35-7.2")) == expected


def test_a_type_that_is_about_to_go_is_the_last_choice() -> None:
    assert chosen("pc-q35-5.0", host("pc-q35-6.0", deprecated=("pc-q35-4.0",))) == "pc-q35-6.0"
    assert chosen("pc-q35-5.0", host(deprecated=("pc-q35-4.0",))) == "pc-q35-4.0"


def test_a_replaced_type_is_reported_and_a_known_one_is_not() -> None:
    judged = choose_platform(
        replace(PLAIN, machine_type="pc-q35-9.9"), settings(PLAIN), host(*DEBIAN)
    )
    assert [entry.what for entry in judged.replaced] == ["machine type pc-q35-9.9"]
    assert choose_platform(PLAIN, settings(PLAIN), host(*DEBIAN)).replaced == ()


def test_a_family_that_the_host_lacks_is_an_error() -> None:
    with pytest.raises(InstallPrograms, match="q35"):
        chosen("pc-q35-7.2", host("pc-i440fx-7.2"))


def test_an_architecture_that_the_host_lacks_is_an_error_with_the_package() -> None:
    with pytest.raises(InstallPrograms, match="apt-get install"):
        choose_platform(machine("arm"), settings(PLAIN), host(*DEBIAN))


@pytest.mark.parametrize(
    ("domain_type", "asked", "offered", "expected", "reported"),
    [
        ("kvm", None, {KVM, EMULATED}, KVM, False),
        ("kvm", None, {EMULATED}, EMULATED, True),
        ("qemu", None, {KVM, EMULATED}, EMULATED, False),
        ("qemu", None, {KVM}, KVM, True),
        ("qemu", KVM, {KVM, EMULATED}, KVM, False),
        ("kvm", EMULATED, {KVM, EMULATED}, EMULATED, False),
        ("xen", None, {KVM, EMULATED}, KVM, False),
    ],
)
def test_virtualisation_is_the_machines_unless_asked_or_impossible(
    *,
    domain_type: str,
    asked: Virtualisation | None,
    offered: set[Virtualisation],
    expected: Virtualisation,
    reported: bool,
) -> None:
    there = host(*DEBIAN)
    guest = replace(there.guests[0], virtualisations=frozenset(offered))
    judged = choose_platform(
        replace(PLAIN, domain_type=domain_type),
        settings(PLAIN, virtualisation=asked),
        replace(there, guests=(guest,)),
    )
    assert judged.value.virtualisation is expected
    assert bool(judged.replaced) is reported


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("pc", "pc"),
        ("pc-0.12", "pc"),
        ("pc-i440fx-jammy", "pc"),
        ("pc-q35-rhel9.2.0", "q35"),
        ("ubuntu-q35", "q35"),
        ("virt-7.2", "virt"),
        ("microvm", "microvm"),
        ("s390-ccw-virtio-7.2", "s390-ccw-virtio"),
        ("pseries-7.2", "pseries"),
        ("isapc", "isapc"),
    ],
)
def test_families_are_told_by_name(name: str, family: str) -> None:
    assert family_of(name) == family

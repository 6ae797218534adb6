"""What `standby check` says of storages, names and networks of the KVM host, and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support import MIB, Protect
from support_check import PROBLEM, WARNING, Checker, texts
from support_cli import CommandLine

from lab import BlockGuest, Lab
from lab.testing import BlockGuestMaker


@pytest.fixture
def checker(cli: CommandLine) -> Checker:
    return Checker(cli)


@dataclass(frozen=True)
class Profiled:
    """A running machine whose profile a test writes."""

    checker: Checker
    guest: BlockGuest

    def write(self, **sections: object) -> str:
        return self.checker.write(self.guest, **sections)


@pytest.fixture
def machine(checker: Checker, make_block_guest: BlockGuestMaker) -> Iterator[Profiled]:
    profiled = Profiled(checker, make_block_guest(8 * MIB))
    profiled.write()
    yield profiled
    checker.file(profiled.guest.name).unlink()


def test_full_storages_at_both_ends_are_told_with_their_numbers(
    lab: Lab, checker: Checker, machine: Profiled
) -> None:
    lab.fill("kvm", leave=10 * MIB)
    lab.fill("source", leave=10 * MIB)
    try:
        problems = checker.check(machine.guest.name).of(PROBLEM)
    finally:
        lab.unfill("kvm")
        lab.unfill("source")
    assert [(it.topic, it.where) for it in problems] == [("scratch", "source"), ("space", "kvm")]
    scratch, space = problems
    assert "128.0 MiB needed" in scratch.found
    assert "needed for the first copy" in space.found
    assert space.words.startswith("free ")
    checker.check(machine.guest.name).expect_no_problem()


@pytest.mark.long
def test_a_read_only_storage_is_told_with_the_command_that_mends_it(
    lab: Lab, checker: Checker, machine: Profiled
) -> None:
    lab.exec("kvm", ["mount", "-o", "remount,ro", "/srv/standby"])
    try:
        problem = checker.check(machine.guest.name).only_problem()
        assert (problem.topic, problem.where) == ("storage", "kvm")
        checker.apply(problem)
        checker.check(machine.guest.name).expect_no_problem()
    finally:
        lab.exec("kvm", ["mount", "-o", "remount,rw", "/srv/standby"])


@pytest.mark.long
def test_a_storage_that_is_not_there_yet_is_no_problem_and_is_not_made(
    lab: Lab, checker: Checker, machine: Profiled
) -> None:
    profile = machine.write(target={"storage": "/srv/standby/not/yet"})
    checked = checker.check(profile)
    checked.expect_no_problem()
    assert "/srv/standby/not/yet will be made" in texts(checked.about("storage", "kvm"))
    assert lab.run("kvm", ["test", "-e", "/srv/standby/not"]).returncode


@pytest.mark.long
def test_a_file_in_the_way_is_named(lab: Lab, checker: Checker, machine: Profiled) -> None:
    lab.exec("kvm", ["touch", "/srv/standby/file"])
    profile = machine.write(target={"storage": "/srv/standby/file/below"})
    try:
        problem = checker.check(profile).only_problem()
    finally:
        lab.exec("kvm", ["rm", "/srv/standby/file"])
    assert problem.found.startswith("/srv/standby/file is in the way")


@pytest.mark.long
def test_a_storage_that_qemu_may_not_enter_is_opened_by_the_fix(
    lab: Lab, checker: Checker, machine: Profiled
) -> None:
    lab.exec("kvm", ["install", "-d", "-m", "0700", "/srv/standby/closed"])
    profile = machine.write(target={"storage": "/srv/standby/closed"})
    try:
        problem = checker.check(profile).only_problem()
        assert "may not enter /srv/standby/closed" in problem.found
        checker.apply(problem)
        checker.check(profile).expect_no_problem()
        qemu = ("--reuid=libvirt-qemu", "--regid=libvirt-qemu", "--clear-groups")
        enter = ["setpriv", *qemu, "test", "-x"]
        lab.exec("kvm", [*enter, "/srv/standby/closed"])
    finally:
        lab.exec("kvm", ["rm", "-r", "/srv/standby/closed"])


@pytest.mark.long
def test_a_storage_in_memory_is_a_warning(checker: Checker, machine: Profiled) -> None:
    profile = machine.write(target={"storage": "/run/standbys"})
    checked = checker.check(profile)
    checked.expect_no_problem()
    (finding,) = [it for it in checked.about("storage", "kvm") if it.severity == WARNING]
    assert "does not outlive a restart" in finding.found


@pytest.mark.long
def test_a_pool_that_is_not_active_is_started_by_the_fix(
    lab: Lab, checker: Checker, machine: Profiled
) -> None:
    lab.exec("kvm", ["mkdir", "/srv/standby/pooled"])
    lab.virsh("kvm", "pool-define-as", "pooled", "dir", "--target", "/srv/standby/pooled")
    profile = machine.write(target={"storage": {"pool": "pooled"}})
    try:
        problems = checker.check(profile).of(PROBLEM)
        assert {it.found for it in problems if it.topic == "storage"}
        lab.exec("kvm", ["sh", "-c", problems[0].words])
        checker.check(profile).expect_no_problem()
    finally:
        lab.run("kvm", ["virsh", "pool-destroy", "pooled"])
        lab.virsh("kvm", "pool-undefine", "pooled")
        lab.exec("kvm", ["rm", "-r", "/srv/standby/pooled"])


def test_a_foreign_domain_of_the_name_is_a_problem_and_another_name_is_not(
    lab: Lab, checker: Checker, machine: Profiled
) -> None:
    foreign = lab.block_guest(f"{machine.guest.name}-standby", MIB, host="kvm")
    try:
        problem = checker.check(machine.guest.name).only_problem()
        assert (problem.topic, problem.where) == ("name", "kvm")
        assert "standby.name" in problem.words
        checker.check(machine.write(standby={"name": "another-name"})).expect_no_problem()
    finally:
        foreign.undefine()


@pytest.mark.long
def test_boot_points_of_another_machine_are_a_problem(
    checker: Checker, machine: Profiled, protect: Protect
) -> None:
    protection = protect(8 * MIB)
    protection.cycle()
    name = f"{protection.name}-standby"
    problems = checker.check(machine.write(standby={"name": name})).of(PROBLEM)
    assert f"boot points of another machine, {protection.guest.name}" in texts(problems)
    assert f"the profile {protection.name}" in texts(problems)
    machine.write()
    own = checker.check(protection.name)
    own.expect_no_problem()
    assert "holds 1 boot point of it" in texts(own.about("name", "kvm"))
    assert "is ours" in texts(own.about("name", "kvm"))


@pytest.mark.long
def test_a_network_that_is_down_is_started_by_the_fix(
    lab: Lab, checker: Checker, machine: Profiled
) -> None:
    lab.virsh("source", "attach-interface", machine.guest.name, "network", "lan", "--config")
    lab.virsh("kvm", "net-destroy", "lan")
    try:
        problem = checker.check(machine.guest.name).only_problem()
        assert (problem.topic, problem.where) == ("network", "kvm")
        checker.apply(problem)
        checked = checker.check(machine.guest.name)
        checked.expect_no_problem()
        assert "network lan is active" in texts(checked.about("network", "kvm"))
    finally:
        lab.run("kvm", ["virsh", "net-start", "lan"])


@pytest.mark.long
def test_a_network_that_the_kvm_host_lacks_leaves_the_nic_loose(
    lab: Lab, checker: Checker, machine: Profiled
) -> None:
    lab.virsh("source", "attach-interface", machine.guest.name, "bridge", "br9", "--config")
    checked = checker.check(machine.guest.name)
    checked.expect_no_problem()
    (finding,) = checked.about("network", "kvm")
    assert (finding.severity, "br9" in finding.found) == (WARNING, True)
    mapped = machine.write(standby={"networks": {"all": {"network": "lan"}}})
    (finding,) = checker.check(mapped).about("network", "kvm")
    assert finding.found == "network lan is active"


@pytest.mark.long
def test_a_template_of_ones_own_that_is_wrong_is_told(checker: Checker, machine: Profiled) -> None:
    template = checker.cli.root / "wrong.xml.j2"
    template.write_text("{{ nothing.of.this }}")
    try:
        problem = checker.check(machine.write(standby={"template": str(template)})).only_problem()
    finally:
        template.unlink()
    assert (problem.topic, problem.where) == ("domain", "kvm")

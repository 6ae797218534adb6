"""What `standby check` says of the machine on its source host, and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support import MIB
from support_check import PROBLEM, WARNING, Checker, Found, texts
from support_cli import CommandLine

from lab import BlockGuest, Lab
from lab.testing import BlockGuestMaker, LinuxGuestMaker


@pytest.fixture
def checker(cli: CommandLine) -> Checker:
    return Checker(cli)


@dataclass(frozen=True)
class Profiles:
    """Writes profiles, which go after the test."""

    checker: Checker
    written: list[str]

    def write(self, guest: BlockGuest, **source: object) -> str:
        name = self.checker.write(guest, source=source)
        self.written.append(name)
        return name


@pytest.fixture
def profiles(checker: Checker) -> Iterator[Profiles]:
    profiles = Profiles(checker, [])
    yield profiles
    for name in profiles.written:
        checker.file(name).unlink(missing_ok=True)


def test_a_domain_that_is_not_there_is_a_problem(
    checker: Checker, profiles: Profiles, block_guest: BlockGuest
) -> None:
    profile = profiles.write(block_guest, domain="nobody")
    checked = checker.check(profile)
    problem = checked.only_problem()
    assert (problem.topic, problem.where) == ("machine", "source")
    assert checked.about("storage", "kvm")  # the other end is looked at all the same


def disks(checker: Checker, profile: str) -> dict[str, Found]:
    """What was found of each disk, by its name."""
    found = checker.check(profile).about("disks", "source")
    return {it.found.partition(":")[0].split()[0]: it for it in found}


@pytest.mark.long
def test_disks_are_judged_by_what_can_be_captured_and_tracked(
    lab: Lab, checker: Checker, profiles: Profiles, make_block_guest: BlockGuestMaker
) -> None:
    guest = make_block_guest(8 * MIB, 8 * MIB, 8 * MIB, kinds=("qcow2", "raw", "qcow2"))
    old = str(guest.disks[2].path)
    guest.destroy()
    lab.exec("source", ["qemu-img", "amend", "-f", "qcow2", "-o", "compat=0.10", old])
    guest.start()
    profile = profiles.write(guest, disks={"exclude": {"vda": "absent"}})
    found = disks(checker, profile)
    assert found["vda"].severity == WARNING
    assert "the standby will not boot" in found["vda"].found
    assert (found["vdb"].severity, "raw" in found["vdb"].found) == (WARNING, True)
    assert (found["vdc"].severity, "compat=0.10" in found["vdc"].found) == (PROBLEM, True)
    guest.destroy()
    checker.apply(found["vdc"])
    guest.start()
    assert disks(checker, profile)["vdc"].severity == "ok"


@pytest.mark.long
def test_a_raw_disk_is_converted_by_the_fix(
    lab: Lab, checker: Checker, profiles: Profiles, make_block_guest: BlockGuestMaker
) -> None:
    guest = make_block_guest(8 * MIB, kinds=("raw",))
    raw = str(guest.disks[0].path)
    guest.write(0, MIB, 0x5A)
    guest.flush()
    found = disks(checker, profiles.write(guest))["vda"]
    guest.destroy()
    checker.apply(found)
    compare = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, f"{raw}.qcow2"]
    lab.exec("source", compare)
    lab.exec("source", ["rm", f"{raw}.qcow2"])


@pytest.mark.long
def test_a_machine_without_an_agents_channel_gets_one_by_the_fix(
    checker: Checker, profiles: Profiles, block_guest: BlockGuest
) -> None:
    profile = profiles.write(block_guest, consistency="filesystem")
    problem = checker.check(profile).only_problem()
    assert (problem.topic, problem.where) == ("guest agent", "source")
    checker.apply(problem)
    block_guest.destroy()
    block_guest.start()
    problem = checker.check(profile).only_problem()
    assert "does not answer" in problem.found
    assert problem.on == "the guest"
    lenient = profiles.write(block_guest, consistency="filesystem", on_unavailable_agent="crash")
    checked = checker.check(lenient)
    checked.expect_no_problem()
    (finding,) = checked.about("guest agent", "source")
    assert finding.severity == WARNING


@pytest.mark.long
def test_an_agent_that_answers_tells_what_a_freeze_would_hold(
    lab: Lab, checker: Checker, profiles: Profiles, make_linux_guest: LinuxGuestMaker
) -> None:
    linux = make_linux_guest()
    guest = BlockGuest(lab, linux.host, linux.name, ())
    profile = profiles.write(guest, consistency="filesystem")
    (finding,) = checker.check(profile).about("guest agent", "source")
    assert finding.severity == "ok", finding
    assert "a freeze would hold /" in finding.found
    lab.virsh("source", "domfsfreeze", linux.name)
    try:
        problem = checker.check(profile).only_problem()
        assert problem.topic == "guest agent"
        checker.apply(problem)
        checker.check(profile).expect_no_problem()
    finally:
        lab.virsh("source", "domfsthaw", linux.name)


@pytest.mark.long
def test_a_backup_job_of_somebody_else_is_a_warning(
    lab: Lab, checker: Checker, profiles: Profiles, block_guest: BlockGuest
) -> None:
    profile = profiles.write(block_guest)
    server = "<server transport='unix' socket='/srv/vms/o.sock'/>"
    xml = f"<domainbackup mode='pull'>{server}</domainbackup>"
    lab.exec("source", ["chmod", "0777", "/srv/vms"])
    try:
        lab.exec("source", ["virsh", "backup-begin", block_guest.name, "/dev/stdin"], text=xml)
        checked = checker.check(profile)
        lab.virsh("source", "domjobabort", block_guest.name)
    finally:
        lab.exec("source", ["chmod", "0755", "/srv/vms"])
    checked.expect_no_problem()
    (warning,) = [it for it in checked.about("machine", "source") if it.severity == WARNING]
    assert "another backup job" in warning.found


@pytest.mark.long
def test_a_machine_that_is_off_needs_no_scratch_and_no_agent(
    checker: Checker, profiles: Profiles, block_guest: BlockGuest
) -> None:
    profile = profiles.write(block_guest, consistency="application")
    block_guest.destroy()
    checked = checker.check(profile)
    checked.expect_no_problem()
    assert checked.about("scratch", "source") == []
    assert checked.about("guest agent", "source") == []
    assert "(off, " in texts(checked.about("machine", "source"))


@pytest.mark.long
def test_scratch_space_elsewhere_has_to_be_there(
    lab: Lab, checker: Checker, profiles: Profiles, block_guest: BlockGuest
) -> None:
    scratch = {"directory": "/srv/vms/scratch", "reserve": "64MiB"}
    profile = profiles.write(block_guest, scratch=scratch)
    problem = checker.check(profile).only_problem()
    assert "/srv/vms/scratch" in problem.found
    lab.exec("source", ["mkdir", "/srv/vms/scratch"])
    try:
        checked = checker.check(profile)
        checked.expect_no_problem()
        assert "/srv/vms/scratch" in texts(checked.about("scratch", "source"))
    finally:
        lab.exec("source", ["rmdir", "/srv/vms/scratch"])

"""What `standby check` says of hosts that cannot be reached or lack something, and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support import MIB
from support_check import Checker
from support_cli import CommandLine

from lab import Lab
from lab.testing import BlockGuestMaker


@pytest.fixture
def checker(cli: CommandLine) -> Checker:
    return Checker(cli)


@pytest.fixture
def profile(checker: Checker, make_block_guest: BlockGuestMaker) -> Iterator[str]:
    """A profile of a running machine with which all is well."""
    guest = make_block_guest(8 * MIB)
    yield checker.write(guest)
    checker.file(guest.name).unlink()


def traces(lab: Lab) -> dict[str, str]:
    """Everything that a check could leave on a host."""
    look = "ls -A /srv/standby /srv/vms; ls -Ad /tmp/standby-* 2>/dev/null; virsh list --all --name"
    return {host: lab.exec(host, ["sh", "-c", look]) for host in ("source", "kvm")}


def test_where_all_is_well_nothing_is_a_problem_and_nothing_is_left(
    lab: Lab, checker: Checker, profile: str
) -> None:
    before = traces(lab)
    checked = checker.check(profile)
    checked.expect_no_problem()
    assert traces(lab) == before
    for where in ("source", "kvm"):
        (link,) = checked.about("link", where)
        assert "MiB/s" in link.found
        assert "through OpenSSH" in link.found


def test_people_read_one_line_for_each_finding_and_a_count(cli: CommandLine, profile: str) -> None:
    said = cli.run("check", profile).stdout.splitlines()
    assert said[-1].startswith(f"{profile}: ")
    assert said[-1].endswith(" 0 problem")
    assert all(line.split()[0] in {"ok", "note", "warning", "fix:"} for line in said[:-1])


def test_an_unknown_host_key_is_shown_with_the_command_that_accepts_it(
    lab: Lab, checker: Checker, profile: str
) -> None:
    lab.forget_host_key("kvm")
    try:
        problem = checker.check(profile).only_problem()
        assert problem.topic == "host key"
        assert "SHA256:" in problem.found
        command = problem.words.partition("then: ")[2]
        lab.exec("manager", ["sh", "-c", command])
        checker.check(profile).expect_no_problem()
    finally:
        lab.trust_host_keys()


@pytest.mark.long
def test_a_changed_host_key_is_never_taken_silently(
    lab: Lab, checker: Checker, profile: str
) -> None:
    lab.falsify_host_key("kvm")
    try:
        problem = checker.check(profile).only_problem()
        assert (problem.topic, problem.where) == ("host key", "kvm")
        assert "has changed" in problem.found
        lab.exec("manager", ["sh", "-c", problem.words.partition("right: ")[2]])
        checker.check(profile).expect_no_problem()
    finally:
        lab.trust_host_keys()


@pytest.mark.long
def test_an_unreachable_host_does_not_hide_the_other(
    lab: Lab, checker: Checker, profile: str
) -> None:
    lab.cut("kvm")
    try:
        checked = checker.check(profile)
    finally:
        lab.restore("kvm")
    problem = checked.only_problem()
    assert (problem.topic, problem.where) == ("reach", "kvm")
    assert problem.command == "ssh -v root@kvm true"
    assert checked.about("machine", "source")
    checker.apply(problem)
    checker.check(profile).expect_no_problem()


@pytest.mark.long
def test_a_key_that_is_not_accepted_is_told_with_the_login(
    lab: Lab, checker: Checker, profile: str
) -> None:
    keys = "/root/.ssh/authorized_keys"
    lab.exec("kvm", ["mv", keys, f"{keys}.away"])
    try:
        problem = checker.check(profile).only_problem()
    finally:
        lab.exec("kvm", ["mv", f"{keys}.away", keys])
    assert (problem.topic, problem.where) == ("login", "kvm")
    assert "ssh-copy-id" in problem.words


def test_a_stopped_libvirt_is_told_with_the_command_that_starts_it(
    lab: Lab, checker: Checker, profile: str
) -> None:
    lab.kill_service("kvm", "libvirtd")
    try:
        problem = checker.check(profile).only_problem()
    finally:
        lab.restart_service("kvm", "libvirtd")
    assert (problem.topic, problem.where) == ("libvirt", "kvm")
    assert problem.command == "systemctl start libvirtd"


@contextmanager
def sshd_option(lab: Lab, host: str, line: str) -> Iterator[None]:
    """Let new connections to a host find another option in force."""
    _change_sshd(lab, host, f"1i {line}")
    try:
        yield
    finally:
        _change_sshd(lab, host, f"/^{line}$/d")


def _change_sshd(lab: Lab, host: str, script: str) -> None:
    lab.exec(host, ["sed", "-i", script, "/etc/ssh/sshd_config"])
    lab.restart_service(host, "sshd")


@pytest.mark.long
def test_a_socket_that_sshd_does_not_forward_is_told_from_a_silent_libvirt(
    lab: Lab, checker: Checker, profile: str
) -> None:
    with sshd_option(lab, "kvm", "AllowStreamLocalForwarding no"):
        problem = checker.check(profile).only_problem()
    assert (problem.topic, problem.where) == ("libvirt", "kvm")
    assert "AllowStreamLocalForwarding yes" in problem.words
    checker.check(profile).expect_no_problem()


@contextmanager
def missing(lab: Lab, host: str, program: str) -> Iterator[None]:
    """Hide a program on one host."""
    lab.exec(host, ["mount", "--bind", "/dev/null", f"/usr/bin/{program}"])
    try:
        yield
    finally:
        lab.exec(host, ["umount", f"/usr/bin/{program}"])


def test_missing_programs_are_named_with_the_command_that_installs_them(
    lab: Lab, checker: Checker, profile: str
) -> None:
    with missing(lab, "source", "virsh"), missing(lab, "kvm", "qemu-storage-daemon"):
        problems = checker.check(profile).of("problem")
    assert [(it.where, it.found.split()[0]) for it in problems] == [
        ("source", "virsh"),
        ("kvm", "qemu-storage-daemon"),
    ]
    for problem in problems:
        checker.simulate(problem)


@pytest.mark.long
def test_a_program_that_an_end_does_not_need_may_be_missing(
    lab: Lab, checker: Checker, profile: str
) -> None:
    with missing(lab, "kvm", "virsh"), missing(lab, "source", "flock"):
        checker.check(profile).expect_no_problem()


@pytest.mark.long
def test_a_slow_link_is_a_warning_and_ends_in_time(
    lab: Lab, checker: Checker, profile: str
) -> None:
    lab.throttle("kvm", "4mbit")
    try:
        checked = checker.check(profile)
    finally:
        lab.throttle("kvm", None)
    checked.expect_no_problem()
    (link,) = checked.about("link", "kvm")
    assert link.severity == "warning"

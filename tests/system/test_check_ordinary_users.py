"""An ordinary user on both hosts: doing what `standby check` says leads to whole cycles.

docs/ordinary-users.md promises what is tested here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from support import MIB, differs
from support_check import PROBLEM, WARNING, Checker, texts
from support_cli import CommandLine

from lab import BlockGuest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("setfacl") is None, reason="needs the package acl"),
]

USER = "standby"
HOSTS = ("source", "kvm")
SUDOERS = "/etc/sudoers.d/standby"
TEMPLATE = """\
{% extends "domain.xml.j2" %}
{% block more %}
<seclabel type="static" model="dac" relabel="yes"><label>standby:kvm</label></seclabel>
{% endblock %}
"""
SOCKETS = "/var/lib/libvirt/qemu"


@pytest.fixture
def checker(cli: CommandLine) -> Iterator[Checker]:
    checker = Checker(cli)
    yield checker
    for host in HOSTS:
        undo = (
            f"rm -f {SUDOERS}; gpasswd --delete {USER} libvirt-qemu;"
            f" find {SOCKETS} -maxdepth 1 -type d -exec setfacl -b {{}} +;"
            " chown root /srv/standby /srv/vms; exit 0"
        )
        cli.lab.run(host, ["sh", "-c", undo])


@pytest.fixture
def profile(
    checker: Checker, block_guest: BlockGuest, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A profile whose hosts are both reached as the ordinary user, with the keys of `param`."""
    hosts = {
        host: checker.host(f"{host}-user", address=f"{USER}@{host}", **request.param)
        for host in HOSTS
    }
    name = checker.write(
        block_guest, source={"host": hosts["source"]}, target={"host": hosts["kvm"]}
    )
    yield name
    checker.file(name).unlink()
    for host in hosts.values():
        (checker.cli.root / f"hosts/{host}.yaml").unlink()
    lab, standby = checker.lab, f"{name}-standby"
    lab.run("kvm", ["virsh", "destroy", standby])
    lab.run("kvm", ["virsh", "undefine", standby])
    lab.exec("kvm", ["rm", "-rf", f"/srv/standby/{standby}"])


def fix_everything(checker: Checker, profile: str) -> None:
    """Do what each problem says, once."""
    for problem in checker.check(profile).of(PROBLEM):
        checker.apply(problem)
    checker.check(profile).expect_no_problem()


def cycle(checker: Checker, profile: str, guest: BlockGuest, number: int) -> None:
    """Write something, run a cycle, and compare the newest point with the machine."""
    lab = checker.lab
    if guest.state() == "running":
        guest.write(number * MIB, MIB, number)
        guest.flush()
    before = lab.path("source", guest.snapshot(lab.storage("source"), label=str(number))[0])
    report = checker.cli.json("run", profile)
    assert report["outcome"] in {"published", "still true"}, report
    deltas = checker.lab.path("kvm", lab.storage("kvm")) / f"{profile}-standby/deltas"
    newest = max(deltas.glob("vda.*.qcow2"))
    assert not differs(newest, before)
    before.unlink()


@pytest.mark.parametrize("profile", [{"sudo": True}], indirect=True)
def test_with_sudo_rules_and_two_groups_everything_works(
    checker: Checker, profile: str, block_guest: BlockGuest
) -> None:
    lab = checker.lab
    refused = checker.check(profile).of(PROBLEM)
    assert {it.topic for it in refused} == {"login"}
    assert "sudo" in texts(refused)
    for host in HOSTS:
        lab.exec(host, ["sh", "-c", f"echo '{USER} ALL=(root) NOPASSWD: ALL' > {SUDOERS}"])
        lab.exec(host, ["chmod", "0440", SUDOERS])
    problem = checker.check(profile).only_problem()
    assert (problem.topic, problem.where) == ("socket", "source-user")
    fix_everything(checker, profile)
    for number in (1, 2, 3):
        cycle(checker, profile, block_guest, number)
    lab.virsh("kvm", "start", f"{profile}-standby")
    lab.virsh("kvm", "destroy", f"{profile}-standby")
    cycle(checker, profile, block_guest, 4)
    block_guest.destroy()
    cycle(checker, profile, block_guest, 5)


@pytest.mark.parametrize("profile", [{}], indirect=True)
def test_without_sudo_the_fixes_lead_to_cycles_until_the_standby_was_started(
    checker: Checker, profile: str, block_guest: BlockGuest
) -> None:
    lab = checker.lab
    topics = {(it.topic, it.where) for it in checker.check(profile).of(PROBLEM)}
    assert topics == {("socket", "source-user"), ("storage", "kvm-user")}
    fix_everything(checker, profile)
    for number in (1, 2):
        cycle(checker, profile, block_guest, number)
    (warning,) = [
        it for it in checker.check(profile).about("domain", "kvm-user") if it.severity == WARNING
    ]
    assert "its files belong to the user of QEMU" in warning.found
    lab.virsh("kvm", "start", f"{profile}-standby")
    lab.virsh("kvm", "destroy", f"{profile}-standby")
    problem = checker.check(profile).only_problem()
    assert (problem.topic, problem.where) == ("name", "kvm-user")
    block_guest.write(7 * MIB, MIB, 7)
    block_guest.flush()
    assert "Permission denied" in checker.cli.run("run", profile, status=1).stderr
    checker.apply(problem)
    cycle(checker, profile, block_guest, 3)


@pytest.mark.parametrize("profile", [{}], indirect=True)
def test_without_sudo_a_standby_that_runs_as_its_user_may_be_started(
    checker: Checker, profile: str, block_guest: BlockGuest
) -> None:
    lab = checker.lab
    template = checker.cli.root / "as-user.xml.j2"
    template.write_text(TEMPLATE)
    checker.write(
        block_guest,
        source={"host": "source-user"},
        target={"host": "kvm-user"},
        standby={"template": str(template)},
    )
    fix_everything(checker, profile)
    cycle(checker, profile, block_guest, 1)
    lab.virsh("kvm", "start", f"{profile}-standby")
    running = lab.exec("kvm", ["ps", "-C", "qemu-system-x86_64", "-o", "user="])
    assert running.split() == [USER]
    lab.virsh("kvm", "destroy", f"{profile}-standby")
    cycle(checker, profile, block_guest, 2)
    template.unlink()


@pytest.mark.parametrize("profile", [{}], indirect=True)
def test_without_sudo_a_machine_that_is_off_needs_its_images_opened(
    checker: Checker, profile: str, block_guest: BlockGuest
) -> None:
    fix_everything(checker, profile)
    (warning,) = [
        it for it in checker.check(profile).about("disks", "source-user") if it.severity == WARNING
    ]
    assert "may not write it" in warning.found
    cycle(checker, profile, block_guest, 1)
    block_guest.destroy()
    problem = checker.check(profile).only_problem()
    assert problem.topic == "disks"
    checker.apply(problem)
    cycle(checker, profile, block_guest, 2)


@pytest.mark.parametrize("profile", [{}], indirect=True)
def test_who_is_not_in_libvirts_group_joins_it_by_the_fix(checker: Checker, profile: str) -> None:
    checker.lab.exec("kvm", ["gpasswd", "--delete", USER, "libvirt"])
    try:
        (problem,) = checker.check(profile).about("libvirt", "kvm-user")
        checker.apply(problem)
        (finding,) = checker.check(profile).about("libvirt", "kvm-user")
        assert finding.severity == "ok"
    finally:
        checker.lab.exec("kvm", ["usermod", "--append", "--groups", "libvirt", USER])

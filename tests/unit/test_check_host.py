"""Who we are on a host, its clock, its libvirt: what is said, and what to do."""

from __future__ import annotations

import pytest
from check_facts import host_facts, libvirt_facts

from standby.app.checks.finding import Severity, Topic
from standby.app.checks.host_facts import Lead, parse_facts
from standby.app.checks.judge_host import judge_clock, judge_login, judge_reach
from standby.app.checks.judge_libvirt import judge_libvirt, judge_no_libvirt
from standby.app.checks.libvirt_facts import Locally, Owner, parse_libvirt, version_of
from standby.app.checks.needs import Role
from standby.errors import (
    AcceptHostKey,
    CommandFailed,
    GrantAccess,
    InstallPrograms,
    ReachHost,
    RepairSource,
    StandbyError,
)
from standby.target.domain.machine import Virtualisation

PRINTED = """\
time 1795384800.5
user root
login ann
groups ann libvirt kvm
arch x86_64
cpus 8
memory_kib 16384000
PRETTY_NAME "Debian GNU/Linux 12 (bookworm)"
ID debian
program qemu-img /usr/bin/qemu-img qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)
program ssh /usr/bin/ssh OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17 1 Jul 2025
program bash /usr/bin/bash GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)
program flock
"""
LEAD = Lead(0.25, 0.01)


def test_facts_are_read_as_they_were_printed() -> None:
    facts = parse_facts("kvm1", PRINTED, LEAD)
    assert (facts.user, facts.login, facts.by_sudo, facts.is_root) == ("root", "ann", True, True)
    assert facts.groups == ("ann", "libvirt", "kvm")
    assert (facts.cpus, facts.memory) == (8, 16384000 * 1024)
    assert facts.system == "Debian GNU/Linux 12 (bookworm)"
    assert "debian" in facts.families
    assert facts.programs["qemu-img"].version == (7, 2, 22)
    assert facts.programs["ssh"].version == (9, 2)
    assert facts.programs["bash"].version == (5, 2, 15)
    assert facts.programs["flock"].path == ""


@pytest.mark.parametrize("lost", ["user", "login", "groups", "arch", "cpus", "memory_kib"])
def test_facts_that_are_not_whole_are_refused(lost: str) -> None:
    text = "\n".join(line for line in PRINTED.splitlines() if not line.startswith(f"{lost} "))
    with pytest.raises(CommandFailed):
        parse_facts("kvm1", text, LEAD)


def test_a_system_without_os_release_is_only_unknown() -> None:
    text = "\n".join(line for line in PRINTED.splitlines() if not line.startswith(("ID", "PRETTY")))
    assert parse_facts("kvm1", text, LEAD).families == {""}


@pytest.mark.parametrize(
    ("error", "topic"),
    [
        (AcceptHostKey("root@kvm1", "unknown", "", "echo KEY >> known_hosts"), Topic.HOST_KEY),
        (GrantAccess("root@kvm1", "refused", "", "ssh-copy-id"), Topic.LOGIN),
        (InstallPrograms("kvm1", "no program timeout", "", "install it"), Topic.PROGRAMS),
    ],
)
def test_what_keeps_us_out_names_its_remedy(error: StandbyError, topic: Topic) -> None:
    finding = judge_reach("kvm1", error)
    assert (finding.severity, finding.topic) == (Severity.PROBLEM, topic)
    assert str(finding.fix) == error.remedy


def test_a_host_that_does_not_answer_is_tried_by_hand() -> None:
    finding = judge_reach("kvm1", ReachHost("root@kvm1", "no answer within 10 s"))
    assert (finding.severity, finding.topic) == (Severity.PROBLEM, Topic.REACH)
    assert finding.fix.command == "ssh -v root@kvm1 true"


@pytest.mark.parametrize(
    ("user", "login", "severity"),
    [
        ("root", "root", Severity.OK),
        ("root", "ann", Severity.OK),
        ("ann", "ann", Severity.NOTE),
    ],
)
def test_whose_rights_we_have_is_told(user: str, login: str, severity: Severity) -> None:
    (finding,) = judge_login(host_facts(user=user, login=login))
    assert finding.severity is severity
    assert login in finding.found


@pytest.mark.parametrize(
    ("ahead", "uncertain", "severity"),
    [
        (0.0, 0.1, Severity.OK),
        (1.9, 0.0, Severity.OK),
        (-1.9, 0.0, Severity.OK),
        (2.0, 0.0, Severity.NOTE),
        (-2.0, 0.0, Severity.NOTE),
        (5.0, 4.0, Severity.OK),  # a slow line is no wrong clock
        (59.9, 0.0, Severity.NOTE),
        (60.0, 0.0, Severity.WARNING),
        (-86400.0, 1.0, Severity.WARNING),
    ],
)
def test_only_what_the_line_cannot_explain_is_skew(
    ahead: float, uncertain: float, severity: Severity
) -> None:
    finding = judge_clock(host_facts(ahead=ahead, uncertain=uncertain))
    assert finding.severity is severity
    if severity is not Severity.OK:
        assert ("ahead of" if ahead > 0 else "behind") in finding.found


@pytest.mark.parametrize("version", [(7, 5, 9), (7, 6, 0), (11, 3, 0)])
@pytest.mark.parametrize("backup", ["yes", "no"])
@pytest.mark.parametrize("role", [Role.SOURCE, Role.KVM])
def test_libvirt_is_enough_if_it_is_new_enough_and_the_source_can_back_up(
    version: tuple[int, int, int], backup: str, role: Role
) -> None:
    facts = libvirt_facts(version=version, backup=backup == "yes")
    (finding,) = judge_libvirt("kvm1", facts, frozenset({role}))
    enough = version >= (7, 6) and (backup == "yes" or role is Role.KVM)
    assert finding.severity is (Severity.OK if enough else Severity.PROBLEM)


GROUPLESS = ("ann",)
MEMBER = ("ann", "libvirt")
SILENT = ReachHost("kvm1: libvirt", "Cannot recv data")
REFUSED = GrantAccess("kvm1", "may not use /run/libvirt/libvirt-sock")


@pytest.mark.parametrize(
    ("user", "login", "groups", "error", "locally", "command"),
    [
        ("root", "root", (), SILENT, Locally.SILENT, "systemctl start libvirtd"),
        ("root", "root", (), SILENT, Locally.UNKNOWN, "systemctl start libvirtd"),
        ("root", "root", (), SILENT, Locally.ANSWERS, "systemctl reload ssh"),
        ("ann", "ann", MEMBER, SILENT, Locally.SILENT, "sudo systemctl start libvirtd"),
        ("ann", "ann", MEMBER, SILENT, Locally.ANSWERS, "sudo systemctl reload ssh"),
        ("root", "ann", MEMBER, SILENT, Locally.ANSWERS, "sudo systemctl reload ssh"),
        ("root", "ann", GROUPLESS, SILENT, Locally.ANSWERS,
         "sudo usermod --append --groups libvirt ann"),
        ("ann", "ann", GROUPLESS, REFUSED, Locally.SILENT,
         "sudo usermod --append --groups libvirt ann"),
    ],
)  # fmt: skip
def test_why_libvirt_is_not_reached_is_told_apart(
    user: str,
    login: str,
    groups: tuple[str, ...],
    error: StandbyError,
    locally: Locally,
    command: str,
) -> None:
    facts = host_facts(user=user, login=login, groups=groups)
    finding = judge_no_libvirt(facts, error, locally)
    assert (finding.severity, finding.fix.command) == (Severity.PROBLEM, command)


def test_other_errors_of_libvirt_are_told_as_they_are() -> None:
    error = RepairSource("kvm1: libvirt", "libvirt: no emulator", "", "")
    finding = judge_no_libvirt(host_facts(), error, Locally.UNKNOWN)
    assert "no emulator" in finding.found


CAPABILITIES = """
<capabilities>
  <host>
    <cpu><arch>x86_64</arch><model>Broadwell</model></cpu>
    <secmodel><model>apparmor</model><doi>0</doi></secmodel>
    <secmodel><model>dac</model><doi>0</doi>
      <baselabel type='kvm'>+64055:+108</baselabel></secmodel>
  </host>
  <guest><os_type>hvm</os_type><arch name='x86_64'><emulator>/usr/bin/qemu</emulator>
    <machine canonical='pc-q35-7.2'>q35</machine><domain type='qemu'/>{kvm}</arch></guest>
</capabilities>
"""
DOMAIN = "<domainCapabilities><features><backup supported='{}'/></features></domainCapabilities>"


@pytest.mark.parametrize("backup", ["yes", "no"])
@pytest.mark.parametrize("kvm", ["<domain type='kvm'/>", ""])
def test_what_libvirt_says_of_itself_is_read(backup: str, kvm: str) -> None:
    facts = parse_libvirt(
        CAPABILITIES.format(kvm=kvm), DOMAIN.format(backup), (9, 0, 0), (7, 2, 22)
    )
    assert facts.security == ("apparmor", "dac")
    assert facts.qemu_user == Owner(64055, 108)
    assert facts.backup is (backup == "yes")
    assert facts.accelerated is bool(kvm)
    assert facts.guest is not None
    assert facts.guest.emulator == "/usr/bin/qemu"
    assert Virtualisation.EMULATED in facts.guest.virtualisations


def test_a_version_of_libvirt_is_three_numbers() -> None:
    assert version_of(7002022) == (7, 2, 22)
    assert version_of(11003000) == (11, 3, 0)

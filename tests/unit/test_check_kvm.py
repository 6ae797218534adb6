"""What a KVM host can run, what confines VMs there, how fast it is reached."""

from __future__ import annotations

import pytest

from standby.app.checks.confinement import judge_confinement
from standby.app.checks.finding import CheckReport, Finding, Fix, Severity, Topic
from standby.app.checks.link import LinkFacts, judge_link
from standby.app.checks.virtualisation import (
    Device,
    Run,
    VirtualisationFacts,
    judge_virtualisation,
    parse_virtualisation,
)
from standby.errors import CommandFailed
from standby.model.window import RateByDay
from standby.transports.speed import Direction, Speed

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("absent\n", VirtualisationFacts(Device.ABSENT)),
        ("closed\n", VirtualisationFacts(Device.CLOSED)),
        (
            "kvm 0 120\ntcg 0 90\n",
            VirtualisationFacts(Device.OPEN, Run(0, 120), Run(0, 90)),
        ),
        (
            "kvm 124 6004\ntcg 0 90\n",
            VirtualisationFacts(Device.OPEN, Run(124, 6004), Run(0, 90)),
        ),
    ],
)
def test_a_trial_is_read_as_it_was_printed(text: str, facts: VirtualisationFacts) -> None:
    assert parse_virtualisation(text, "kvm1") == facts


@pytest.mark.parametrize("text", ["", "maybe\n", "kvm 0\ntcg 0 90\n", "kvm 0 1\nkvm 0 1\n"])
def test_a_trial_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed):
        parse_virtualisation(text, "kvm1")


def tried(kvm: tuple[int, int], tcg: tuple[int, int]) -> VirtualisationFacts:
    return VirtualisationFacts(Device.OPEN, Run(*kvm), Run(*tcg))


@pytest.mark.parametrize(
    ("facts", "severity", "says"),
    [
        (VirtualisationFacts(Device.ABSENT), Severity.WARNING, "TCG"),
        (VirtualisationFacts(Device.CLOSED), Severity.NOTE, "nothing was tried"),
        (tried((0, 120), (0, 90)), Severity.OK, "KVM works"),
        (tried((0, 400), (0, 90)), Severity.OK, "KVM works"),  # a busy host is no broken one
        (tried((0, 401), (0, 90)), Severity.WARNING, "itself emulated"),
        (tried((0, 1637), (0, 92)), Severity.WARNING, "itself emulated"),
        (tried((0, 1600), (0, 400)), Severity.OK, "KVM works"),
        (tried((124, 6004), (0, 90)), Severity.WARNING, "no guest runs"),
        (tried((134, 200), (0, 90)), Severity.WARNING, "no guest runs"),
        (tried((1, 20), (1, 20)), Severity.NOTE, "nothing is known"),
        (tried((0, 20), (127, 20)), Severity.NOTE, "nothing is known"),
    ],
)
def test_only_a_guest_that_ran_shows_that_kvm_works(
    facts: VirtualisationFacts, severity: Severity, says: str
) -> None:
    finding = judge_virtualisation("kvm1", facts, accelerated=True)
    assert finding.severity is severity
    assert says in finding.found


@pytest.mark.parametrize(("accelerated", "says"), [(True, "can use"), (False, "cannot use")])
def test_where_nothing_could_be_tried_libvirts_opinion_is_told(
    *, accelerated: bool, says: str
) -> None:
    facts = VirtualisationFacts(Device.CLOSED)
    assert says in judge_virtualisation("kvm1", facts, accelerated=accelerated).found


def confined(security: str, *directories: str, context: str = "") -> list[Finding]:
    return list(judge_confinement("kvm1", ("dac", security), directories, context, "the storage"))


@pytest.mark.parametrize(
    ("directory", "severity"),
    [
        ("/srv/standby", Severity.OK),
        ("/var/lib/libvirt/images", Severity.OK),
        ("/home/ann/vms", Severity.OK),
        ("/etcetera", Severity.OK),
        ("/usr/local/share/vms", Severity.OK),
        ("/home/ann/.vms", Severity.PROBLEM),
        ("/home/ann/.vms/deep", Severity.PROBLEM),
        ("/root/.cache/vms", Severity.PROBLEM),
        ("/home/ann/bin", Severity.PROBLEM),
        ("/etc", Severity.PROBLEM),
        ("/etc/standby", Severity.PROBLEM),
        ("/boot/vms", Severity.PROBLEM),
        ("/usr/share/vms", Severity.PROBLEM),
    ],
)
def test_apparmor_keeps_vms_out_of_some_directories(directory: str, severity: Severity) -> None:
    (finding,) = confined("apparmor", directory)
    assert finding.severity is severity
    assert directory in finding.found or severity is Severity.OK


def test_every_directory_is_judged() -> None:
    assert len(confined("apparmor", "/etc/a", "/srv", "/boot/b")) == 2


@pytest.mark.parametrize(
    ("context", "severity"),
    [
        ("system_u:object_r:virt_image_t:s0", Severity.OK),
        ("system_u:object_r:nfs_t:s0", Severity.OK),
        ("unconfined_u:object_r:var_t:s0", Severity.WARNING),
        ("?", Severity.WARNING),
    ],
)
def test_selinux_wants_a_label(context: str, severity: Severity) -> None:
    (finding,) = confined("selinux", "/srv/standby", context=context)
    assert finding.severity is severity
    if severity is Severity.WARNING:
        assert finding.fix.command == (
            "semanage fcontext -a -t virt_image_t '/srv/standby(/.*)?'"
            " && restorecon -R /srv/standby"
        )


def test_a_libvirt_that_confines_nothing_stands_in_nobodys_way() -> None:
    assert [it.severity for it in confined("none", "/etc/a")] == [Severity.OK]


def link(rate: float, **changes: object) -> LinkFacts:
    facts: dict[str, object] = {
        "direction": Direction.WRITE,
        "speed": Speed(int(rate * 2), 2.0),
        "local": False,
        "compressed": False,
    }
    return LinkFacts(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rate", "bandwidth", "severity"),
    [
        (100 * MIB, None, Severity.OK),
        (100 * MIB, 50 * MIB, Severity.OK),
        (100 * MIB, 200 * MIB, Severity.NOTE),
        (MIB, None, Severity.OK),
        (MIB - 2, None, Severity.WARNING),
        (0, None, Severity.WARNING),
        (MIB - 2, 2 * MIB, Severity.WARNING),
    ],
)
def test_a_link_is_slow_below_a_mebibyte(
    rate: float, bandwidth: int | None, severity: Severity
) -> None:
    (finding,) = judge_link("kvm1", link(rate), RateByDay(bandwidth), 10 * MIB)
    assert finding.severity is severity
    assert "MiB/s to kvm1 through OpenSSH" in finding.found


def test_the_way_and_the_direction_are_told() -> None:
    facts = link(MIB, direction=Direction.READ, local=True)
    (finding,) = judge_link("local", facts, RateByDay(), 0)
    assert "from local through a socket of this machine" in finding.found
    (finding,) = judge_link("kvm1", link(MIB, compressed=True), RateByDay(), 0)
    assert "do not compress" in finding.found


def test_a_measurement_of_no_time_has_no_rate() -> None:
    assert Speed(5, 0.0).rate == 0.0
    assert Speed(5, 2.0).rate == 2.5


def finding(severity: Severity) -> Finding:
    return Finding(severity, "kvm1", Topic.STORAGE, "found")


def test_the_worst_finding_decides_over_a_report() -> None:
    order = [Severity.OK, Severity.NOTE, Severity.WARNING, Severity.PROBLEM]
    assert sorted(Severity, key=lambda it: it.gravity) == order
    for count in range(1, 5):
        report = CheckReport("web1", tuple(map(finding, reversed(order[:count]))))
        assert report.worst is order[count - 1]
    assert CheckReport("web1").worst is Severity.OK


@pytest.mark.parametrize(
    ("fix", "text"),
    [
        (Fix(), ""),
        (Fix("do it"), "do it"),
        (Fix("", "true", "kvm1"), "on kvm1: true"),
        (Fix("then", "true", "kvm1"), "then: on kvm1: true"),
    ],
)
def test_a_fix_names_the_place_of_its_command(fix: Fix, text: str) -> None:
    assert str(fix) == text

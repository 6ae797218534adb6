"""The machine on its source: its disks, room for scratch, its agent, its sockets."""

from __future__ import annotations

from itertools import product

import pytest
from check_facts import GIB, MIB, host_facts, source_disk

from standby.app.checks.finding import Severity, Topic
from standby.app.checks.judge_source import (
    judge_agent,
    judge_closed,
    judge_image,
    judge_job,
    judge_machine,
    judge_scratch,
    judge_socket_way,
)
from standby.app.checks.source_facts import Access, AgentFacts, ImageFacts
from standby.errors import GrantAccess
from standby.model.disk import DiskLeftOut, ImageFormat, LeftOutBecause
from standby.model.machine import MachineDefinition, MachineIdentity, PowerState
from standby.model.observation import ScratchSpace, SourceObservation
from standby.model.point import Consistency
from standby.sources.libvirt_vm.settings import WithoutAgent

RESERVE = 2 * GIB


def seen(**changes: object) -> SourceObservation:
    facts: dict[str, object] = {
        "identity": MachineIdentity("web1", "uuid-of-web1"),
        "power": PowerState.RUNNING,
        "definition": MachineDefinition("<domain/>"),
        "disks": (source_disk(),),
        "left_out": (),
        "checkpoints": (),
        "scratch": (),
        "warnings": (),
    }
    return SourceObservation(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_machine_is_told_by_name_state_and_disks() -> None:
    (finding,) = judge_machine("hv1", seen(), "vda")
    assert finding.severity is Severity.OK
    assert "web1 (running, UUID uuid-of-web1): vda, 10.0 GiB" in finding.found


def test_a_machine_without_a_disk_to_capture_is_a_problem() -> None:
    (finding,) = judge_machine("hv1", seen(disks=()), None)
    assert finding.severity is Severity.PROBLEM


@pytest.mark.parametrize("because", LeftOutBecause)
@pytest.mark.parametrize("boots", ["vdb", "vda"])
def test_a_disk_left_out_is_noted_and_the_boot_disk_warned_of(
    because: LeftOutBecause, boots: str
) -> None:
    left_out = (DiskLeftOut("vdb", because),)
    _, finding = judge_machine("hv1", seen(left_out=left_out), boots)
    assert finding.severity is (Severity.WARNING if boots == "vdb" else Severity.NOTE)
    assert because.value in finding.found
    assert finding.topic is Topic.DISKS


IMAGES = list(product(Access, ImageFormat, PowerState, ["1.1", "0.10"]))


def expected_of_image(
    access: Access, image_format: ImageFormat, power: PowerState, compat: str
) -> Severity:
    """What a capture of such a disk would come to, spelled out."""
    is_raw = image_format is ImageFormat.RAW
    if access is Access.FAILED:
        return Severity.PROBLEM
    if access is Access.NONE or (access is Access.READ and not is_raw):
        return Severity.PROBLEM if power is PowerState.OFF else Severity.WARNING
    if is_raw:
        return Severity.WARNING
    return Severity.PROBLEM if compat == "0.10" else Severity.OK


@pytest.mark.parametrize(("access", "image_format", "power", "compat"), IMAGES)
def test_an_image_is_judged_by_access_format_and_power(
    access: Access, image_format: ImageFormat, power: PowerState, compat: str
) -> None:
    disk = source_disk(image_format=image_format)
    told = compat if image_format is ImageFormat.QCOW2 else ""
    image = ImageFacts("vda", disk.path, access, told, "qemu-img: Could not open: No such file")
    finding = judge_image("hv1", disk, image, power, "ann")
    assert finding.severity is expected_of_image(access, image_format, power, compat)
    assert disk.path in finding.found
    if access in {Access.READ, Access.NONE} and "may not" in finding.found:
        assert finding.fix.command == f"sudo setfacl -m u:ann:rw {disk.path}"


@pytest.mark.parametrize(("access", "verb"), [(Access.NONE, "read"), (Access.READ, "write")])
def test_what_is_not_allowed_is_named(access: Access, verb: str) -> None:
    disk = source_disk()
    image = ImageFacts("vda", disk.path, access)
    finding = judge_image("hv1", disk, image, PowerState.OFF, "ann")
    assert f"ann may not {verb} it" in finding.found


@pytest.mark.parametrize(
    ("complaint", "says"), [("a\nno such file", "no such file"), ("", "no message")]
)
def test_an_image_that_cannot_be_read_says_why(complaint: str, says: str) -> None:
    disk = source_disk()
    image = ImageFacts("vda", disk.path, Access.FAILED, complaint=complaint)
    finding = judge_image("hv1", disk, image, PowerState.OFF, "ann")
    assert finding.found.endswith(f"cannot be read: {says}")


def space(available: int, reserve: int = RESERVE) -> ScratchSpace:
    return ScratchSpace("/srv/vms", ("vda",), available, reserve)


@pytest.mark.parametrize(
    ("available", "severity"),
    [
        (0, Severity.PROBLEM),
        (RESERVE + 64 * MIB - 1, Severity.PROBLEM),  # the reserve, and room for the first moments
        (RESERVE + 64 * MIB, Severity.WARNING),
        (RESERVE + GIB - 1, Severity.WARNING),  # a tenth of the disk
        (RESERVE + GIB, Severity.NOTE),
        (RESERVE + 10 * GIB - 1, Severity.NOTE),
        (RESERVE + 10 * GIB, Severity.OK),
    ],
)
def test_scratch_space_is_measured_by_what_a_guest_may_overwrite(
    available: int, severity: Severity
) -> None:
    (finding,) = judge_scratch("hv1", (space(available),), (source_disk(),))
    assert finding.severity is severity
    assert "/srv/vms" in finding.found
    assert bool(str(finding.fix)) is (severity in {Severity.PROBLEM, Severity.WARNING})


def test_every_scratch_directory_is_judged() -> None:
    findings = judge_scratch("hv1", (space(0), space(100 * GIB)), (source_disk(),))
    assert [it.severity for it in findings] == [Severity.PROBLEM, Severity.OK]


NO_CHANNEL = AgentFacts(channel=False)
SILENT = AgentFacts(channel=True, complaint="Guest agent is not responding")
FROZEN = AgentFacts(channel=True, complaint="the agent is in frozen state")
EMPTY = AgentFacts(channel=True, answers=True)
READY = AgentFacts(channel=True, answers=True, filesystems=("/", "/home"))
LACKING = {WithoutAgent.FAIL: Severity.PROBLEM, WithoutAgent.CRASH: Severity.WARNING}


@pytest.mark.parametrize("without", WithoutAgent)
@pytest.mark.parametrize("wanted", [Consistency.FILESYSTEM, Consistency.APPLICATION])
@pytest.mark.parametrize("facts", [NO_CHANNEL, SILENT, EMPTY, FROZEN, READY])
def test_an_agent_that_cannot_freeze_matters_as_the_profile_says(
    facts: AgentFacts, wanted: Consistency, without: WithoutAgent
) -> None:
    finding = judge_agent("hv1", "web1", facts, wanted, without)
    expected = {FROZEN: Severity.PROBLEM, READY: Severity.OK}.get(facts, LACKING[without])
    assert finding.severity is expected


@pytest.mark.parametrize("facts", [NO_CHANNEL, SILENT, EMPTY, READY])
def test_crash_consistency_needs_no_agent(facts: AgentFacts) -> None:
    finding = judge_agent("hv1", "web1", facts, Consistency.CRASH, WithoutAgent.FAIL)
    assert finding.severity is Severity.OK


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (NO_CHANNEL, "has no channel"),
        (SILENT, "does not answer: Guest agent is not responding"),
        (EMPTY, "no file system to freeze"),
        (FROZEN, "is frozen"),
    ],
)
def test_what_an_agent_lacks_is_named(facts: AgentFacts, says: str) -> None:
    finding = judge_agent("hv1", "web1", facts, Consistency.FILESYSTEM, WithoutAgent.FAIL)
    assert says in finding.found


@pytest.mark.parametrize(("facts", "says"), [(READY, "it answers"), (SILENT, "it does not")])
def test_an_agent_that_is_not_needed_is_told_of_all_the_same(facts: AgentFacts, says: str) -> None:
    finding = judge_agent("hv1", "web1", facts, Consistency.CRASH, WithoutAgent.FAIL)
    assert says in finding.found


def test_what_a_freeze_would_hold_is_named() -> None:
    finding = judge_agent("hv1", "web1", READY, Consistency.FILESYSTEM, WithoutAgent.FAIL)
    assert "/, /home" in finding.found


def test_a_frozen_guest_is_thawed_whatever_the_profile_allows() -> None:
    finding = judge_agent("hv1", "web1", FROZEN, Consistency.FILESYSTEM, WithoutAgent.CRASH)
    assert finding.fix.command == "virsh domfsthaw web1"


@pytest.mark.parametrize(
    ("socket", "severities"),
    [
        (None, []),
        ("", [Severity.WARNING]),  # over TCP: nobody's of ours
        ("/var/lib/libvirt/qemu/domain-1-web1/other.sock", [Severity.WARNING]),
        ("/var/lib/libvirt/qemu/domain-1-web1/standby-0a1b.sock", [Severity.NOTE]),
        ("/srv/standby-0a1b/other.sock", [Severity.WARNING]),
    ],
)
def test_a_backup_job_is_ours_by_its_socket(socket: str | None, severities: list[Severity]) -> None:
    assert [it.severity for it in judge_job("hv1", "web1", socket)] == severities


CLOSED = "/var/lib/libvirt/qemu"


@pytest.mark.parametrize("power", PowerState)
@pytest.mark.parametrize("user", ["root", "ann"])
def test_sockets_out_of_reach_stop_a_machine_that_runs(power: PowerState, user: str) -> None:
    facts = host_facts(user=user, login="ann")
    finding = judge_socket_way(facts, CLOSED, power)
    off = power is PowerState.OFF
    assert finding.severity is (Severity.WARNING if off else Severity.PROBLEM)
    expected = "usermod --append --groups" if user == "root" else "setfacl -m u:ann:rx"
    assert expected in finding.fix.command


def test_sockets_within_reach_are_well() -> None:
    assert judge_socket_way(host_facts(), "", PowerState.RUNNING).severity is Severity.OK


def test_closed_firmware_variables_name_the_file() -> None:
    error = GrantAccess("hv1: /var/lib/libvirt/qemu/nvram/web1.fd", "permission denied")
    finding = judge_closed("hv1", "ann", error)
    assert finding.severity is Severity.PROBLEM
    assert finding.fix.command == "sudo setfacl -m u:ann:r /var/lib/libvirt/qemu/nvram/web1.fd"


def test_another_refusal_keeps_its_own_remedy() -> None:
    error = GrantAccess("hv1", "refused", "access", "log in as root")
    assert str(judge_closed("hv1", "ann", error).fix) == "log in as root"

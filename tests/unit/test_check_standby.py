"""Names that are taken, and what the dormant domain will have otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from chain_world import point
from configuration_files import PROFILE, loaded

from standby.app.checks.finding import Severity, Topic
from standby.app.checks.judge_standby import (
    NOT_CONNECTED,
    Wanted,
    Way,
    judge_claims,
    judge_directory,
    judge_name,
    judge_networks,
    judge_owner,
    judge_plan,
)
from standby.app.checks.storage_facts import Door
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.observation import DomainFound
from standby.profile import Identifier, Profile
from standby.target.domain.settings import Connection, ConnectionKind, Link, Replacement
from standby.target.domain.spec import NicSpec

WEB1 = MachineIdentity("web1", "uuid-of-web1")
OTHER = MachineIdentity("db1", "uuid-of-db1")
DIRECTORY = "/srv/standby/web1-standby"


MANIFEST = Manifest("web1-standby", WEB1, "q7x2m4")
WITH_POINTS = MANIFEST.with_point(point())


def wanted(**changes: object) -> Wanted:
    facts: dict[str, object] = {
        "standby": "web1-standby",
        "login": "ann",
        "uuid": Identifier.NEW,
        "machine": WEB1,
    }
    return Wanted(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("door", "manifest", "machine", "severity"),
    [
        (Door.ABSENT, None, WEB1, Severity.OK),
        (Door.OPEN, None, WEB1, Severity.NOTE),
        (Door.OPEN, MANIFEST, WEB1, Severity.OK),
        (Door.OPEN, MANIFEST, OTHER, Severity.OK),  # nothing is lost yet
        (Door.OPEN, WITH_POINTS, WEB1, Severity.OK),
        (Door.OPEN, WITH_POINTS, OTHER, Severity.PROBLEM),
        (Door.OPEN, WITH_POINTS, None, Severity.OK),
        (Door.CLOSED, None, WEB1, Severity.PROBLEM),
        (Door.CLOSED, WITH_POINTS, WEB1, Severity.PROBLEM),
    ],
)
def test_a_directory_belongs_to_one_machine(
    door: Door, manifest: Manifest | None, machine: MachineIdentity | None, severity: Severity
) -> None:
    (finding,) = judge_directory("kvm1", DIRECTORY, door, manifest, wanted(machine=machine))
    assert (finding.severity, finding.topic) == (severity, Topic.NAME)
    assert DIRECTORY in finding.found


def test_files_that_libvirt_took_are_given_back_by_a_command() -> None:
    (finding,) = judge_directory("kvm1", DIRECTORY, Door.CLOSED, WITH_POINTS, wanted())
    assert finding.fix.command == f"sudo chown -R ann {DIRECTORY}"


@pytest.mark.parametrize(("count", "says"), [(0, "0 boot points"), (1, "1 boot point of")])
def test_boot_points_are_counted(count: int, says: str) -> None:
    manifest = WITH_POINTS if count else MANIFEST
    (finding,) = judge_directory("kvm1", DIRECTORY, Door.OPEN, manifest, wanted())
    assert says in finding.found


@pytest.mark.parametrize(
    ("found", "severity", "says"),
    [
        (DomainFound.ABSENT, Severity.OK, "no domain is called web1-standby"),
        (DomainFound.OURS, Severity.OK, "the domain web1-standby is ours"),
        (DomainFound.FOREIGN, Severity.PROBLEM, "that is not ours"),
    ],
)
def test_a_domain_of_the_name_has_to_be_ours(
    found: DomainFound, severity: Severity, says: str
) -> None:
    (finding,) = judge_name("kvm1", found, {}, wanted())
    assert finding.severity is severity
    assert says in finding.found


@pytest.mark.parametrize("uuid", Identifier)
@pytest.mark.parametrize("holder", ["web1", "web1-standby", "db1"])
@pytest.mark.parametrize("machine", [WEB1, None])
def test_a_uuid_that_is_kept_may_be_only_the_standbys(
    uuid: Identifier, holder: str, machine: MachineIdentity | None
) -> None:
    uuids = {holder: WEB1.uuid, "another": "another-uuid"}
    asked = wanted(uuid=uuid, machine=machine)
    findings = list(judge_name("kvm1", DomainFound.ABSENT, uuids, asked))
    clash = uuid is Identifier.KEEP and machine is not None and holder != "web1-standby"
    assert any(it.severity is Severity.PROBLEM for it in findings) is clash


def other_profile(profile: Profile, **changes: object) -> Profile:
    changes = {"name": "web2", "file": Path("/etc/standby/profiles/web2.yaml"), **changes}
    return replace(profile, **changes)  # type: ignore[arg-type]


def test_two_profiles_want_two_names(tmp_path: Path) -> None:
    profile = loaded(tmp_path, {"profiles/web1.yaml": PROFILE})
    same = other_profile(profile)
    (finding,) = judge_claims("kvm1", profile, [same])
    assert finding.severity is Severity.PROBLEM
    assert "web2" in finding.found


def test_the_same_name_elsewhere_and_the_profile_itself_are_no_clash(tmp_path: Path) -> None:
    profile = loaded(tmp_path, {"profiles/web1.yaml": PROFILE})
    elsewhere = other_profile(profile, target_host=profile.source_host)
    other = other_profile(profile, standby_name="web2-standby")
    assert list(judge_claims("kvm1", profile, [elsewhere, other, profile])) == []


def test_what_is_replaced_is_noted_and_a_loose_nic_warned_of() -> None:
    replaced = [
        Replacement("CPU Skylake", "host-model", "the KVM host lacks it"),
        Replacement("NIC 0 on network lan", NOT_CONNECTED, "the KVM host has none of that name"),
    ]
    note, warning = judge_plan("kvm1", replaced)
    assert (note.severity, note.topic) == (Severity.NOTE, Topic.DOMAIN)
    assert (warning.severity, warning.topic) == (Severity.WARNING, Topic.NETWORK)
    assert str(warning.fix)


def test_a_standby_with_all_that_its_machine_has_is_well() -> None:
    assert [it.severity for it in judge_plan("kvm1", [])] == [Severity.OK]


def nic(kind: ConnectionKind, name: str = "") -> NicSpec:
    return NicSpec("52:54:00:00:00:01", Connection(kind, name), Link.UP)


@pytest.mark.parametrize(
    ("active", "severity"),
    [({"lan": True}, Severity.OK), ({"lan": False}, Severity.PROBLEM), ({}, Severity.PROBLEM)],
)
def test_a_network_has_to_be_up_for_a_start(active: dict[str, bool], severity: Severity) -> None:
    (finding,) = judge_networks("kvm1", [nic(ConnectionKind.NETWORK, "lan")], active)
    assert finding.severity is severity
    if severity is Severity.PROBLEM:
        assert finding.fix.command == "virsh net-start lan && virsh net-autostart lan"


@pytest.mark.parametrize("kind", [kind for kind in ConnectionKind if kind.value != "network"])
def test_what_is_no_network_of_libvirt_need_not_be_up(kind: ConnectionKind) -> None:
    assert list(judge_networks("kvm1", [nic(kind, "br0")], {})) == []


@pytest.mark.parametrize(
    ("runs_as", "sockets", "severity"),
    [
        ("", Way.OPEN, Severity.WARNING),
        ("libvirt-qemu", Way.OPEN, Severity.WARNING),
        ("ann", Way.OPEN, Severity.OK),
        ("ann", Way.CLOSED, Severity.PROBLEM),
        ("", Way.CLOSED, Severity.WARNING),
    ],
)
def test_an_ordinary_user_keeps_his_files_if_the_standby_runs_as_him(
    runs_as: str, sockets: Way, severity: Severity
) -> None:
    assert judge_owner("kvm1", "ann", runs_as, sockets).severity is severity

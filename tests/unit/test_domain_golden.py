"""The standby of every golden machine is what it was; libvirt's own schema accepts it.

REGENERATE_GOLDEN=1 writes the expected files anew: read the difference before committing it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path

import libvirt
import pytest
from domain_cases import CASES, GOLDEN, Case, host, names

from standby.target.domain.element import Element, parse_xml
from standby.target.domain.machine import Machine
from standby.target.domain.plan import plan_domain
from standby.target.domain.reading import read_machine
from standby.target.domain.render import render_domain
from standby.target.domain.settings import DomainSettings, Identifier
from standby.target.domain.spec import DomainSpec

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
REGENERATE = "REGENERATE_GOLDEN" in os.environ

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def compare(path: Path, now: str) -> None:
    if REGENERATE:
        path.write_text(now)
    assert path.is_file(), f"REGENERATE_GOLDEN=1 pytest makes {path.name}"
    assert now == path.read_text()


@every_case
def test_the_standby_is_as_expected(case: Case) -> None:
    plan = case.plan()
    compare(GOLDEN / "standbys" / f"{case.name}.xml", render_domain(plan.spec))


@every_case
def test_what_could_not_be_carried_over_is_reported(case: Case) -> None:
    plan = case.plan()
    lines = [f"{entry}\n" for entry in plan.replaced]
    lines.append(f"takes the firmware variables: {'yes' if plan.takes_nvram else 'no'}\n")
    compare(GOLDEN / "standbys" / f"{case.name}.replaced.txt", "".join(lines))


@every_case
def test_libvirts_schema_accepts_the_standby(case: Case, tmp_path: Path) -> None:
    if not SCHEMA.is_file() or shutil.which("xmllint") is None:
        pytest.skip("needs libvirt's schemas and xmllint (libvirt-daemon, libxml2-utils)")
    if case.since > libvirt_version():
        pytest.skip(f"needs the schema of libvirt {'.'.join(map(str, case.since))}")
    definition = tmp_path / "standby.xml"
    definition.write_text(render_domain(case.plan().spec))
    argv = ("xmllint", "--noout", "--relaxng", str(SCHEMA), str(definition))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def libvirt_version() -> tuple[int, ...]:
    number = libvirt.getVersion()
    return number // 1_000_000, number // 1000 % 1000


@every_case
def test_planning_the_standby_of_a_standby_changes_nothing(case: Case) -> None:
    """All that is planned is read back: nothing is lost between plan, XML and the next plan."""
    once = case.plan().spec
    again = plan_again(once, case)
    same = {"mark": once.mark, "title": once.title, "description": once.description}
    assert replace(again, **same) == once


def plan_again(spec: DomainSpec, case: Case) -> DomainSpec:
    machine = read_machine(render_domain(spec))
    disks = frozenset(disk.name for disk in machine.disks)
    settings = DomainSettings(captured=disks, uuid=Identifier.KEEP)
    facts = host(case.host_name, machine, settings)
    return plan_domain(machine, settings, facts, names(spec.name, case.nvram_bytes)).spec


def test_a_definition_is_the_same_whenever_it_is_planned() -> None:
    for case in CASES:
        assert render_domain(case.plan().spec) == render_domain(case.plan().spec)


def test_every_property_of_a_standby_is_exercised() -> None:
    used: dict[str, set[object]] = defaultdict(set)
    for case in CASES:
        collect(case.plan().spec, used)
    never = sorted(name for name, values in used.items() if not values - {"", None, ()})
    assert not never
    enums = {type(v) for values in used.values() for v in values if isinstance(v, Enum)}
    members = {v for values in used.values() for v in values if isinstance(v, Enum)}
    assert {m for kind in enums for m in kind} - members == LEGITIMATELY_ABSENT


# A SCSI unit that was passed through becomes a disk, so no standby has one.
LEGITIMATELY_ABSENT = {
    member for member in type(CASES[0].machine.disks[0].kind) if member.value == "lun"
}


def collect(value: object, used: dict[str, set[object]]) -> None:
    """Note every value of every property, down to the elements that are carried over."""
    if isinstance(value, tuple):
        for item in value:
            collect(item, used)
    if isinstance(value, Element) or not is_dataclass(value):
        return
    for field in fields(value):
        content = getattr(value, field.name)
        used[f"{type(value).__name__}.{field.name}"].add(content)
        collect(content, used)


@every_case
def test_no_device_disappears_without_a_word(case: Case) -> None:
    plan = case.plan()
    rendered = parse_xml(render_domain(plan.spec), "standby")
    said = "\n".join(map(str, plan.replaced))
    for tag in sorted(missing(case.machine, rendered)):
        assert tag in said or tag in QUIET, f"<{tag}> is gone, and nobody was told"


# What says nothing about the guest, and its ends on the source's host.
QUIET = frozenset({
    "emulator", "audio", "redirfilter", "title", "description", "metadata",
    "seclabel", "resource", "iothreads",
})  # fmt: skip


def missing(machine: Machine, rendered: Element) -> Iterator[str]:
    there = {child.tag for child in rendered.children}
    there |= {device.tag for device in rendered.all("devices")[0].children}
    for part in (*machine.devices, *machine.rest):
        if part.tag not in there:
            yield part.tag.rpartition("}")[2]

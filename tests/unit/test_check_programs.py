"""Which programs are missing or too old, and the command that mends it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from check_facts import host_facts, program

from standby.app.checks.finding import Finding, Severity
from standby.app.checks.host_facts import HostFacts, Program
from standby.app.checks.needs import NEEDS, Need, Role, install, judge_programs

EVERY_ROLE = [frozenset({role}) for role in Role] + [frozenset({Role.SOURCE, Role.KVM})]
CASES = [(need, roles) for need in NEEDS for roles in EVERY_ROLE]
CASE_NAMES = [f"{n.program}-{'+'.join(sorted(r.value for r in rs))}" for n, rs in CASES]


def judged(facts: HostFacts, roles: frozenset[Role]) -> list[Finding]:
    return list(judge_programs(facts, roles))


def changed(found: Program) -> HostFacts:
    facts = host_facts()
    return replace(facts, programs={**facts.programs, found.name: found})


def problems(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is Severity.PROBLEM]


@pytest.mark.parametrize("roles", EVERY_ROLE)
def test_a_host_that_has_all_of_them_is_well(roles: frozenset[Role]) -> None:
    assert [finding.severity for finding in judged(host_facts(), roles)] == [Severity.OK]


@pytest.mark.parametrize(("need", "roles"), CASES, ids=CASE_NAMES)
def test_a_missing_program_is_a_problem_to_whom_it_matters(
    need: Need, roles: frozenset[Role]
) -> None:
    found = problems(judged(changed(Program(need.program)), roles))
    assert len(found) == bool(need.roles & roles)
    for finding in found:
        assert finding.found.startswith(f"{need.program} is missing")
        assert finding.fix.command == f"apt-get install {need.packages}"
        assert finding.fix.on == "kvm1"


@pytest.mark.parametrize("need", [need for need in NEEDS if need.since], ids=lambda n: n.program)
def test_a_program_older_than_what_we_use_is_a_problem(need: Need) -> None:
    *head, last = need.since
    older = (*head[:-1], head[-1] - 1, 99) if not last else (*head, last - 1)
    too_old = replace(program(need.program), version=older)
    assert problems(judged(changed(too_old), need.roles))
    just_enough = replace(program(need.program), version=need.since)
    assert not problems(judged(changed(just_enough), need.roles))


@pytest.mark.parametrize("need", [need for need in NEEDS if need.since], ids=lambda n: n.program)
def test_a_program_that_tells_no_version_is_only_a_warning(need: Need) -> None:
    silent = replace(program(need.program), version=())
    assert [it.severity for it in judged(changed(silent), need.roles)] == [Severity.WARNING]


@pytest.mark.parametrize("need", [need for need in NEEDS if need.gnu], ids=lambda n: n.program)
def test_a_program_of_another_make_is_a_problem(need: Need) -> None:
    busybox = replace(program(need.program), banner="BusyBox v1.35.0 multi-call binary.")
    (finding,) = problems(judged(changed(busybox), need.roles))
    assert "BusyBox" in finding.found


def test_qemu_older_than_the_tested_one_is_noted_where_qemu_matters() -> None:
    old = changed(replace(program("qemu-img"), version=(6, 2)))
    assert [it.severity for it in judged(old, frozenset({Role.KVM}))] == [
        Severity.OK,
        Severity.NOTE,
    ]
    assert [it.severity for it in judged(old, frozenset({Role.MANAGER}))] == [Severity.OK]


@pytest.mark.parametrize(
    ("families", "command"),
    [
        ({"debian"}, "apt-get install qemu-utils"),
        ({"ubuntu", "debian"}, "apt-get install qemu-utils"),
        ({"fedora"}, "dnf install /usr/bin/qemu-img"),
        ({"rocky", "rhel", "centos", "fedora"}, "dnf install /usr/bin/qemu-img"),
        ({"arch"}, ""),
    ],
)
def test_the_command_is_that_of_the_distribution(families: set[str], command: str) -> None:
    need = next(need for need in NEEDS if need.program == "qemu-img")
    fix = install(need, host_facts(families=frozenset(families)))
    assert fix.command == command
    assert str(fix)


@pytest.mark.parametrize("user", ["root", "ann"])
def test_who_did_not_log_in_as_root_is_told_to_use_sudo(user: str) -> None:
    fix = install(NEEDS[0], host_facts(user=user, login="ann"))
    assert fix.command.startswith("sudo apt-get install ")

"""Look at everything a profile depends on, and say what is wrong. Changes nothing lasting."""

from __future__ import annotations

from collections.abc import Iterator

from standby.app.checks.finding import CheckReport, Finding
from standby.app.checks.host_facts import HostFacts, probe_host
from standby.app.checks.judge_host import judge_clock, judge_login, judge_reach
from standby.app.checks.judge_libvirt import judge_libvirt
from standby.app.checks.libvirt_facts import probe_libvirt
from standby.app.checks.needs import WANTED, Role, judge_programs
from standby.app.session import Session
from standby.errors import StandbyError
from standby.host.interface import Host
from standby.profile import Profile


def check(session: Session, profile: Profile) -> CheckReport:
    """Check both ends of a profile. A host that cannot be reached is a finding, no error."""
    findings: list[Finding] = []
    for host, roles in _hosts(session, profile):
        findings += _host(host, roles)
    return CheckReport(profile.name, tuple(findings))


def _hosts(session: Session, profile: Profile) -> Iterator[tuple[Host, frozenset[Role]]]:
    if profile.source_host == profile.target_host:
        yield session.kvm_host(profile), frozenset(Role)
        return
    yield session.source_host(profile), frozenset({Role.SOURCE})
    yield session.kvm_host(profile), frozenset({Role.KVM})


def _host(host: Host, roles: frozenset[Role]) -> Iterator[Finding]:
    try:
        facts: HostFacts = probe_host(host, WANTED)
    except StandbyError as error:
        yield judge_reach(host.name, error)
        return
    yield from judge_login(facts)
    yield judge_clock(facts)
    yield from judge_programs(facts, roles)
    try:
        yield from judge_libvirt(host.name, probe_libvirt(host), roles)
    except StandbyError as error:
        yield judge_reach(host.name, error)

"""Look at everything a profile depends on, and say what is wrong. Changes nothing lasting."""

from __future__ import annotations

from collections.abc import Iterator

from standby.app.checks.end import End, look_at_end
from standby.app.checks.finding import CheckReport, Finding, Topic
from standby.app.checks.judge_source import judge_closed
from standby.app.checks.kvm_end import check_kvm
from standby.app.checks.needs import Role
from standby.app.checks.source_end import check_machine, observe_machine
from standby.app.session import Session
from standby.errors import GrantAccess, StandbyError
from standby.profile import Profile


def check(session: Session, profile: Profile) -> CheckReport:
    """Check both ends of a profile. A host that cannot be reached is a finding, no error."""
    return CheckReport(profile.name, tuple(_findings(session, profile)))


def _findings(session: Session, profile: Profile) -> Iterator[Finding]:
    source, kvm = _ends(session, profile)
    yield from source.findings
    seen = None
    if source.libvirt:
        try:
            seen = observe_machine(session, profile)
            yield from check_machine(source, profile, seen)
        except GrantAccess as error:
            yield judge_closed(source.host.name, source.login, error)
        except StandbyError as error:
            yield source.about(Topic.MACHINE).error(error)
    if kvm is not source:
        yield from kvm.findings
    if kvm.libvirt:
        yield from check_kvm(kvm, profile, seen)


def _ends(session: Session, profile: Profile) -> tuple[End, End]:
    """Look at both hosts; where one machine is both ends it is looked at once."""
    source, target = profile.source_host, profile.target_host
    if source == target:
        both = look_at_end(session.kvm_host(profile), target, frozenset(Role))
        return both, both
    return (
        look_at_end(session.source_host(profile), source, frozenset({Role.SOURCE})),
        look_at_end(session.kvm_host(profile), target, frozenset({Role.KVM})),
    )

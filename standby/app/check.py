"""Look at everything a profile depends on, and say what is wrong. Changes nothing lasting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from standby.app.checks.beside import Beside
from standby.app.checks.end import End, Looked, attempt, look_at_end
from standby.app.checks.finding import MANAGER, About, CheckReport, Finding, Topic
from standby.app.checks.host_facts import probe_host
from standby.app.checks.judge_receivers import judge_receivers
from standby.app.checks.judge_source import judge_closed
from standby.app.checks.judge_standby import judge_claims
from standby.app.checks.kvm_end import check_kvm
from standby.app.checks.needs import WANTED, Role, judge_programs
from standby.app.checks.source_end import check_machine, observe_machine
from standby.app.session import Session
from standby.errors import GrantAccess, StandbyError
from standby.model.observation import SourceObservation
from standby.profile import Profile
from standby.profile.hosts import LOCAL


def check(session: Session, profile: Profile) -> CheckReport:
    """Check both ends of a profile. A host that cannot be reached is a finding, no error."""
    return CheckReport(profile.name, tuple(_findings(session, profile)))


def _findings(session: Session, profile: Profile) -> Iterator[Finding]:
    yield from _manager(session, profile)
    yield from judge_receivers(profile.notify.receivers.webhooks)
    source, kvm = _ends(session, profile)
    seen, unseen = _observe(session, profile, source.end)
    at_source = Beside(lambda: _at_source(source.end, profile, seen))
    at_kvm = list(check_kvm(kvm.end, profile, seen)) if kvm.end else []
    yield from (*source.findings, *unseen, *at_source.result())
    if kvm is not source:
        yield from kvm.findings
    yield from judge_claims(profile.target_host.name, profile, _others(session, profile))
    yield from at_kvm


def _observe(
    session: Session, profile: Profile, end: End | None
) -> tuple[SourceObservation | None, tuple[Finding, ...]]:
    """Look at the machine as a cycle does; return it, or why it could not be looked at."""
    if end is None:
        return None, ()
    try:
        return observe_machine(session, profile), ()
    except GrantAccess as error:
        return None, (judge_closed(end.name, end.facts.login, error),)
    except StandbyError as error:
        return None, (end.about(Topic.MACHINE).error(error),)


def _at_source(
    end: End | None, profile: Profile, seen: SourceObservation | None
) -> tuple[Finding, ...]:
    if end is None or seen is None:
        return ()
    return tuple(attempt(end.about(Topic.MACHINE), lambda: check_machine(end, profile, seen)))


def _manager(session: Session, profile: Profile) -> Iterator[Finding]:
    """Look at the machine we run on, if it has to reach others."""
    if profile.source_host.is_local and profile.target_host.is_local:
        return
    about = About(MANAGER, Topic.PROGRAMS)
    here = session.host(session.configuration.host(LOCAL))
    yield from attempt(
        about,
        lambda: judge_programs(
            replace(probe_host(here, WANTED), name=MANAGER), frozenset({Role.MANAGER})
        ),
    )


def _others(session: Session, profile: Profile) -> Iterator[Profile]:
    """Yield the other profiles that can be read: what is wrong in them is not our business."""
    configuration = session.configuration
    for name in configuration.profile_names():
        if name != profile.name:
            try:
                other = configuration.profile(name)
            except StandbyError:
                continue
            yield other


def _ends(session: Session, profile: Profile) -> tuple[Looked, Looked]:
    """Look at both hosts; where one machine is both ends it is looked at once."""
    source, target = profile.source_host, profile.target_host
    if source == target:
        roles = frozenset({Role.SOURCE, Role.KVM})
        both = look_at_end(session.kvm_host(profile), target, roles)
        return both, both
    at_source = Beside(
        lambda: look_at_end(session.source_host(profile), source, frozenset({Role.SOURCE}))
    )
    at_kvm = look_at_end(session.kvm_host(profile), target, frozenset({Role.KVM}))
    return at_source.result(), at_kvm

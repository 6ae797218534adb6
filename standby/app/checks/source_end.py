"""The source host and the machine on it."""

from __future__ import annotations

from collections.abc import Iterator

from standby.app.checks.confinement import judge_confinement
from standby.app.checks.end import End, attempt, try_link
from standby.app.checks.finding import Finding, Topic
from standby.app.checks.judge_source import (
    judge_agent,
    judge_image,
    judge_job,
    judge_machine,
    judge_scratch,
    judge_socket_way,
)
from standby.app.checks.source_facts import probe_agent, probe_images, probe_job, probe_socket_way
from standby.app.session import Session
from standby.app.wiring import source_of
from standby.model.machine import PowerState
from standby.model.observation import SourceObservation
from standby.profile import Profile
from standby.sources.libvirt_vm.definition import boot_disk, disks_of
from standby.sources.libvirt_vm.settings import SourceSettings, WithoutAgent
from standby.transports.speed import Direction

# No checkpoint has a name that begins so: what a cycle tracks is none of our business here.
_NO_OWNER = "no-standby-"


def observe_machine(session: Session, profile: Profile) -> SourceObservation:
    """Look at the machine as a cycle does. Raises StandbyError."""
    return source_of(session, profile).observe(_NO_OWNER)


def check_machine(end: End, profile: Profile, seen: SourceObservation) -> Iterator[Finding]:
    """Check what a capture of the machine needs."""
    yield from judge_machine(end.name, seen, _boots(profile, seen))
    yield from attempt(end.about(Topic.DISKS), lambda: _images(end, seen))
    yield from judge_scratch(end.name, seen.scratch, seen.disks)
    if seen.power is not PowerState.OFF:
        yield from attempt(end.about(Topic.AGENT), lambda: _running(end, profile, seen))
    yield from attempt(end.about(Topic.SOCKET), lambda: _sockets(end, seen))
    yield from _confinement(end, seen)
    allocated = sum(disk.allocated for disk in seen.disks)
    yield from try_link(end, profile, Direction.READ, allocated)


def _boots(profile: Profile, seen: SourceObservation) -> str | None:
    disks = profile.source.disks
    settings = SourceSettings(
        profile.source.domain,
        only=frozenset(disks.include or ()),
        excluded=dict(disks.exclude),
    )
    return boot_disk(disks_of(seen.definition.domain_xml, settings))


def _images(end: End, seen: SourceObservation) -> Iterator[Finding]:
    images = probe_images(end.host, seen.disks)
    for disk, image in zip(seen.disks, images, strict=True):
        yield judge_image(end.name, disk, image, seen.power, end.facts.login)


def _running(end: End, profile: Profile, seen: SourceObservation) -> Iterator[Finding]:
    name, source = seen.identity.name, profile.source
    yield from judge_job(end.name, name, probe_job(end.host, seen.identity.uuid))
    agent = probe_agent(end.host, seen.identity.uuid)
    without = WithoutAgent(source.on_unavailable_agent.value)
    yield judge_agent(end.name, name, agent, source.consistency, without)


def _sockets(end: End, seen: SourceObservation) -> Iterator[Finding]:
    closed = probe_socket_way(end.host, seen.identity.uuid)
    yield judge_socket_way(end.facts, closed, seen.power)


def _confinement(end: End, seen: SourceObservation) -> Iterator[Finding]:
    directories = [space.directory for space in seen.scratch]
    # Where its images lie the machine runs already, so only another place for scratch matters.
    if directories:
        yield from judge_confinement(
            end.name, end.libvirt.security, directories, "", "scratch space"
        )

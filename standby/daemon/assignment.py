"""One machine as the daemon plans for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from standby.model.schedule import OnEvent, Schedule, SourceEvent
from standby.planning.rpo import derived_rpo
from standby.profile import Profile


@dataclass(frozen=True, slots=True)
class Assignment:
    """What of a profile says when its runs begin, and beside whom."""

    name: str
    schedule: Schedule
    rpo: timedelta
    source_host: str
    kvm_host: str
    domain: str = ""

    @property
    def events(self) -> frozenset[SourceEvent]:
        """What has to happen to the machine for a run to begin."""
        entries = [entry for entry in self.schedule.entries if isinstance(entry, OnEvent)]
        return frozenset(event for entry in entries for event in entry.events)


def assignment_of(profile: Profile, now: datetime) -> Assignment:
    """Return what a profile asks of the daemon."""
    schedule = profile.schedule.planned()
    return Assignment(
        name=profile.name,
        schedule=schedule,
        rpo=profile.rpo.target or derived_rpo(schedule, now, profile.name),
        source_host=profile.source_host.name,
        kvm_host=profile.target_host.name,
        domain=profile.source.domain,
    )

"""One machine as the daemon plans for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from standby.model.schedule import Once, OnEvent, Schedule, SourceEvent
from standby.planning.schedule import moment_of
from standby.profile import Profile


@dataclass(frozen=True, slots=True)
class Assignment:
    """What of a profile says when its runs begin, and beside whom."""

    name: str
    schedule: Schedule
    rpo: timedelta | None  # as the profile says; None: by its schedule
    source_host: str
    kvm_host: str
    domain: str = ""
    seed_at: datetime | None = None  # UTC; the first copy does not begin by itself before

    @property
    def events(self) -> frozenset[SourceEvent]:
        """What has to happen to the machine for a run to begin."""
        entries = [entry for entry in self.schedule.entries if isinstance(entry, OnEvent)]
        return frozenset(event for entry in entries for event in entry.events)

    @property
    def machine(self) -> str:
        """What is protected: another host or domain is another machine."""
        return f"{self.source_host}/{self.domain}"

    @property
    def runs_once_now(self) -> bool:
        """Whether a run is asked for without a time: one, as soon as the profile is known."""
        return any(isinstance(it, Once) and it.at is None for it in self.schedule.entries)


def assignment_of(profile: Profile) -> Assignment:
    """Return what a profile asks of the daemon."""
    schedule = profile.schedule.planned()
    seed_at = None if schedule.seed_at is None else moment_of(schedule.seed_at, schedule.zone)
    if schedule.seed_at is not None:
        schedule = replace(schedule, entries=(*schedule.entries, Once(schedule.seed_at)))
    return Assignment(
        name=profile.name,
        schedule=schedule,
        rpo=profile.rpo.target,
        source_host=profile.source_host.name,
        kvm_host=profile.target_host.name,
        domain=profile.source.domain,
        seed_at=seed_at,
    )

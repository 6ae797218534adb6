"""All that a profile may say: every key once, with kind, default, description and example.

The JSON Schema, the reference, the commented starter profile and what mistakes call allowed are
made from these classes and those of the sections.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Self

from pydantic import Field, model_validator

from standby.model.point import Consistency
from standby.model.window import RateByDay
from standby.profile.dormant import Standby
from standby.profile.kinds import Duration, Rate, SafeName, Window, bounded
from standby.profile.limits import BY_DAY_EXAMPLE, Bandwidth, Limits, rate_by_day
from standby.profile.notify import Notify
from standby.profile.points import BootPoints
from standby.profile.schedule import Rpo, Schedule
from standby.profile.scripts import Scripts
from standby.profile.section import Section, impossible
from standby.profile.source import Source
from standby.profile.target import Target
from standby.profile.units import parse_duration, parse_rate


class Compression(Enum):
    """What squeezes the data between the hosts."""

    NONE = "none"
    SSH = "ssh"


class Transfer(Section):
    """How data moves to the KVM host."""

    bandwidth: Bandwidth = Field(
        default=None,
        description="The most that a cycle sends in a second: one rate, or a list of rates by "
        "time of day, of which the first holds whose window the clock is in. "
        "Null: no limit.",
        examples=["50MiB/s", BY_DAY_EXAMPLE],
    )
    compression: Compression = Field(
        default=Compression.NONE,
        description="`ssh` compresses the stream to the KVM host: good on links below about "
        "20 MB/s, a brake on faster ones.",
        examples=["ssh"],
    )

    @property
    def rate(self) -> RateByDay:
        """The bandwidth at each time of the day."""
        return rate_by_day(self.bandwidth)


class Merge(Section):
    """How boot points are merged."""

    bandwidth: Annotated[Rate, bounded(parse_rate, "1KiB/s")] | None = Field(
        default=None,
        description="The most that a merge writes in a second. Null: no limit.",
        examples=["100MiB/s"],
    )


class Resync(Section):
    """How a source is read as a whole when the history of its changes is lost."""

    bandwidth: Annotated[Rate, bounded(parse_rate, "1KiB/s")] | None = Field(
        default=None,
        description="The most that a resync reads of the source in a second. Null: no limit.",
        examples=["100MiB/s"],
    )
    window: Window | None = Field(
        default=None,
        description="The part of the day in which a cycle may begin a resync, by the clock of "
        "`schedule.timezone`. Outside of it a cycle that needs one makes no point and exits with "
        "75; `standby resync` begins at any time. A machine with raw disks needs one each time. "
        "Null: any time.",
        examples=["19:00-06:00"],
    )


class History(Section):
    """How long what was done for this machine is remembered."""

    keep: Annotated[Duration, bounded(parse_duration, "1d")] | None = Field(
        default=None,
        description="How long its runs and their logs are kept, but never longer than "
        "`history.keep` of `manager.yaml` says. From 1d. Null: as long as that.",
        examples=["4w"],
    )


class ProfileFile(Section):
    """How one machine is protected."""

    policy: SafeName | None = Field(
        default=None,
        description="Name of the policy in `policies/` whose values hold where this profile has "
        "none of its own.",
        examples=["gold"],
    )
    source: Source = Field(description="The machine that is protected.")
    target: Target = Field(description="Where the standby and its boot points are kept.")
    standby: Standby = Field(default_factory=Standby, description="The dormant VM on the KVM host.")
    boot_points: BootPoints = Field(
        default_factory=BootPoints, description="How many boot points are kept, and which."
    )
    transfer: Transfer = Field(
        default_factory=Transfer, description="How data moves to the KVM host."
    )
    merge: Merge = Field(default_factory=Merge, description="How boot points are merged.")
    resync: Resync = Field(
        default_factory=Resync, description="How the source is read when its history is lost."
    )
    schedule: Schedule = Field(
        default_factory=Schedule,
        description="When cycles run. Without an entry only by hand: `standby run`.",
    )
    rpo: Rpo = Field(default_factory=Rpo, description="How old the newest boot point may be.")
    scripts: Scripts = Field(
        default_factory=Scripts,
        description="Scripts that run around a cycle. None runs while the guest is frozen.",
    )
    notify: Notify = Field(
        default_factory=Notify, description="Who is told what about this machine."
    )
    history: History = Field(
        default_factory=History,
        description="How long what was done for this machine is remembered.",
    )
    limits: Limits = Field(
        default_factory=Limits,
        description="How readily what we start on any host gives way to everything else there.",
    )

    @model_validator(mode="after")
    def _application_points_can_be_made(self) -> Self:
        schedule = self.schedule
        reached = self.source.consistency
        if schedule.application_every is not None and reached is not Consistency.APPLICATION:
            raise impossible(
                f"source.consistency is {reached.value}",
                "with source.consistency: application",
                "schedule.application_every",
                "source.consistency",
            )
        return self

    @model_validator(mode="after")
    def _rpo_can_be_met(self) -> Self:
        every, target = self.schedule.every, self.rpo.target
        alone = len(self.schedule.planned().entries) == 1
        if alone and every is not None and target is not None and every > target:
            raise impossible(
                "cycles are further apart than that",
                "a later target, or a more frequent schedule",
                "rpo.target",
                "schedule.every",
            )
        return self

"""Keys of a profile that say which machine is protected, and how it is captured.

To protect another type of source, write a sibling of LibvirtSource and make Source a union
discriminated by `type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from standby.model.disk import ExcludedAs
from standby.model.point import Consistency
from standby.model.window import RateByDay
from standby.profile.kinds import (
    DiskName,
    DomainName,
    Duration,
    RemotePath,
    ReservedSpace,
    SafeName,
    bounded,
)
from standby.profile.limits import BY_DAY_EXAMPLE, Bandwidth, rate_by_day
from standby.profile.section import READ_ONLY, ReadOnly, Section, impossible
from standby.profile.units import Reserve, parse_duration


class OnUnavailableAgent(Enum):
    """What a cycle does when the guest cannot be frozen as the profile asks."""

    FAIL = "fail"
    CRASH = "crash"


class Disks(Section):
    """Which disks of the machine are protected."""

    include: Annotated[tuple[DiskName, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Protect these disks only; the others are absent from the standby. "
        "Excludes `exclude`.",
        examples=[["vda", "vdb"]],
    )
    exclude: Annotated[Mapping[DiskName, ExcludedAs], *READ_ONLY] = Field(
        default=ReadOnly({}),
        description="Protect all disks but these. In the standby, such a disk is `absent`, or an "
        "`empty` one of the same size, for swap and scratch disks.",
        examples=[{"vdb": "empty"}],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.include is not None and self.exclude:
            raise impossible(
                "include and exclude are both set", "one of them", "include", "exclude"
            )
        return self

    def excluded_as(self, disk: str) -> ExcludedAs | None:
        """Say what stands in the standby for `disk`, or None if it is protected."""
        if self.include is not None:
            return None if disk in self.include else ExcludedAs.ABSENT
        return self.exclude.get(disk)


class Scratch(Section):
    """Where the hypervisor keeps old blocks while a capture is read."""

    directory: RemotePath | None = Field(
        default=None,
        description="Directory on the source's host for scratch files; null puts each beside "
        "its disk's image. In the worst case a scratch file grows to the size of its disk.",
        examples=["/var/lib/libvirt/scratch"],
    )
    reserve: ReservedSpace = Field(
        default=Reserve(size=2 * 1024**3),
        description="Space that a capture leaves free there, as a size or as a share of the file "
        "system. A capture that would need more is given up, so that the guest never sees a "
        "write error.",
        examples=["10%"],
    )


class LibvirtSource(Section):
    """A VM of a libvirt host."""

    type: Literal["libvirt"] = Field(
        description="What kind of machine is protected.", examples=["libvirt"]
    )
    host: SafeName = Field(
        description="The host that the VM runs on: a name from `hosts/`, or `local` for the "
        "management host itself.",
        examples=["hv1"],
    )
    domain: DomainName = Field(
        description="Name or UUID of the libvirt domain. A domain whose name holds blanks or "
        "other special characters is given by its UUID (`virsh domuuid`).",
        examples=["web1"],
    )
    consistency: Consistency = Field(
        default=Consistency.FILESYSTEM,
        description="What a boot point is worth to the programs inside it. `crash`: as after a "
        "power cut; needs nothing in the guest. `filesystem`: file systems frozen by the guest "
        "agent. `application`: frozen, with the guest's own freeze hooks run first. Freezing is "
        "the default, so that a missing guest agent is noticed in the first cycle and not after "
        "a disaster.",
        examples=["application"],
    )
    on_unavailable_agent: OnUnavailableAgent = Field(
        default=OnUnavailableAgent.FAIL,
        description="What a cycle does when the guest cannot be frozen (no agent, or it does not "
        "answer in time). `fail`: no boot point, and an error that says why. `crash`: a "
        "crash-consistent boot point, marked as such.",
        examples=["crash"],
    )
    freeze_limit: Annotated[Duration, bounded(parse_duration, "1s", "5m")] = Field(
        default=timedelta(seconds=10),
        description="The guest is thawed after this time whatever happens, even if the manager "
        "or its connection dies. From 1s to 5m.",
        examples=["5s"],
    )
    read_bandwidth: Bandwidth = Field(
        default=None,
        description="The most that is read of the machine's disks in a second, in any kind of "
        "cycle, so that its own work goes on: one rate, or a list of rates by time of day. "
        "`resync.bandwidth` holds besides. Null: no limit.",
        examples=["200MiB/s", BY_DAY_EXAMPLE],
    )
    disks: Disks = Field(default_factory=Disks, description="Which disks are protected.")
    scratch: Scratch = Field(
        default_factory=Scratch,
        description="Where old blocks are kept while a capture is read from a running VM.",
    )

    @property
    def read_rate(self) -> RateByDay:
        """The bandwidth of reading at each time of the day."""
        return rate_by_day(self.read_bandwidth)


Source = LibvirtSource

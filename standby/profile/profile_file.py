"""All that a profile may say: every key once, with kind, default, description and example.

The JSON Schema, the reference, the commented starter profile and what mistakes call allowed are
made from these classes and those of the sections.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from standby.profile.dormant import Standby
from standby.profile.kinds import Rate, SafeName, Window, bounded
from standby.profile.points import BootPoints
from standby.profile.section import Section
from standby.profile.source import Source
from standby.profile.target import Target
from standby.profile.units import parse_rate


class Compression(Enum):
    """What squeezes the data between the hosts."""

    NONE = "none"
    SSH = "ssh"


class Transfer(Section):
    """How data moves to the KVM host."""

    bandwidth: Annotated[Rate, bounded(parse_rate, "1KiB/s")] | None = Field(
        default=None,
        description="The most that a cycle sends in a second. Null: no limit.",
        examples=["50MiB/s"],
    )
    compression: Compression = Field(
        default=Compression.NONE,
        description="`ssh` compresses the stream to the KVM host: good on links below about "
        "20 MB/s, a brake on faster ones.",
        examples=["ssh"],
    )


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
        description="The part of the day in which a cycle may begin a resync, by the management "
        "host's clock. Outside of it a cycle that needs one makes no point and exits with 75; "
        "`standby resync` begins at any time. A machine with raw disks needs one each time. "
        "Null: any time.",
        examples=["19:00-06:00"],
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

"""What a profile says about a libvirt source, in this room's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from standby.model.disk import ExcludedAs


class WithoutAgent(Enum):
    """What happens when the consistency that was asked for cannot be had."""

    FAIL = "fail"
    CRASH = "crash"  # go on, crash-consistent, and say so


@dataclass(frozen=True, slots=True)
class ScratchReserve:
    """Space that a capture leaves free: bytes, or a share of the file system in percent."""

    size: int = 2 << 30
    percent: int = 0

    def of(self, total: int) -> int:
        """Return the bytes to keep free on a file system of `total` bytes."""
        return max(self.size, total * self.percent // 100)


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Settings of one libvirt source. Seconds and bytes.

    `only` names the disks to capture, empty for all; `excluded` those left out and what stands
    for them. `scratch_directory` None means beside each image; a capture is given up before
    less than `scratch_reserve` remains free there.
    """

    domain: str
    without_agent: WithoutAgent = WithoutAgent.FAIL
    freeze_limit: float = 10.0
    only: frozenset[str] = frozenset()
    excluded: Mapping[str, ExcludedAs] = field(default_factory=dict)
    scratch_directory: str | None = None
    scratch_reserve: ScratchReserve = field(default_factory=ScratchReserve)

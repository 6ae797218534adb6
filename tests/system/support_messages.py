"""What a test and the managers that it starts on the lab's manager host say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from standby.cycle.report import CycleReport, Phase
from standby.errors import StandbyError


class Stop(Enum):
    """What a manager can be told to stop at, so that a test may kill it just there."""

    PHASE = "a phase begins"
    COMMAND = "a command on a host has ended"
    PROGRESS = "progress is told, of a transfer or a merge"
    FROZEN = "the guest is frozen"


@dataclass(frozen=True, slots=True)
class StopAt:
    """Where to stop: `phase` with Stop.PHASE, else the `count`-th such event, from 1."""

    what: Stop
    phase: Phase | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Manage:
    """Be a manager, of cycles to be ordered one by one."""


@dataclass(frozen=True, slots=True)
class Use:
    """Be the command line, once: the words after `standby`, and what the environment adds."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Used:
    """The command line has ended, with this status or by the signal of its negative number."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Order:
    """Run one cycle of a profile."""

    root: Path
    profile: str
    full_copy: bool = False
    stop: StopAt | None = None
    clock_shift: float = 0.0  # seconds by which the manager's clock is wrong


@dataclass(frozen=True, slots=True)
class Reached:
    """The manager stands where it was told to stop, and waits for a word to go on."""

    at: StopAt
    told: int  # how often progress was told until then


@dataclass(frozen=True, slots=True)
class Ended:
    """A cycle ended well, with so many commands on hosts."""

    report: CycleReport
    commands: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A cycle ended in an error of ours."""

    error: StandbyError


Answer = Reached | Ended | Failed

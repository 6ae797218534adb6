"""What a cycle tells: its result, and its phases while they happen."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Protocol

from standby.cycle.interfaces import Moved
from standby.errors import StandbyError
from standby.model.names import PointName
from standby.model.plan import CyclePlan, HeadMove
from standby.model.point import BootPoint, Way

log = logging.getLogger("standby.cycle")


class Phase(Enum):
    """Phases of a cycle, in their order; fault tests name them."""

    OBSERVE = "observe"
    CLEAN = "clean"
    FINISH_MERGES = "finish merges"
    COPY_IMAGES = "copy images"
    SCRIPTS = "scripts"  # before and after the capture, after the publication, after a failure
    CAPTURE = "capture"
    SURVEY = "survey"
    TRANSFER = "transfer"
    PUBLISH = "publish"
    STAMP = "stamp"
    FORGET = "forget"
    HEAD = "head"
    MERGE = "merge"


# Phases that somebody who asks to stop still stops: they change nothing that people see.
_STOPPABLE: Final = frozenset(
    {Phase.OBSERVE, Phase.CLEAN, Phase.CAPTURE, Phase.SURVEY, Phase.TRANSFER, Phase.PUBLISH}
)


class Outcome(Enum):
    """How a cycle ended well."""

    PUBLISHED = "published"
    STILL_TRUE = "still true"


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """How long a phase took, in seconds."""

    phase: Phase
    seconds: float


@dataclass(frozen=True, slots=True)
class CycleReport:
    """The result of one cycle. Bytes: `data` were sent, `zero` told as zeroes.

    `unchanged` were looked at and not sent, since the newest point has them already; `read` came
    from the source, `stored` is what the new point's deltas take. `changed` counts blocks of
    64 KiB.
    """

    outcome: Outcome
    point: PointName
    way: Way
    reason: str
    data: int
    zero: int
    unchanged: int
    merged: tuple[PointName, ...]
    deferred: tuple[str, ...]
    head: HeadMove
    warnings: tuple[str, ...]
    started: datetime
    seconds: float
    phases: tuple[PhaseTime, ...]
    read: int = 0
    stored: int = 0
    changed: int = 0


class CycleListener(Protocol):
    """Is told of a cycle while it happens, in the thread that runs it; must not raise."""

    def planned(self, plan: CyclePlan) -> None:
        """Hear what will be done; again when what was found meanwhile changed the plan."""

    def moving(self, moved: Moved) -> None:
        """Hear what was moved so far; at last when a transfer has ended, well or badly."""

    def replicated(self, plan: CyclePlan, point: BootPoint, moved: Moved) -> None:
        """Hear that a point was published, or found still true; whatever follows may fail."""

    def merged(self, older: PointName) -> None:
        """Hear that a point was merged away."""

    def begins(self, phase: Phase) -> None:
        """Hear that a phase begins."""

    def ends(self, phase: Phase, seconds: float) -> None:
        """Hear that it ended, well or badly."""


class NobodyListens:
    """Is told, and tells nobody."""

    def planned(self, plan: CyclePlan) -> None:
        """Do nothing."""

    def moving(self, moved: Moved) -> None:
        """Do nothing."""

    def replicated(self, plan: CyclePlan, point: BootPoint, moved: Moved) -> None:
        """Do nothing."""

    def merged(self, older: PointName) -> None:
        """Do nothing."""

    def begins(self, phase: Phase) -> None:
        """Do nothing."""

    def ends(self, phase: Phase, seconds: float) -> None:
        """Do nothing."""


@dataclass
class Journal:
    """Times the phases of one cycle, logs a line for each, and tells who listens.

    `require_wanted` raises Cancelled when somebody asked to stop. `point` is the boot point that
    the cycle works on, once it is known; `bytes` what the phase that goes on looked at or moved.
    """

    profile: str
    require_wanted: Callable[[str], None]
    listener: CycleListener = field(default_factory=NobodyListens)
    phases: list[PhaseTime] = field(default_factory=list)
    begun_phases: set[Phase] = field(default_factory=set)
    begun: float = field(default_factory=time.monotonic)
    point: PointName | None = None
    bytes: int | None = None

    @contextmanager
    def phase(self, phase: Phase, about: str = "") -> Iterator[None]:
        """Time one phase; a phase that fails is logged as such and the error goes on."""
        if phase in _STOPPABLE:
            self.require_wanted(f"cycle of {self.profile}")
        begun = time.monotonic()
        self.begun_phases.add(phase)
        self.bytes = None
        self.listener.begins(phase)
        log.debug("profile=%s phase=%s begins %s", self.profile, phase.value, about)
        try:
            yield
        except StandbyError as error:
            log.warning("profile=%s phase=%s failed: %s", self.profile, phase.value, error)
            raise
        finally:
            seconds = time.monotonic() - begun
            self.listener.ends(phase, seconds)
        self.phases.append(PhaseTime(phase, seconds))
        extra = " ".join(self._extra(about))
        log.info("profile=%s phase=%s seconds=%.3f %s", self.profile, phase.value, seconds, extra)

    def _extra(self, about: str) -> Iterator[str]:
        yield f"point={self.point or '-'}"
        if self.bytes is not None:
            yield f"bytes={self.bytes}"
        if about:
            yield about

    @property
    def seconds(self) -> float:
        """Seconds since the cycle began."""
        return time.monotonic() - self.begun

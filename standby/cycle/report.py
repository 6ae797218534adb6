"""What a cycle tells: its result, and its phases while they happen."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from standby.errors import StandbyError
from standby.model.names import PointName
from standby.model.plan import HeadMove
from standby.model.point import Way

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

    `unchanged` were looked at and not sent, since the newest point has them already.
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


@dataclass
class Journal:
    """Times the phases of one cycle and logs a line for each.

    `require_wanted` raises Cancelled when somebody asked to stop.
    """

    profile: str
    require_wanted: Callable[[str], None]
    phases: list[PhaseTime] = field(default_factory=list)
    begun_phases: set[Phase] = field(default_factory=set)
    begun: float = field(default_factory=time.monotonic)

    @contextmanager
    def phase(self, phase: Phase, about: str = "") -> Iterator[None]:
        """Time one phase; a phase that fails is logged as such and the error goes on."""
        if phase in _STOPPABLE:
            self.require_wanted(f"cycle of {self.profile}")
        begun = time.monotonic()
        self.begun_phases.add(phase)
        log.debug("profile=%s phase=%s begins %s", self.profile, phase.value, about)
        try:
            yield
        except StandbyError as error:
            log.warning("profile=%s phase=%s failed: %s", self.profile, phase.value, error)
            raise
        seconds = time.monotonic() - begun
        self.phases.append(PhaseTime(phase, seconds))
        extra = f" {about}" if about else ""
        log.info("profile=%s phase=%s seconds=%.3f%s", self.profile, phase.value, seconds, extra)

    @property
    def seconds(self) -> float:
        """Seconds since the cycle began."""
        return time.monotonic() - self.begun

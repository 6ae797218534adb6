"""How well a machine is protected, in three words, and what speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a problem matters; the gravest last."""

    NOTE = "note"  # nothing is wrong; good to know
    WARNING = "warning"  # protected, and somebody should look
    CRITICAL = "critical"  # not protected any more, or soon not


class Concern(Enum):
    """What a problem is about: the same word for as long as it lasts, whatever its text says."""

    RPO = "RPO missed"
    FAILED_RUNS = "failed runs"
    SPACE = "space"
    SLOW = "slower than the schedule"
    CHANGES = "many changes"
    HISTORY = "history of changes lost"
    CLOCK = "clock"
    SEED = "waiting for seed"
    MOVING = "storage moving"
    PAUSED = "paused"
    FAILED_OVER = "failed over"
    PROFILE = "profile"
    HOST = "host"
    DOMAIN = "domain"
    HEAD = "head"
    CHAIN = "chain"
    DAMAGE = "damage"
    USERS = "in use"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that somebody should know, and the next step."""

    concern: Concern
    severity: Severity
    text: str
    remedy: str


class Health(Enum):
    """How well a machine is protected. UNKNOWN is no guess: nobody could look."""

    NORMAL = "Normal"
    WARNING = "Warning"
    CRITICAL = "Critical"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """A machine's health with all that speaks against it, the gravest first."""

    health: Health
    problems: tuple[Problem, ...] = ()

    @property
    def reasons(self) -> tuple[Problem, ...]:
        """Why the health is not normal."""
        return tuple(it for it in self.problems if it.severity is not Severity.NOTE)

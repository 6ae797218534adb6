"""Runs that wait to begin, and how many may be under way at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

from standby.model.run import Cause, RunKind


@dataclass(frozen=True, slots=True)
class AtOnce:
    """The most runs under way at once: in all, for each host, and merges apart."""

    runs: int = 4
    per_source_host: int = 2
    per_kvm_host: int = 3
    merges: int = 2


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that is due and has not begun. Times are UTC.

    `newest` is the moment at which the newest boot point was true, None when there is none.
    `is_due`: it is more than what somebody asked for by hand.
    """

    profile: str
    kind: RunKind
    cause: Cause
    due: datetime
    source_host: str
    kvm_host: str
    rpo: timedelta
    newest: datetime | None = None
    is_due: bool = False

    @property
    def is_first_copy(self) -> bool:
        """Whether it may take hours, there being no boot point that anybody knows of."""
        return self.newest is None and self.kind.is_cycle

    def behind(self, now: datetime) -> float:
        """Return the age of the newest boot point in terms of the RPO: above 1 it is missed."""
        return inf if self.newest is None else (now - self.newest) / self.rpo


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that takes up room."""

    profile: str
    source_host: str
    kvm_host: str
    is_first_copy: bool = False

"""Runs that wait to begin, and how many may be under way at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

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
    """

    profile: str
    kind: RunKind
    cause: Cause
    due: datetime
    source_host: str
    kvm_host: str
    rpo: timedelta
    newest: datetime | None = None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that takes up room."""

    profile: str
    source_host: str
    kvm_host: str

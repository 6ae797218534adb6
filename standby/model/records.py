"""What is asked of the history, and what it answers besides runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from standby.model.run import Run, RunKind, RunResult

PAGE_SIZE: Final = 50


class RunOrder(Enum):
    """By what runs are sorted; the newest, longest, largest first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    LONGEST = "longest"
    LARGEST = "largest"  # most bytes sent


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; what is empty or None means all. Runs that began from `since` to `until`."""

    profile: str | None = None
    kinds: frozenset[RunKind] = frozenset()
    results: frozenset[RunResult] = frozenset()
    since: datetime | None = None
    until: datetime | None = None


ALL_RUNS: Final = RunFilter()


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the runs that were asked for. `number` counts from 1."""

    runs: tuple[Run, ...]
    number: int = 1
    more: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """What the history does not know. Times are UTC, None: since always.

    `runs` is how many runs are missing, None when nobody can tell.
    """

    since: datetime | None
    until: datetime
    runs: int | None
    why: str

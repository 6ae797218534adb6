"""How far a transfer or a merge is: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from standby.cli.logs import phases_are_shown
from standby.cli.work import Report
from standby.model.amount import readable

log = logging.getLogger("standby.progress")

_LINE_EVERY_S = 30.0
_PERCENT = 100


@contextmanager
def progress_display() -> Generator[Report]:
    """Yield what is told the progress: what, bytes done, bytes in all."""
    if not sys.stderr.isatty() or phases_are_shown():
        yield Lines(_LINE_EVERY_S, time.monotonic)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        _Rate(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Bars(bars)


class _Rate(ProgressColumn):
    """The rate in the units in which sizes stand beside it."""

    def render(self, task: Task) -> Text:
        """Write the rate of the last seconds, "?" while nobody can tell it."""
        speed = task.finished_speed or task.speed
        return Text("?" if speed is None else f"{readable(int(speed))}/s")


class Bars:
    """One bar for each disk and each merge."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take the bytes done, of all, of a disk or a merge."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)


@dataclass
class _Seen:
    """Where something stood when the last line about it was written."""

    moment: float
    done: int


@dataclass
class Lines:
    """Logs a line about each disk and merge that takes long. `every` in seconds."""

    every: float
    clock: Callable[[], float]
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take the bytes done, of all, of a disk or a merge."""
        now = self.clock()
        seen = self._seen.setdefault(what, _Seen(now, done))
        if now - seen.moment < self.every:
            return
        rate = (done - seen.done) / (now - seen.moment)
        left = f"{(total - done) / rate:.0f} s left" if rate else "no progress"
        log.info(
            "%s: %d %% of %s, %s/s, %s",
            what,
            _PERCENT * done // max(total, 1),
            readable(total),
            readable(int(rate)),
            left,
        )
        self._seen[what] = _Seen(now, done)

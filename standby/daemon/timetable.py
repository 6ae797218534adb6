"""When each machine's schedule wants its next run: APScheduler, with a trigger of our own.

Whoever owns the timetable calls it; it has no thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.executors.debug import DebugExecutor
from apscheduler.job import Job
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.base import BaseTrigger

from standby.daemon.clock import Clock
from standby.model.schedule import Schedule
from standby.planning.schedule import coming

Due = Callable[[str, datetime], None]

# It says at every run that it runs it.
logging.getLogger("apscheduler").setLevel(logging.WARNING)


class ScheduleTrigger(BaseTrigger):  # type: ignore[misc]  # it has no types
    """Fires as a schedule says. What was due several times before now is due once."""

    def __init__(self, name: str, schedule: Schedule) -> None:
        self.name = name
        self.schedule = schedule

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the next moment, or None when there is none any more."""
        after = now if previous_fire_time is None else max(previous_fire_time, now)
        return next((due.moment for due in coming(self.schedule, after, self.name)), None)


class Timetable(BaseScheduler):  # type: ignore[misc]  # it has no types
    """The next run of every machine. `due` is called with its name and the moment it was due."""

    def __init__(self, clock: Clock, due: Due) -> None:
        super().__init__(executors={"default": DebugExecutor()}, timezone=UTC)
        self._clock = clock
        self._due = due
        self.start()

    def wakeup(self) -> None:
        """Do nothing: whoever changes the timetable looks at it again."""

    def shutdown(self, wait: bool = True) -> None:  # noqa: FBT001, FBT002 - the library's
        """Follow nothing any more."""
        super().shutdown(wait)

    def set(self, name: str, schedule: Schedule) -> None:
        """Follow a machine's schedule from now on, as if it were new."""
        self.forget(name)
        trigger = ScheduleTrigger(name, schedule)
        if trigger.get_next_fire_time(None, self._clock.now()) is None:
            return
        self.add_job(
            self._fire, trigger, args=(name,), id=name, coalesce=True, misfire_grace_time=None
        )

    def forget(self, name: str) -> None:
        """Follow it no more."""
        if self.get_job(name) is not None:
            self.remove_job(name)

    def next_of(self, name: str) -> datetime | None:
        """Return when a machine's schedule wants its next run."""
        job: Job | None = self.get_job(name)
        return None if job is None else job.next_run_time

    def process(self) -> float | None:
        """Call `due` for all that is; return the seconds until there is more."""
        wait: float | None = self._process_jobs()
        return wait

    def _fire(self, name: str) -> None:
        moment = self.next_of(name)
        if moment is not None:
            self._due(name, moment)

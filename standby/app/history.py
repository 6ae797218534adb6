"""Looking back: runs, their logs, statistics. Asks no host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from standby.app.places import locate
from standby.app.session import Session
from standby.app.state import StateDirectory
from standby.errors import FixRequest, GrantAccess, RepairHistory
from standby.history import History
from standby.history.owners import Recorder, is_alive, recorder_of
from standby.history.run_log import log_path, read_log
from standby.model.records import Gap, Page, RunFilter, RunOrder
from standby.model.run import Run
from standby.planning.problems_clock import MOST_SKEW
from standby.planning.statistics import Statistics, measure
from standby.profile import is_profile_file

USUAL_PERIOD: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Found:
    """Runs that were asked for, and what is not known of their time."""

    page: Page
    gaps: tuple[Gap, ...] = ()
    begun: datetime | None = None  # of the history, when more was asked for than it can know


class LookBack:
    """The history of this host, for those who look. A context."""

    def __init__(self, session: Session) -> None:
        """Raise ProfileMistakes when the settings of this host are wrong."""
        self._session = session
        settings = session.configuration.manager()
        self._state = StateDirectory(settings.state_directory)
        self._history = History.open(self._state.database, session.clock.now)

    def __enter__(self) -> Self:
        with suppress(RepairHistory):  # who may only read sees them as under way
            self._history.lost(lambda owner: is_alive(self._state.recorders, owner))
        return self

    def __exit__(self, *_: object) -> None:
        self._history.close()

    def find(self, wanted: RunFilter, order: RunOrder = RunOrder.NEWEST, number: int = 1) -> Found:
        """Return a page of runs."""
        return Found(
            self._history.runs(wanted, order, number),
            self._history.gaps(wanted.since, wanted.until),
            self._not_known_before(wanted.since),
        )

    def each(self, wanted: RunFilter) -> Iterator[Run]:
        """Yield all runs, oldest first."""
        return self._history.each(wanted)

    def run(self, run_id: str) -> Run:
        """Return a run by the beginning of its id. Raises FixRequest."""
        return self._history.run(run_id)

    def under_way(self) -> tuple[tuple[Run, Recorder | None], ...]:
        """Return the runs that go on here, each with the process that does it, if it says so."""
        found = self._history.under_way()
        return tuple((run, recorder_of(self._state.recorders, owner)) for owner, run in found)

    def last(self, profile: str, count: int = 50) -> tuple[Run, ...]:
        """Return the newest runs of a profile, at most a page of them.

        None that began at a time to come: a clock was wrong, and they would fill the page.
        """
        until = self._session.clock.now() + MOST_SKEW
        return self._history.runs(RunFilter(profile, until=until)).runs[:count]

    def log(self, run: Run) -> Iterator[str]:
        """Yield the lines of a run's log, also while it is under way; times are UTC."""
        path = log_path(self._state.logs, run.id)
        try:
            yield from read_log(path)
        except FileNotFoundError as error:
            raise FixRequest(
                f"log of run {run.id}",
                f"there is none: {path}",
                "a log as it is written with each run",
                f"what the history knows of it: standby history {run.profile}",
            ) from error
        except PermissionError as error:
            raise GrantAccess(str(path), str(error), "a log that you may read") from error

    def statistics(
        self, profile: str, since: datetime | None = None, until: datetime | None = None
    ) -> Statistics:
        """Count a profile's cycles: since they are counted anew, else of the last 7 days."""
        end = until or self._session.clock.now()
        begin = since or self._history.reset_of(profile) or end - USUAL_PERIOD
        runs = self._history.each(RunFilter(profile, since=begin, until=end))
        return measure(runs, begin, end)

    def reset(self, profile: str) -> None:
        """Count a profile's cycles anew from now on."""
        self._history.reset(profile, self._session.clock.now())

    def profile_meant(self, standby: str) -> str:
        """Return the name under which a standby's runs are kept; its profile may be gone.

        Only HOST/NAME asks the host. Raises FixProfile, FixRequest for one that nobody knows.
        """
        if "/" not in standby and not is_profile_file(standby) and self._knows(standby):
            return standby
        if "/" in standby and not is_profile_file(standby):
            return locate(self._session, standby).profile.name
        return self._session.profile(standby).name

    def _knows(self, profile: str) -> bool:
        return bool(self._history.runs(RunFilter(profile)).runs)

    def _not_known_before(self, since: datetime | None) -> datetime | None:
        begun = self._history.begun
        return begun if since is not None and since < begun else None

"""The history: runs are begun, ended, found again, and forgotten when they are old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from standby.errors import FixRequest, RepairHistory
from standby.history.database import Damaged, Database, Use
from standby.history.ids import ID_LENGTH, is_beginning_of_id, new_id
from standby.history.queries import conditions, gaps_within, next_of, page_of
from standby.history.rows import run_of, values_of
from standby.history.tables import gaps, resets, runs, versions
from standby.model.records import ALL_RUNS, PAGE_SIZE, Gap, Page, RunFilter, RunOrder
from standby.model.run import Run, RunKind, RunResult

Value = TypeVar("Value")

_AT_ONCE: Final = 1000  # rows in one transaction, so that nobody else waits long
_MATCHES_SHOWN: Final = 5

# Made once: to put a statement together costs more than to execute it.
_THIS: Final = runs.c.id == bindparam("this")
_INSERT: Final = insert(runs)
_UPDATE: Final = update(runs).where(_THIS)
_DELETE: Final = delete(runs).where(_THIS)


def _now() -> datetime:
    return datetime.now(UTC)


class History:
    """One database, used by any number of processes and threads.

    Every method raises RepairHistory when it cannot be read or written, UpgradeManager when a
    newer program wrote it. A damaged database is set aside, a gap says so, and a new one begun.
    """

    def __init__(self, database: Database, now: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._now = now

    @classmethod
    def open(cls, path: Path, now: Callable[[], datetime] = _now) -> History:
        """Return the history in a file, which is made when it is first used."""
        return cls(Database(path, now), now)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._database.path

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # Writing.

    def begin(self, run: Run, owner: str = "") -> Run:
        """Keep a run that begins, and return it: under another id when its own is taken.

        `owner` is who records it, see `owners`.
        """

        def work(connection: Connection) -> Run:
            begun = run
            while connection.scalar(select(runs.c.id).where(runs.c.id == begun.id)):
                begun = replace(begun, id=new_id())
            connection.execute(_INSERT, {**values_of(begun), "owner": owner})
            return begun

        return self._do(Use.WRITE, work)

    def progress(self, run: Run) -> None:
        """Keep what is known of a run that is under way."""
        values = {**values_of(run), "this": run.id}
        self._do(Use.WRITE, lambda it: it.execute(_UPDATE, values))

    def end(self, *ended: Run) -> None:
        """Keep how runs ended; also those whose beginning nobody could keep."""
        values = [{**values_of(run), "owner": None} for run in ended]

        def work(connection: Connection) -> None:
            connection.execute(_DELETE, [{"this": run.id} for run in ended])
            connection.execute(_INSERT, values)

        self._do(Use.WRITE, work)

    def lost(self, is_alive: Callable[[str], bool]) -> tuple[Run, ...]:
        """Mark the runs whose recorder is dead as lost, and return them.

        Nobody knows when they ended: the last that is known of them is taken. They keep their
        owner until somebody was told of them, see `take_untold`.
        """
        running = self._do(Use.READ, _running)
        owners = {owner for owner, _ in running}
        dead = {owner for owner in owners if not is_alive(owner)}
        ended = [_ended_as_lost(run) for owner, run in running if owner in dead]
        if not ended:
            return ()

        def work(connection: Connection) -> None:
            still = _UPDATE.where(runs.c.result == RunResult.RUNNING)
            for run in ended:
                values = {"result": run.result, "ended": run.ended}
                connection.execute(still, {**values, "this": run.id})

        self._do(Use.WRITE, work)
        return tuple(ended)

    def take_untold(self) -> tuple[Run, ...]:
        """Return the lost runs that nobody was told of, oldest first: each of them once.

        Not those that a good run of their kind has followed: what was wrong is over.
        """
        lost = (runs.c.result == RunResult.LOST) & (runs.c.owner.is_not(None))

        def work(connection: Connection) -> tuple[Run, ...]:
            found = connection.execute(select(runs).where(lost).order_by(runs.c.begun)).all()
            connection.execute(update(runs).where(lost).values(owner=None))
            return tuple(run_of(row) for row in found if not _was_good_since(connection, row))

        return self._do(Use.WRITE, work)

    def prune(self, before: datetime, profile: str = "") -> tuple[str, ...]:
        """Forget runs that began before a moment, some at a time; return their ids.

        Call it again until it returns none. Runs that are under way stay. `profile`: only its.
        """
        old = (
            select(runs.c.id)
            .where(runs.c.begun < before, runs.c.result != RunResult.RUNNING)
            .order_by(runs.c.begun)
            .limit(_AT_ONCE)
        )
        if profile:
            old = old.where(runs.c.profile == profile)

        def work(connection: Connection) -> tuple[str, ...]:
            ids = tuple(connection.scalars(old))
            connection.execute(delete(runs).where(runs.c.id.in_(ids)))
            if not profile:
                connection.execute(delete(gaps).where(gaps.c.until < before))
            return ids

        return self._do(Use.WRITE, work)

    def reset(self, profile: str, at: datetime) -> None:
        """Let a profile's statistics count from a moment on; no run is forgotten."""

        def work(connection: Connection) -> None:
            connection.execute(delete(resets).where(resets.c.profile == profile))
            connection.execute(insert(resets).values(profile=profile, at=at))

        self._do(Use.WRITE, work)

    def miss(self, gap: Gap) -> None:
        """Keep what is not known."""
        self._do(Use.WRITE, lambda it: _insert_gap(it, gap))

    # Reading.

    def runs(
        self,
        wanted: RunFilter = ALL_RUNS,
        order: RunOrder = RunOrder.NEWEST,
        number: int = 1,
    ) -> Page:
        """Return a page of runs."""
        found = self._found(page_of(wanted, order, number))
        return Page(found[:PAGE_SIZE], number, more=len(found) > PAGE_SIZE)

    def each(self, wanted: RunFilter = ALL_RUNS) -> Iterator[Run]:
        """Yield all runs, oldest first, a few at a time; others may write meanwhile."""
        after = None
        while True:
            found = self._found(next_of(wanted, after, _AT_ONCE))
            yield from found
            if len(found) < _AT_ONCE:
                return
            after = found[-1].begun, found[-1].id

    def run(self, run_id: str) -> Run:
        """Return the run of an id, or of the beginning of one. Raises FixRequest."""
        wanted = run_id.strip().lower()
        if not is_beginning_of_id(wanted):
            raise _no_run(run_id, f"an id of up to {ID_LENGTH} letters and digits")
        asked = select(runs).where(runs.c.id.startswith(wanted)).order_by(runs.c.begun.desc())
        asked = asked.limit(_MATCHES_SHOWN + 1)
        found = self._found(asked)
        same = [run for run in found if run.id == wanted] or found
        if not same:
            raise _no_run(run_id, "one of those listed")
        if len(same) > 1:
            names = ", ".join(run.id for run in same[:_MATCHES_SHOWN])
            raise FixRequest(f"run {run_id}", f"there are several: {names}", "a longer id")
        return same[0]

    def last(self, wanted: RunFilter = ALL_RUNS) -> Run | None:
        """Return the newest run that a filter lets through."""
        return next(iter(self.runs(wanted).runs), None)

    def count(self, wanted: RunFilter = ALL_RUNS) -> int:
        """Count runs."""
        asked = select(func.count()).select_from(runs).where(*conditions(wanted))
        return self._do(Use.READ, lambda it: it.scalar(asked) or 0)

    def reset_of(self, profile: str) -> datetime | None:
        """Return from when on a profile's statistics count, None: from the first run."""
        asked = select(resets.c.at).where(resets.c.profile == profile)
        return self._do(Use.READ, lambda it: it.scalar(asked))

    def under_way(self) -> tuple[tuple[str, Run], ...]:
        """Return the runs that have not ended, as far as is known, each with its owner's name."""
        return tuple(self._do(Use.READ, _running))

    def gaps(self, since: datetime | None = None, until: datetime | None = None) -> tuple[Gap, ...]:
        """Return what is not known of a period."""
        asked = gaps_within(since, until)
        rows = self._do(Use.READ, lambda it: it.execute(asked).all())
        return tuple(Gap(row.since, row.until, row.runs, row.why) for row in rows)

    @property
    def begun(self) -> datetime:
        """When this database was made: nothing is known from before."""
        asked = select(func.min(versions.c.at))
        found = self._do(Use.READ, lambda it: it.scalar(asked))
        return found if found is not None else self._now()

    # How it is done.

    def _found(self, asked: Select[Any]) -> tuple[Run, ...]:
        return self._do(Use.READ, lambda it: tuple(map(run_of, it.execute(asked))))

    def _do(self, use: Use, work: Callable[[Connection], Value]) -> Value:
        try:
            return self._try(use, work)
        except Damaged as damage:
            kept = self._database.set_aside()
            if kept is not None:
                why = f"the database was damaged ({damage.found}) and is kept as {kept}"
                self._try(Use.WRITE, lambda it: _insert_gap(it, Gap(None, self._now(), None, why)))
            return self._try(use, work)

    def _try(self, use: Use, work: Callable[[Connection], Value]) -> Value:
        try:
            return self._database.run(use, work)
        except ValueError as error:  # what no version of ours wrote
            raise RepairHistory(
                self._database.where, f"a run that cannot be read: {error}", "runs as we write them"
            ) from error


def _running(connection: Connection) -> list[tuple[str, Run]]:
    rows = connection.execute(select(runs).where(runs.c.result == RunResult.RUNNING)).all()
    return [(row.owner or "", run_of(row)) for row in rows]


def _was_good_since(connection: Connection, row: Row[Any]) -> bool:
    kinds = [it for it in RunKind if it.is_cycle] if row.kind.is_cycle else [row.kind]
    good = [it for it in RunResult if it.is_good]
    since = RunFilter(row.profile, frozenset(kinds), frozenset(good), since=row.begun)
    return connection.scalar(select(runs.c.id).where(*conditions(since)).limit(1)) is not None


def _ended_as_lost(run: Run) -> Run:
    ends = [it.begun + timedelta(seconds=it.seconds) for it in run.phases]
    return replace(run, result=RunResult.LOST, ended=max([run.begun, *ends]))


def _insert_gap(connection: Connection, gap: Gap) -> None:
    connection.execute(
        insert(gaps).values(since=gap.since, until=gap.until, runs=gap.runs, why=gap.why)
    )


def _no_run(run_id: str, expected: str) -> FixRequest:
    return FixRequest(f"run {run_id}", "not in the history", expected, "list them: standby history")

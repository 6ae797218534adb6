"""What is asked of the tables, in the words of SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, or_, select

from standby.history.tables import gaps, runs
from standby.model.records import PAGE_SIZE, RunFilter, RunOrder

_ORDERS: Final = {
    RunOrder.NEWEST: (runs.c.begun.desc(), runs.c.id.desc()),
    RunOrder.OLDEST: (runs.c.begun, runs.c.id),
    RunOrder.LONGEST: ((runs.c.ended - runs.c.begun).desc(), runs.c.begun.desc(), runs.c.id),
    RunOrder.LARGEST: (runs.c.sent.desc(), runs.c.begun.desc(), runs.c.id),
}


def page_of(wanted: RunFilter, order: RunOrder, number: int) -> Select[Any]:
    """Select a page, and one run more if there are more pages.

    The pages before it are passed over in an index, without reading any run.
    """
    ids = (
        select(runs.c.id)
        .where(*conditions(wanted))
        .order_by(*_ORDERS[order])
        .offset((number - 1) * PAGE_SIZE)
        .limit(PAGE_SIZE + 1)
        .subquery()
    )
    return select(runs).join(ids, runs.c.id == ids.c.id).order_by(*_ORDERS[order])


def next_of(wanted: RunFilter, after: tuple[datetime, str] | None, limit: int) -> Select[Any]:
    """Select the runs, oldest first, that follow one by its beginning and its id."""
    found = select(runs).where(*conditions(wanted)).order_by(*_ORDERS[RunOrder.OLDEST])
    if after is not None:
        begun, run_id = after
        found = found.where(
            or_(runs.c.begun > begun, and_(runs.c.begun == begun, runs.c.id > run_id))
        ).where(runs.c.begun >= begun)
    return found.limit(limit)


def conditions(wanted: RunFilter) -> Sequence[ColumnElement[bool]]:
    """Say which runs a filter lets through."""
    found: list[ColumnElement[bool]] = []
    if wanted.profile is not None:
        found.append(runs.c.profile == wanted.profile)
    if wanted.kinds:
        found.append(runs.c.kind.in_(wanted.kinds))
    if wanted.results:
        found.append(runs.c.result.in_(wanted.results))
    if wanted.since is not None:
        found.append(runs.c.begun >= wanted.since)
    if wanted.until is not None:
        found.append(runs.c.begun < wanted.until)
    return found


def gaps_within(since: datetime | None, until: datetime | None) -> Select[Any]:
    """Select what is not known of a period."""
    found = select(gaps).order_by(gaps.c.until, gaps.c.number)
    if since is not None:
        found = found.where(gaps.c.until >= since)
    if until is not None:
        found = found.where(or_(gaps.c.since.is_(None), gaps.c.since < until))
    return found

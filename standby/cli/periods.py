"""Periods as people give them to commands that look back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from standby.errors import FixRequest
from standby.planning.localtime import TIME_EXAMPLES, moments
from standby.profile.units import parse_duration
from standby.profile.zone import local_zone

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help=f"Not older than this, such as {TIME_EXAMPLES}."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Older than this, in local time.")
]
LastOption = Annotated[
    str | None, typer.Option("--last", metavar="PERIOD", help="Of so long until now: 12h, 7d, 4w.")
]


def period(
    since: str | None, until: str | None, last: str | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Return the period that was asked for, UTC. Raises FixRequest.

    A local time that came twice makes the period the longer one.
    """
    if last is not None and since is not None:
        raise FixRequest("--last and --since", "both were given", "one of them")
    begin = min(moments(since, now, local_zone())) if since is not None else None
    end = max(moments(until, now, local_zone())) if until is not None else None
    if last is not None:
        begin = _back(last, end or now)
    if begin is not None and end is not None and begin >= end:
        raise FixRequest("period", "it ends before it begins", "--since before --until")
    return begin, end


def _back(last: str, end: datetime) -> datetime:
    try:
        return end - parse_duration(last)
    except (ValueError, OverflowError) as error:
        raise FixRequest(f"--last {last}", str(error)) from error

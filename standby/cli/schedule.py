"""`standby schedule`: the runs that a profile's schedule asks for, before they happen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.options import ConfigOption, JsonOption, ProfileArgument
from standby.cli.output import print_json, print_note, print_table, utc
from standby.cli.schedule_words import in_words, moved_in_words
from standby.cli.work import config_root
from standby.model.schedule import MissedRuns, Once, OnEvent, Schedule
from standby.planning.clock_changes import moved_times
from standby.planning.consistency import slot
from standby.planning.schedule import Due, MissingDate, coming, missing_dates, moment_of
from standby.profile.mistakes import Plain
from standby.profile.units import format_duration

if TYPE_CHECKING:
    from standby.profile import Profile

EPILOG = "Example: standby schedule web1 --next 20"
_COLUMNS = ("local time", "UTC", "in", "because of", "")
_MOST = 10_000
_LOOKS_AHEAD = timedelta(days=400)  # for dates that months lack, where no run is found


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to come of a profile's schedule."""

    profile: str
    schedule: Schedule
    at: datetime  # UTC
    runs: tuple[Due, ...]
    missing: tuple[MissingDate, ...]
    application: tuple[Due, ...] = ()


def schedule(
    context: typer.Context,
    profile: ProfileArgument,
    *,
    number: Annotated[
        int, typer.Option("--next", metavar="N", min=1, max=_MOST, help="How many runs.")
    ] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the coming runs of a profile's schedule, as the daemon would begin them.

    Local time is that of the schedule's own zone. Runs by hand, after events of the machine and
    after failures come besides. No host is contacted.
    """
    from standby.profile import Configuration  # noqa: PLC0415 - 0.3 s that --help does not need

    loaded = Configuration(config_root(context, config)).profile(profile)
    outlook = look_ahead(loaded, datetime.now(UTC), number)
    if as_json:
        print_json(outlook_as_json(outlook))
    else:
        _print(outlook)


def look_ahead(profile: Profile, now: datetime, number: int) -> Outlook:
    """Return the coming runs of a profile."""
    planned = profile.schedule.planned()
    runs = tuple(islice(coming(planned, now, profile.name), number))
    begins = now if planned.begins is None else max(now, moment_of(planned.begins, planned.zone))
    until = runs[-1].moment if runs else begins + _LOOKS_AHEAD
    return Outlook(
        profile.name,
        planned,
        now,
        runs,
        tuple(missing_dates(planned, begins, until)),
        tuple(_application_runs(profile, now, runs)),
    )


def _print(outlook: Outlook) -> None:
    rows = [_row(outlook, due) for due in outlook.runs]
    if rows:
        print_table(f"coming runs of {outlook.profile}", _COLUMNS, rows)
    for note in notes(outlook):
        print_note(note)


def _row(outlook: Outlook, due: Due) -> tuple[str, ...]:
    local = due.moment.astimezone(outlook.schedule.zone)
    return (
        local.strftime("%a %Y-%m-%d %H:%M:%S %Z"),
        utc(due.moment),
        _from_now(due.moment - outlook.at),
        "; ".join(in_words(entry) for entry in due.entries),
        "; ".join(_odd(outlook, due)),
    )


def _odd(outlook: Outlook, due: Due) -> Iterator[str]:
    yield from (moved_in_words(it) for it in moved_times(outlook.schedule, due))
    if due in outlook.application:
        yield "application-consistent"


def _application_runs(profile: Profile, now: datetime, runs: Sequence[Due]) -> Iterator[Due]:
    """Yield the runs that certainly are the first of their slot: others were before those."""
    apart = profile.schedule.application_every
    if apart is None:
        return
    last = slot(now, apart, profile.name)
    for due in runs:
        this = slot(due.moment, apart, profile.name)
        if this != last:
            yield due
        last = this


def _from_now(wait: timedelta) -> str:
    """Write a time to wait so that it stays short: 3 d 4:05:06."""
    seconds = int(wait.total_seconds())
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def notes(outlook: Outlook) -> Iterator[str]:
    """Yield what the table does not show."""
    planned = outlook.schedule
    for entry in planned.entries:
        if isinstance(entry, OnEvent) or entry == Once(None):
            yield f"besides: {in_words(entry)}"
    for it in outlook.missing:
        yield f"no run: {it.year}-{it.month:02} has no {it.number}."
    if planned.seed_at is not None:
        yield f"a first copy does not begin before {planned.seed_at:%Y-%m-%d %H:%M}"
    if planned.application_every is not None and outlook.runs:
        apart = format_duration(planned.application_every)
        yield f"application-consistent: the first run in each {apart}; the others crash-consistent"
    if not planned.entries:
        yield f"{outlook.profile} has no schedule: it runs by hand, standby run {outlook.profile}"
    elif not outlook.runs and planned.ends is not None:
        yield f"no runs: the schedule holds until {planned.ends:%Y-%m-%d %H:%M}"
    elif planned.missed is MissedRuns.SKIP and outlook.runs:
        yield "runs that are missed while the manager is down are not made up"


def outlook_as_json(outlook: Outlook) -> Plain:
    """Return the same for programs."""
    zone = outlook.schedule.zone
    return {
        "profile": outlook.profile,
        "timezone": str(zone),
        "at": utc(outlook.at),
        "runs": [
            {
                "at": utc(due.moment),
                "local": due.moment.astimezone(zone).isoformat(timespec="seconds"),
                "because_of": [in_words(entry) for entry in due.entries],
                "moved": [
                    {"shown": it.shown.isoformat(timespec="minutes"), "change": it.change.value}
                    for it in moved_times(outlook.schedule, due)
                ],
                "application_consistent": due in outlook.application,
            }
            for due in outlook.runs
        ],
        "missing_dates": [
            {"year": it.year, "month": it.month, "date": it.number} for it in outlook.missing
        ],
        "notes": list(notes(outlook)),
    }

"""`standby stats`: how well a machine was protected over a period."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from standby.cli.options import ConfigOption, JsonOption, StandbyArgument
from standby.cli.output import facts_as_lines, local, print_note, utc
from standby.cli.periods import LastOption, period
from standby.cli.saving import save
from standby.cli.work import looking
from standby.model.amount import readable
from standby.planning.durations import readable_duration
from standby.planning.statistics import Measure, Statistics
from standby.profile.mistakes import Plain

EPILOG = "Example: standby stats web1 --last 7d"
NOT_APPLICABLE = "not applicable"
_SHORT_S = 60.0


def stats(  # noqa: PLR0913 - a parameter for each option
    context: typer.Context,
    standby: StandbyArgument,
    *,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Cycles that began at or after it.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Cycles that began before it.")
    ] = None,
    last: LastOption = None,
    file: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write them there.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Count anew from now on; no run is forgotten.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count a machine's cycles: good of all, sizes, durations, latency, errors with their runs.

    Without a period: since they were counted anew, else of the last 7 days. First copies count as
    cycles and in no average. Latency is from the capture until its state could be booted.
    """
    from standby.app.history import LookBack  # noqa: PLC0415 - 0.5 s that --help does not need

    with looking(context, config) as session, LookBack(session) as back:
        profile = back.profile_meant(standby)
        begin, end = period(since, until, last, session.clock.now())
        counted = back.statistics(profile, begin, end)
        if reset:
            back.reset(profile)
    lines = _json_lines(profile, counted) if as_json else _lines(profile, counted)
    if file is not None:
        save(file, lines)
        print_note(f"written: {file}")
    else:
        for line in lines:
            typer.echo(line, nl=False)
    if reset:
        print_note(f"cycles of {profile} are counted anew from now on")


def statistics_facts(counted: Statistics) -> Iterator[tuple[str, str]]:
    """Say what was counted, fact by fact."""
    yield "period", f"{local(counted.since)} to {local(counted.until)}"
    yield "cycles", _cycles(counted)
    yield "boot points", f"{counted.points} made, {counted.merged} merged away"
    yield "size", _measured(counted.sizes, lambda size: readable(round(size)))
    yield "duration", _measured(counted.durations, _time)
    yield "latency", _measured(counted.latencies, _time)
    yield "sent in all", f"{readable(counted.sent)}, {readable(counted.stored)} stored"
    yield "last sync", _last_sync(counted)
    yield "errors", str(counted.failed)
    for error in counted.errors:
        yield f"run {error.id}", f"{local(error.begun)}: {error.text}"


def statistics_as_json(counted: Statistics) -> dict[str, Plain]:
    """Return what was counted. Bytes, seconds, UTC; null: not applicable."""
    share = counted.share_good
    return {
        "since": utc(counted.since),
        "until": utc(counted.until),
        "cycles": counted.cycles,
        "good": counted.good,
        "failed": counted.failed,
        "cancelled_or_busy": counted.apart,
        "good_share": None if share is None else round(share, 6),
        "points": counted.points,
        "merged": counted.merged,
        "sent_bytes": counted.sent,
        "stored_bytes": counted.stored,
        "size_bytes": _measure_as_json(counted.sizes),
        "duration_seconds": _measure_as_json(counted.durations),
        "latency_seconds": _measure_as_json(counted.latencies),
        "last_sync": utc(counted.last_sync) if counted.last_sync else None,
        "last_point": str(counted.last_point) if counted.last_point else None,
        "errors": [
            {"run": it.id, "begun": utc(it.begun), "type": it.kind, "error": it.text}
            for it in counted.errors
        ],
    }


def _lines(profile: str, counted: Statistics) -> Iterator[str]:
    yield from facts_as_lines((("profile", profile), *statistics_facts(counted)))


def _json_lines(profile: str, counted: Statistics) -> Iterator[str]:
    told = {"profile": profile, **statistics_as_json(counted)}
    yield json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _cycles(counted: Statistics) -> str:
    share = counted.share_good
    good = f"{counted.good} good of {counted.cycles}"
    apart = f"; {counted.apart} cancelled or busy" if counted.apart else ""
    return good + ("" if share is None else f" ({100 * share:.4g} %)") + apart


def _measured(found: Measure | None, written: Callable[[float], str]) -> str:
    if found is None:
        return NOT_APPLICABLE
    return f"{written(found.average)} on average, {written(found.largest)} at most"


def _time(seconds: float) -> str:
    if seconds < _SHORT_S:
        return f"{seconds:.1f} s"
    return readable_duration(timedelta(seconds=seconds))


def _last_sync(counted: Statistics) -> str:
    if counted.last_sync is None:
        return NOT_APPLICABLE
    point = f", {counted.last_point}" if counted.last_point else ""
    return f"{local(counted.last_sync)}{point}"


def _measure_as_json(found: Measure | None) -> Plain:
    if found is None:
        return None
    return {"average": round(found.average, 3), "largest": round(found.largest, 3)}

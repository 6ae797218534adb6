"""A machine's statistics, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from standby.cli.output import local, utc
from standby.planning.durations import readable_duration
from standby.planning.space import readable
from standby.planning.statistics import Measure, Statistics
from standby.profile.mistakes import Plain

_ERRORS_SHOWN = 5
_NOT_APPLICABLE = "not applicable"


def statistics_facts(told: Statistics) -> Iterator[tuple[str, str]]:
    """Say what the cycles of a period did, fact by fact."""
    yield "statistics", f"{local(told.since)} to {local(told.until)}"
    yield "cycles", _cycles(told)
    yield "size", _measure(told.sizes, lambda it: readable(round(it)))
    yield "duration", _measure(told.durations, _seconds)
    yield "latency", _measure(told.latencies, _seconds)
    yield "sent", f"{readable(told.sent)}, {told.points} boot points made, {told.merged} merged"
    yield "last sync", local(told.last_sync) if told.last_sync else _NOT_APPLICABLE
    for error in told.errors[-_ERRORS_SHOWN:]:
        yield "error", f"{local(error.begun)}  {error.text}; its log: standby log {error.id}"
    hidden = told.failed - len(told.errors[-_ERRORS_SHOWN:])
    if hidden > 0:
        yield "", f"and {hidden} before"


def statistics_as_json(told: Statistics) -> Plain:
    """Return statistics for programs. Bytes, seconds, UTC."""
    return {
        "since": utc(told.since),
        "until": utc(told.until),
        "good": told.good,
        "failed": told.failed,
        "cycles": told.cycles,
        "cancelled_or_busy": told.apart,
        "points": told.points,
        "merged": told.merged,
        "sent_bytes": told.sent,
        "stored_bytes": told.stored,
        "size_bytes": _measure_as_json(told.sizes),
        "duration_seconds": _measure_as_json(told.durations),
        "latency_seconds": _measure_as_json(told.latencies),
        "last_sync": utc(told.last_sync) if told.last_sync else None,
        "last_point": str(told.last_point) if told.last_point else None,
        "errors": [
            {"run": it.id, "begun": utc(it.begun), "kind": it.kind, "text": it.text}
            for it in told.errors
        ],
    }


def _cycles(told: Statistics) -> str:
    apart = f"; {told.apart} cancelled, or somebody else was at work" if told.apart else ""
    return f"{told.good} of {told.cycles} good{apart}"


def _measure(measure: Measure | None, shown: Callable[[float], str]) -> str:
    if measure is None:
        return _NOT_APPLICABLE
    return f"{shown(measure.average)} on average, {shown(measure.largest)} at most"


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds:.2f} s"
    return readable_duration(timedelta(seconds=seconds))


def _measure_as_json(measure: Measure | None) -> Plain:
    if measure is None:
        return None
    return {"average": measure.average, "largest": measure.largest}

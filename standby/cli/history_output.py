"""What is printed of runs: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from standby.cli.output import NOTHING, local, print_note, print_table, utc
from standby.model.amount import readable
from standby.model.records import Gap, Page
from standby.model.run import Failure, Run, RunResult
from standby.planning.durations import readable_duration
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.history import Found

_COLUMNS: Final = ("run", "began", "profile", "kind", "cause", "result", "took", "sent", "why")
_CSV_COLUMNS: Final = (
    "run", "profile", "kind", "cause", "result", "begun", "ended", "seconds", "source_host",
    "kvm_host", "way", "reason", "point", "merged", "read_bytes", "sent_bytes", "stored_bytes",
    "changed_blocks", "error_type", "error",
)  # fmt: skip
_SHORT: Final = timedelta(minutes=1)


def print_runs(page: Page) -> None:
    """Print a page of runs for people."""
    if not page.runs:
        print_note("no runs" if page.number == 1 else "no more runs")
        return
    print_table("", _COLUMNS, (_row(run) for run in page.runs))
    if page.more:
        print_note(f"there are more: --page {page.number + 1}")


def print_csv(runs: Iterable[Run]) -> None:
    """Print runs as CSV with a line of names. Bytes, seconds, UTC."""
    writer = csv.writer(sys.stdout)
    writer.writerow(_CSV_COLUMNS)
    for run in runs:
        writer.writerow(_csv_row(run))


def found_as_json(found: Found) -> Plain:
    """Return a page of runs, and what is missing. Bytes, seconds, UTC."""
    return {
        "runs": [run_as_json(run) for run in found.page.runs],
        "page": found.page.number,
        "more": found.page.more,
        "missing": [_gap_as_json(gap) for gap in found.gaps],
        "nothing_known_before": utc(found.begun) if found.begun else None,
    }


def run_as_json(run: Run) -> Plain:
    """Return a run. Bytes, seconds, UTC."""
    amounts = run.amounts
    return {
        "run": run.id,
        "profile": run.profile,
        "kind": run.kind.value,
        "cause": run.cause.value,
        "result": run.result.value,
        "begun": utc(run.begun),
        "ended": utc(run.ended) if run.ended else None,
        "seconds": _seconds(run),
        "source_host": run.source_host,
        "kvm_host": run.kvm_host,
        "way": run.way.value if run.way else None,
        "reason": run.reason,
        "point": str(run.point) if run.point else None,
        "merged": [str(name) for name in run.merged],
        "read_bytes": amounts.read,
        "sent_bytes": amounts.sent,
        "stored_bytes": amounts.stored,
        "changed_blocks": amounts.changed,
        "phases": [
            {"phase": it.name, "begun": utc(it.begun), "seconds": round(it.seconds, 3)}
            for it in run.phases
        ],
        "error": _failure_as_json(run.failure) if run.failure else None,
    }


def missing(found: Found) -> Iterator[str]:
    """Say what is not known of the time that was asked for."""
    for gap in found.gaps:
        runs = "runs" if gap.runs is None else f"{gap.runs} runs"
        since = f"from {local(gap.since)} " if gap.since else ""
        yield f"not known: {runs} {since}until {local(gap.until)}: {gap.why}"
    if found.begun is not None:
        yield f"not known: anything before {local(found.begun)}, when this history was begun"


def took(run: Run) -> str:
    """Write how long a run took, with tenths when it was short."""
    if run.duration is None:
        return NOTHING
    if run.duration < _SHORT:
        return f"{run.duration.total_seconds():.1f} s"
    return readable_duration(run.duration)


def _row(run: Run) -> tuple[str, ...]:
    moved = run.kind.is_cycle and run.result is not RunResult.RUNNING
    return (
        run.id,
        local(run.begun),
        run.profile,
        run.kind.value,
        run.cause.value,
        f"{run.result.value} {run.point or ''}".strip(),
        took(run),
        readable(run.amounts.sent) if moved else NOTHING,
        run.failure.text if run.failure else run.reason,
    )


def _csv_row(run: Run) -> tuple[object, ...]:
    amounts = run.amounts
    return (
        run.id,
        run.profile,
        run.kind.value,
        run.cause.value,
        run.result.value,
        utc(run.begun),
        utc(run.ended) if run.ended else "",
        _seconds(run),
        run.source_host,
        run.kvm_host,
        run.way.value if run.way else "",
        run.reason,
        run.point or "",
        " ".join(map(str, run.merged)),
        amounts.read,
        amounts.sent,
        amounts.stored,
        amounts.changed,
        run.failure.kind if run.failure else "",
        run.failure.text if run.failure else "",
    )


def _seconds(run: Run) -> float | None:
    return None if run.duration is None else round(run.duration.total_seconds(), 3)


def _failure_as_json(failure: Failure) -> Plain:
    return {
        "type": failure.kind,
        "subject": failure.subject,
        "found": failure.found,
        "expected": failure.expected,
        "remedy": failure.remedy,
        "retry": failure.retry.value,
    }


def _gap_as_json(gap: Gap) -> Plain:
    return {
        "since": utc(gap.since) if gap.since else None,
        "until": utc(gap.until),
        "runs": gap.runs,
        "why": gap.why,
    }

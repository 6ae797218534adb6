"""What `standby run` prints: the report of a cycle, or the plan of a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from standby.cli.output import local, print_facts, print_table, utc
from standby.model.amount import readable
from standby.planning.forecast import Forecast
from standby.planning.retention import MergePlan
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.replicate import Estimate
    from standby.app.reports import CycleReport


def print_report(report: CycleReport) -> None:
    """Print the result of a cycle for people."""
    print_facts(
        (
            ("boot point", f"{report.point} ({report.outcome.value})"),
            ("local time", local(report.point.moment)),
            ("way", f"{report.way.value}: {report.reason}"),
            ("sent", f"{readable(report.data)}, and {readable(report.zero)} told as zeroes"),
            ("looked at, not sent", readable(report.unchanged)),
            ("seconds", f"{report.seconds:.1f}"),
            ("head", report.head.value),
            ("merged away", ", ".join(str(name) for name in report.merged)),
            *(("merge waits", why) for why in report.deferred),
            *(("warning", warning) for warning in report.warnings),
        )
    )


def report_as_json(report: CycleReport) -> Plain:
    """Return the result of a cycle for programs. Bytes, seconds, UTC."""
    return {
        "outcome": report.outcome.value,
        "point": str(report.point),
        "way": report.way.value,
        "reason": report.reason,
        "sent_bytes": report.data,
        "zero_bytes": report.zero,
        "unchanged_bytes": report.unchanged,
        "merged": [str(name) for name in report.merged],
        "deferred": list(report.deferred),
        "head": report.head.value,
        "warnings": list(report.warnings),
        "started": utc(report.started),
        "seconds": round(report.seconds, 3),
        "phases": [
            {"phase": it.phase.value, "seconds": round(it.seconds, 3)} for it in report.phases
        ],
    }


def print_estimate(estimate: Estimate) -> None:
    """Print for people what a cycle would do."""
    plan = estimate.plan
    print_facts(
        (
            ("machine", f"{plan.machine.name} ({estimate.source.power.value})"),
            ("boot point", f"{plan.point}, {local(plan.point.moment)}"),
            ("way", f"{plan.way.value}: {plan.reason}"),
            ("consistency", plan.capture.consistency.value),
            ("to send", _bytes_or_unknown(_to_send(estimate))),
            ("space", _space(estimate)),
            (f"for {estimate.forecast.points} points", _room(estimate.forecast)),
            ("head", plan.head.value),
            *(("merge", line) for line in merge_lines(estimate.merges)),
            *(("clean up", path) for path in plan.debris),
            *(("warning", warning) for warning in plan.warnings),
        )
    )
    rows = [
        (
            disk.disk.name,
            readable(disk.disk.size),
            disk.way.value,
            disk.reason,
            _bytes_or_unknown(changed),
        )
        for disk, changed in estimate.disks
    ]
    print_table("", ("disk", "size", "way", "why", "to send"), rows)
    typer.echo("Nothing was changed.")


def estimate_as_json(estimate: Estimate) -> Plain:
    """Return for programs what a cycle would do. Bytes, UTC."""
    plan = estimate.plan
    return {
        "machine": {"name": plan.machine.name, "uuid": plan.machine.uuid},
        "power": estimate.source.power.value,
        "point": str(plan.point),
        "way": plan.way.value,
        "reason": plan.reason,
        "consistency": plan.capture.consistency.value,
        "to_send_bytes": _to_send(estimate),
        "needed_bytes": estimate.needed,
        "available_bytes": estimate.available,
        "storage": estimate.storage,
        "forecast": {
            "points": estimate.forecast.points,
            "oldest_bytes": estimate.forecast.oldest,
            "each_bytes": estimate.forecast.each,
            "total_bytes": estimate.forecast.total,
            "measured_points": estimate.forecast.measured,
        },
        "head": plan.head.value,
        "merges": [
            {"older": str(m.older), "younger": str(m.younger), "cause": m.cause.value}
            for m in estimate.merges.merges
        ],
        "deferred": [
            {"older": str(m.older), "younger": str(m.younger), "obstacle": m.obstacle}
            for m in estimate.merges.deferred
        ],
        "disks": [
            {
                "disk": disk.disk.name,
                "size_bytes": disk.disk.size,
                "way": disk.way.value,
                "reason": disk.reason,
                "to_send_bytes": changed,
            }
            for disk, changed in estimate.disks
        ],
        "debris": list(plan.debris),
        "warnings": list(plan.warnings),
    }


def _room(forecast: Forecast) -> str:
    if forecast.total is None or forecast.each is None:
        return f"{readable(forecast.oldest)} for the oldest; the others show after a few cycles"
    return (
        f"about {readable(forecast.total)}: {readable(forecast.oldest)} for the oldest, "
        f"{readable(forecast.each)} for each other, as measured on {forecast.measured}"
    )


def merge_lines(merges: MergePlan) -> Iterator[str]:
    """Say each merge of a plan in a line, then those that wait."""
    for merge in merges.merges:
        yield f"{merge.older} into {merge.younger}: {merge.cause.value}"
    for deferred in merges.deferred:
        yield f"{deferred.older} into {deferred.younger} waits: {deferred.obstacle}"


def _to_send(estimate: Estimate) -> int | None:
    changed = [changed for _, changed in estimate.disks]
    return None if None in changed else sum(it for it in changed if it is not None)


def _bytes_or_unknown(amount: int | None) -> str:
    return "known only once it is read" if amount is None else f"up to {readable(amount)}"


def _space(estimate: Estimate) -> str:
    text = f"{readable(estimate.needed)} needed, {readable(estimate.available)} free"
    if estimate.needed > estimate.available:
        text += f": {readable(estimate.needed - estimate.available)} too little"
    return f"{text}, in {estimate.storage}"

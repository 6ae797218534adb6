"""What Prometheus is told: the text of one report. Pure.

Figures have base units (seconds, bytes), moments are seconds since 1970. What nobody knows is
left out: a figure that is not there is no zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from standby.model.health import Condition, Health, Severity
from standby.model.run import Run
from standby.model.state import State

_ESCAPED: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Labels = Mapping[str, str]
Value = float | int | None


@dataclass(frozen=True, slots=True)
class StandbyFigures:
    """What a look at the KVM host counts. Bytes."""

    points: int
    limit: int
    merges_due: int
    stored: int
    available: int


@dataclass(frozen=True, slots=True)
class MachineFigures:
    """One machine. `newest` is the moment of its newest state; `standby` is None if not seen."""

    profile: str
    condition: Condition
    machine: str = ""
    source_host: str = ""
    kvm_host: str = ""
    state: State | None = None
    newest: datetime | None = None
    rpo: timedelta | None = None
    next_run: datetime | None = None
    standby: StandbyFigures | None = None
    last: Run | None = None  # the last cycle that ended
    last_good: datetime | None = None  # when the last good one ended


@dataclass(frozen=True, slots=True)
class DaemonFigures:
    """What a daemon does."""

    since: datetime
    running: int
    merging: int
    waiting: int
    troubles: int  # what it cannot read or write


@dataclass(frozen=True, slots=True)
class Report:
    """Everything at one moment, UTC. `daemon` is None when none was asked."""

    at: datetime
    machines: tuple[MachineFigures, ...]
    daemon: DaemonFigures | None = None


@dataclass
class _Family:
    """One metric with its samples."""

    name: str
    about: str
    samples: list[tuple[Labels, float | int]] = field(default_factory=list)

    def add(self, labels: Labels, value: Value) -> None:
        if value is not None:
            self.samples.append((labels, value))

    def lines(self) -> Iterator[str]:
        if not self.samples:
            return
        yield f"# HELP standby_{self.name} {self.about}"
        yield f"# TYPE standby_{self.name} gauge"
        for labels, value in self.samples:
            named = ",".join(f'{key}="{it.translate(_ESCAPED)}"' for key, it in labels.items())
            yield f"standby_{self.name}{f'{{{named}}}' if named else ''} {_number(value)}"


def exposition(report: Report) -> str:
    """Return a report in Prometheus' text format, version 0.0.4."""
    families = (*_of_the_manager(report), *_of_the_machines(report.machines))
    return "".join(f"{line}\n" for family in families for line in family.lines())


def _of_the_manager(report: Report) -> Iterator[_Family]:
    yield _single("report_timestamp_seconds", "When these figures were gathered.", report.at)
    yield _single("profiles", "Profiles there are.", len(report.machines))
    yield _single("daemon_up", "Whether a daemon was asked.", int(report.daemon is not None))
    healths = Counter(it.condition.health for it in report.machines)
    machines = _Family("machines", "Machines of each health.")
    for health in Health:
        machines.add({"health": health.value}, healths[health])
    yield machines
    daemon = report.daemon
    if daemon is not None:
        yield _single("daemon_start_timestamp_seconds", "When the daemon began.", daemon.since)
        yield _single("runs_running", "Runs under way.", daemon.running)
        yield _single("runs_waiting", "Runs that are due and wait for their turn.", daemon.waiting)
        yield _single("merges_running", "Runs that merge now.", daemon.merging)
        yield _single("daemon_troubles", "What the daemon cannot read or write.", daemon.troubles)


def _of_the_machines(machines: Iterable[MachineFigures]) -> Iterator[_Family]:
    known = list(machines)
    yield from _of_the_condition(known)
    yield from _of_the_age(known)
    yield from _of_the_standby(known)
    yield from _of_the_runs(known)


def _of_the_condition(machines: list[MachineFigures]) -> Iterator[_Family]:
    info = _Family("info", "What each profile protects; always 1.")
    health = _Family("health", "1 for the health that the machine's protection has, else 0.")
    state = _Family("state", "1 for the state that the standby is in.")
    problem = _Family("problem", "1 for each problem there is.")
    for it in machines:
        profile = {"profile": it.profile}
        places = {"machine": it.machine, "source_host": it.source_host, "kvm_host": it.kvm_host}
        info.add(profile | places, 1)
        for each in Health:
            health.add(profile | {"health": each.value}, int(each is it.condition.health))
        if it.state is not None:
            state.add(profile | {"state": it.state.value}, 1)
        for concern, severity in sorted(_gravest(it.condition).items()):
            problem.add(profile | {"concern": concern, "severity": severity}, 1)
    yield from (info, health, state, problem)


def _gravest(condition: Condition) -> dict[str, str]:
    """Return the gravest severity of each concern: the same labels twice would be an error."""
    order = list(Severity)
    found: dict[str, Severity] = {}
    for problem in condition.problems:
        before = found.get(problem.concern.value, problem.severity)
        found[problem.concern.value] = max(before, problem.severity, key=order.index)
    return {concern: severity.value for concern, severity in found.items()}


def _of_the_age(machines: list[MachineFigures]) -> Iterator[_Family]:
    newest = _Family(
        "newest_point_timestamp_seconds", "When the machine was as its newest boot point has it."
    )
    rpo = _Family("rpo_seconds", "How old that may be.")
    next_run = _Family("next_run_timestamp_seconds", "When the machine runs next.")
    for it in machines:
        newest.add({"profile": it.profile}, _moment(it.newest))
        rpo.add({"profile": it.profile}, it.rpo.total_seconds() if it.rpo else None)
        next_run.add({"profile": it.profile}, _moment(it.next_run))
    yield from (newest, rpo, next_run)


def _of_the_standby(machines: list[MachineFigures]) -> Iterator[_Family]:
    seen = _Family("seen", "Whether the KVM host could be looked at.")
    points = _Family("points", "Boot points there are.")
    limit = _Family("points_limit", "Boot points that are kept.")
    due = _Family("merges_due", "Merges that are due.")
    stored = _Family("stored_bytes", "What the boot points take.")
    free = _Family("available_bytes", "What is free in their storage.")
    for it in machines:
        profile, standby = {"profile": it.profile}, it.standby
        seen.add(profile, int(standby is not None))
        if standby is not None:
            points.add(profile, standby.points)
            limit.add(profile, standby.limit)
            due.add(profile, standby.merges_due)
            stored.add(profile, standby.stored)
            free.add(profile, standby.available)
    yield from (seen, points, limit, due, stored, free)


def _of_the_runs(machines: list[MachineFigures]) -> Iterator[_Family]:
    ended = _Family("last_run_timestamp_seconds", "When the last cycle ended.")
    good = _Family("last_run_success", "Whether it was good.")
    took = _Family("last_run_duration_seconds", "How long it took.")
    read = _Family("last_run_read_bytes", "What it read from the source.")
    sent = _Family("last_run_sent_bytes", "What it sent to the KVM host.")
    stored = _Family("last_run_stored_bytes", "What its boot point takes.")
    merged = _Family("last_run_merged_points", "Boot points that it merged away.")
    last_good = _Family("last_good_run_timestamp_seconds", "When the last good cycle ended.")
    for it in machines:
        profile, last = {"profile": it.profile}, it.last
        last_good.add(profile, _moment(it.last_good))
        if last is None:
            continue
        ended.add(profile, _moment(last.ended))
        good.add(profile, int(last.result.is_good))
        took.add(profile, last.duration.total_seconds() if last.duration is not None else None)
        read.add(profile, last.amounts.read)
        sent.add(profile, last.amounts.sent)
        stored.add(profile, last.amounts.stored)
        merged.add(profile, len(last.merged))
    yield from (ended, good, took, read, sent, stored, merged, last_good)


def _single(name: str, about: str, value: int | datetime) -> _Family:
    family = _Family(name, about)
    family.add({}, _moment(value) if isinstance(value, datetime) else value)
    return family


def _moment(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3f}"

"""Which of the runs that are due begin now.

The machine most behind its RPO goes first, and one that cannot begin, its host being busy, holds
up nobody else. A first copy may take days: where there is room for more than one run, first
copies leave room for one that is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from standby.model.queue import AtOnce, UnderWay, Waiting
from standby.model.run import Cause, RunKind


def to_begin(
    waiting: Sequence[Waiting],
    under_way: Sequence[UnderWay],
    at_once: AtOnce,
    now: datetime,
    busy: frozenset[str] = frozenset(),
) -> tuple[Waiting, ...]:
    """Return the runs that begin now, in their order; those of one profile never overlap.

    `busy` are profiles whose run is not over, though it takes up no room any more.
    """
    room = _Room(at_once, list(under_way), {run.profile for run in under_way} | busy)
    return tuple(_admitted(in_order(waiting, now), room))


def in_order(waiting: Iterable[Waiting], now: datetime) -> list[Waiting]:
    """Sort by urgency: who was asked for by hand, then who is most behind, then who waits longest.

    Behind is the age of the newest boot point in terms of the RPO, so that a minute counts more
    for a machine that may lose five than for one that may lose a day.
    """
    return sorted(waiting, key=lambda run: _urgency(run, now))


def joined(earlier: Waiting, later: Waiting) -> Waiting:
    """Make one run of two that wait for the same machine: it does what either asked for."""
    most = max(earlier, later, key=lambda run: _THOROUGH.index(run.kind))
    cause = min(earlier, later, key=lambda run: _CAUSES.index(run.cause)).cause
    is_due = earlier.is_due or later.is_due
    return replace(
        later, kind=most.kind, cause=cause, due=min(earlier.due, later.due), is_due=is_due
    )


# What a run of each kind does includes what those before it do.
_THOROUGH = (*(kind for kind in RunKind if not kind.is_cycle),
             RunKind.CYCLE, RunKind.RESYNC, RunKind.FULL_COPY)  # fmt: skip
# The first that applies to a run is said of it.
_CAUSES = (Cause.HAND, Cause.EVENT, Cause.SCHEDULE, Cause.MISSED, Cause.RETRY)


def _urgency(run: Waiting, now: datetime) -> tuple[bool, float, datetime, str]:
    return run.cause is not Cause.HAND, -run.behind(now), run.due, run.profile


def _admitted(waiting: Iterable[Waiting], room: _Room) -> Iterator[Waiting]:
    for run in waiting:
        if room.has_place_for(run):
            room.take(run)
            yield run


@dataclass
class _Room:
    at_once: AtOnce
    runs: list[UnderWay]
    busy: set[str]

    def has_place_for(self, run: Waiting) -> bool:
        on_source = [it for it in self.runs if it.source_host == run.source_host]
        on_kvm = [it for it in self.runs if it.kvm_host == run.kvm_host]
        return run.profile not in self.busy and all(
            _fits(run, among, limit)
            for among, limit in (
                (self.runs, self.at_once.runs),
                (on_source, self.at_once.per_source_host),
                (on_kvm, self.at_once.per_kvm_host),
            )
        )

    def take(self, run: Waiting) -> None:
        self.busy.add(run.profile)
        self.runs.append(UnderWay(run.profile, run.source_host, run.kvm_host, run.is_first_copy))


def _fits(run: Waiting, among: Sequence[UnderWay], limit: int) -> bool:
    if len(among) >= limit:
        return False
    if not run.is_first_copy or run.cause is Cause.HAND or limit == 1:
        return True
    return sum(it.is_first_copy for it in among) < limit - 1

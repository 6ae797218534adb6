"""From what was looked at to one report of figures."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from standby.app.inspect import NotSeen, StandbyLook
from standby.app.live import Live
from standby.model.run import Run, RunResult
from standby.planning.metrics import DaemonFigures, MachineFigures, Report, StandbyFigures
from standby.planning.states import MERGES

_DECIDED = {result for result in RunResult if result.is_good or result.is_bad}


def report_of(looks: Iterable[StandbyLook | NotSeen], live: Live | None, now: datetime) -> Report:
    """Return the figures of some standbys and of the daemon; `now` is UTC."""
    machines = (_seen(it) if isinstance(it, StandbyLook) else _unseen(it) for it in looks)
    return Report(now, tuple(machines), _daemon(live) if live else None)


def _seen(look: StandbyLook) -> MachineFigures:
    profile, target = look.place.profile, look.facts.target
    return MachineFigures(
        profile=look.place.called,
        condition=look.condition,
        machine=look.manifest.machine.name,
        source_host=profile.source_host.name,
        kvm_host=look.place.host.name,
        state=look.state,
        newest=look.facts.newest,
        rpo=target.most if target else None,
        next_run=look.next_run,
        standby=StandbyFigures(
            points=len(look.manifest.points),
            limit=look.merges.keep.limit,
            merges_due=len(look.merges.merges) + len(look.merges.deferred),
            stored=look.stored,
            available=look.target.available,
        ),
        last=_last(look.runs),
        last_good=_last_good(look.runs),
    )


def _unseen(seen: NotSeen) -> MachineFigures:
    profile = seen.profile
    return MachineFigures(
        profile=seen.called,
        condition=seen.condition,
        machine=profile.source.domain if profile else "",
        source_host=profile.source_host.name if profile else "",
        kvm_host=profile.target_host.name if profile else "",
        state=seen.doing.state if seen.doing else None,
        newest=None if seen.lag is None else seen.at - seen.lag,
        next_run=seen.next_run,
        last=_last(seen.runs),
        last_good=_last_good(seen.runs),
    )


def _daemon(live: Live) -> DaemonFigures:
    return DaemonFigures(
        since=live.since,
        running=len(live.running),
        merging=sum(run.phase in MERGES for run in live.running),
        waiting=len(live.waiting),
        troubles=len(live.problems) + len(live.broken),
    )


def _last(runs: Iterable[Run] | None) -> Run | None:
    cycles = (it for it in runs or () if it.kind.is_cycle and it.result in _DECIDED)
    return next(cycles, None)


def _last_good(runs: Iterable[Run] | None) -> datetime | None:
    good = (it.ended for it in runs or () if it.kind.is_cycle and it.result.is_good)
    return next(good, None)

"""One machine in the daemon's care: what is known of it, waits for it, and is under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from standby.app.live import LiveWait, Outlook
from standby.daemon.active import Active
from standby.daemon.assignment import Assignment
from standby.model.pause import Pause, Wish
from standby.model.queue import Waiting
from standby.model.run import Cause, Run, RunKind, RunResult
from standby.planning import retries
from standby.planning.dispatch import joined
from standby.planning.lag import good_cycles, rpo_target, usual_duration
from standby.planning.retries import Trouble

_UNKNOWN: Final = timedelta(days=2)  # for one that runs when something happens, or by hand

Begun = Callable[[Active], None]


@dataclass
class Machine:
    """One machine in the daemon's care."""

    assignment: Assignment
    newest: datetime | None = None
    trouble: Trouble | None = None
    retry: datetime | None = None
    waiting: Waiting | None = None
    reason: str = ""
    begun: tuple[Begun, ...] = ()  # who wants to know when what waits begins
    active: Active | None = None
    due: datetime | None = None  # what the active run was due by its schedule
    was_due: bool = False  # the active run is more than what somebody asked for by hand
    leaving: bool = False  # its profile is gone: nothing begins any more
    paused: Pause | None = None  # as last seen on the KVM host
    lately: tuple[Run, ...] = ()  # its last good cycles since we began, newest first
    held: int = 0  # by so many who want nothing to begin for a moment
    owed: str = ""  # what happened to it, as long as no run has begun since
    wish: Wish | None = None  # to be written on the KVM host when no run goes on
    wish_failures: int = 0  # in a row
    wish_due: float = 0.0  # by the steady clock
    wish_problem: str = ""
    settling: bool = False  # its wish is being written

    @property
    def is_at_rest(self) -> bool:
        """Whether no run of it is under way, waits, or is going to be tried again."""
        return self.active is None and self.waiting is None and self.retry is None

    def may_begin(self, cause: Cause, now: datetime) -> bool:
        """Tell whether a run that is due is to be tried at all."""
        if cause is Cause.HAND:
            return True
        return (
            not self.is_paused(now)
            and not self._seeds_later(now)
            and retries.may_begin(cause, self.trouble, now)
        )

    def is_paused(self, now: datetime) -> bool:
        """Tell whether it is paused, or to be paused; a pause that has ended is none."""
        if self.wish is not None and self.wish.pauses(now):
            return True
        return self.paused is not None and self.paused.holds(now)

    def drop_what_may_not_begin(self, now: datetime) -> None:
        """Let nothing wait that would not be tried if it became due now."""
        if self.waiting is not None and not self.may_begin(self.waiting.cause, now):
            self.waiting = None

    def _seeds_later(self, now: datetime) -> bool:
        seed_at = self.assignment.seed_at
        return seed_at is not None and now < seed_at and self.newest is None

    def wait_for_turn(self, kind: RunKind, cause: Cause, due: datetime) -> None:
        """Let a run begin as soon as there is a place; with one that waits already it is one."""
        it = self.assignment
        new = Waiting(
            it.name,
            kind,
            cause,
            due,
            it.source_host,
            it.kvm_host,
            self._rpo,
            self.newest,
            is_due=cause is not Cause.HAND,
        )
        self.waiting = new if self.waiting is None else joined(self.waiting, new)

    def set_newest(self, newest: datetime | None) -> None:
        """Take when its newest boot point was true, also for a run that waits."""
        self.newest = newest
        if self.waiting is not None:
            self.waiting = replace(self.waiting, rpo=self._rpo, newest=newest)

    def ran(self, run: Run) -> None:
        """Take how a run ended: by what is usual it is judged how far it may be behind."""
        self.lately = good_cycles((run, *self.lately))
        if run.result in {RunResult.PUBLISHED, RunResult.STILL_TRUE}:
            self.set_newest(run.begun)

    @property
    def _rpo(self) -> timedelta:
        if self.newest is None:
            return _UNKNOWN  # it is behind without limit, whatever it may be
        it = self.assignment
        usual = usual_duration(self.lately)
        target = rpo_target(it.schedule, it.rpo, self.newest, usual, it.name)
        return _UNKNOWN if target is None else target.most

    def clock_was_set(self, jump: timedelta) -> None:
        """Move all moments of the past and of the future: no time has passed."""
        self.newest = _moved(self.newest, jump)
        self.retry = _moved(self.retry, jump)
        self.due = _moved(self.due, jump)
        if self.trouble is not None:
            self.trouble = replace(self.trouble, at=self.trouble.at + jump)
        if self.waiting is not None:
            due = self.waiting.due + jump
            self.waiting = replace(self.waiting, due=due, newest=self.newest)

    def reassign(self, assignment: Assignment) -> None:
        """Go by another version of its profile; what troubles it may be mended by that."""
        self.assignment, self.leaving = assignment, False
        if self.trouble is not None and self.trouble.is_lasting:
            self.trouble = None
        if self.waiting is not None:
            self.waiting = replace(
                self.waiting,
                source_host=assignment.source_host,
                kvm_host=assignment.kvm_host,
                rpo=self._rpo,
            )

    def outlook(self, next_run: datetime | None) -> Outlook:
        """Return what comes next for it, as the surfaces show it."""
        trouble = self.trouble
        return Outlook(
            profile=self.assignment.name,
            next_run=next_run,
            retry=self.retry,
            failures=trouble.failures if trouble else 0,
            trouble=trouble.why if trouble else "",
            waits_for_change=trouble is not None and trouble.is_lasting,
            then=self.wish.then if self.wish else None,
        )


def shown(it: Waiting, now: datetime) -> LiveWait:
    """Return a run that waits as the surfaces show it."""
    behind = None if it.newest is None else it.behind(now)
    return LiveWait(it.profile, it.kind, it.cause, it.due, behind)


def _moved(moment: datetime | None, jump: timedelta) -> datetime | None:
    return None if moment is None else moment + jump

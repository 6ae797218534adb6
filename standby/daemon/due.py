"""What is due for each machine: by its schedule, after a failure, or since something happened.

Belongs to the conductor's thread, as do the machines. It only says what is to wait for its turn;
when that comes is the conductor's to say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from standby.daemon.assignment import Assignment
from standby.daemon.clock import Clock, JumpWatch
from standby.daemon.machine import Machine
from standby.daemon.memory import Memory
from standby.daemon.sightings import Sightings
from standby.daemon.timetable import Timetable
from standby.model.run import Cause, Run, RunKind, RunResult
from standby.model.schedule import Every, MissedRuns, SourceEvent
from standby.model.sighting import Sighting
from standby.planning import retries
from standby.planning.schedule import missed

log = logging.getLogger("standby.daemon")


class Due:
    """Lets machines wait for a run when one is due."""

    def __init__(self, clock: Clock, memory: Memory, machines: Mapping[str, Machine]) -> None:
        """`machines` are the conductor's: they come and go."""
        self._clock = clock
        self._memory = memory
        self._machines = machines
        self._sightings = Sightings(clock, memory)
        self._jumps = JumpWatch(clock)
        self._timetable = Timetable(clock, self._scheduled)

    def look(self) -> Iterator[float]:
        """Let all wait that are due now; yield seconds until something else may be."""
        jump = self._jumps.jump()
        if jump:
            self._clock_was_set(jump)
        wait = self._timetable.process()
        if wait is not None:
            yield wait
        now = self._clock.now()
        yield from self._retry_those_due(now)
        for machine in self._machines.values():
            if machine.waiting is None and machine.active is None:
                self._begin_what_is_owed(machine, now)

    def next_of(self, name: str) -> datetime | None:
        """Return when a machine's schedule wants its next run."""
        return self._timetable.next_of(name)

    # ---- which machines ----------------------------------------------------------------

    def follow(self, machine: Machine) -> None:
        """Follow a machine that is new here, and make up what was missed."""
        name, now = machine.assignment.name, self._clock.now()
        self._sightings.recall(machine)
        self._timetable.set(name, machine.assignment.schedule)
        self._make_up(machine, now)
        self._once_now(machine, now)

    def follow_anew(self, machine: Machine, assignment: Assignment) -> None:
        """Follow a machine as it is from now on."""
        name, now = assignment.name, self._clock.now()
        before = machine.assignment.schedule
        machine.reassign(assignment)
        if before != assignment.schedule or self._timetable.next_of(name) is None:
            self._timetable.set(name, assignment.schedule)
            self._memory.see(name, now)
        self._once_now(machine, now)

    def forget(self, machine: Machine) -> None:
        """Follow a machine no more."""
        self._timetable.forget(machine.assignment.name)
        machine.retry = None

    # ---- what happens ------------------------------------------------------------------

    def happened(self, machine: Machine, what: str, event: SourceEvent) -> None:
        """Let a machine wait, as soon as it may, since something happened to it."""
        if event is not SourceEvent.REBOOT:
            self._sightings.went_off(machine)
        self._owe(machine, what)

    def sighted(self, machine: Machine, sighting: Sighting) -> None:
        """Take what a machine does; let it wait if something happened that nobody heard."""
        what = self._sightings.compare(machine, sighting)
        if what:
            log.info("profile=%s %s", machine.assignment.name, what)
            self._owe(machine, what)

    def dropped(self, machine: Machine) -> None:
        """Take that what waited for a machine will not begin: somebody said so."""
        machine.owed = ""
        self._sightings.settle(machine)

    def over(self, machine: Machine, run: Run, *, stopping: bool) -> None:
        """Take how a run ended: what it settled, and when it is tried again.

        `stopping`: it was we who cancelled it, if somebody did.
        """
        if _is_settled(run, stopping=stopping):
            self._remember(machine)
            self._sightings.settle(machine)
        self._note_trouble(machine, run)

    def paused(self, machine: Machine) -> None:
        """Take that a run found its machine paused: what was owed before is owed still."""
        machine.owed = self._memory.owed(machine.assignment.name)

    # ---- how ---------------------------------------------------------------------------

    def _scheduled(self, name: str, moment: datetime) -> None:
        machine, now = self._machines[name], self._clock.now()
        if machine.may_begin(Cause.SCHEDULE, now):
            machine.wait_for_turn(RunKind.CYCLE, Cause.SCHEDULE, moment)

    def _retry_those_due(self, now: datetime) -> Iterator[float]:
        for machine in self._machines.values():
            if machine.retry is None:
                continue
            if machine.retry > now:
                yield (machine.retry - now).total_seconds()
                continue
            due, machine.retry = machine.retry, None
            if machine.may_begin(Cause.RETRY, now):
                machine.wait_for_turn(RunKind.CYCLE, Cause.RETRY, due)

    def _owe(self, machine: Machine, what: str) -> None:
        self._sightings.owe(machine, what)
        self._begin_what_is_owed(machine, self._clock.now())

    def _begin_what_is_owed(self, machine: Machine, now: datetime) -> None:
        """Let a run wait for what happened to a machine; while that may not be it is owed still."""
        if machine.owed and not machine.leaving and machine.may_begin(Cause.EVENT, now):
            machine.reason = machine.owed
            machine.wait_for_turn(RunKind.CYCLE, Cause.EVENT, now)

    def _make_up(self, machine: Machine, now: datetime) -> None:
        """Begin what nobody could begin since the schedule was last followed."""
        name = machine.assignment.name
        seen = self._memory.seen(name)
        if seen is None or seen > now:  # by a clock that was wrong: nobody knows what was missed
            self._memory.see(name, now)
            return
        due = missed(machine.assignment.schedule, seen, now, name)
        if due is not None and machine.may_begin(Cause.MISSED, now):
            machine.wait_for_turn(RunKind.CYCLE, Cause.MISSED, due.moment)

    def _once_now(self, machine: Machine, now: datetime) -> None:
        name = machine.assignment.name
        if not machine.assignment.runs_once_now:
            self._memory.forget_once(name)
        elif not self._memory.was_once(name) and machine.is_at_rest:
            machine.wait_for_turn(RunKind.CYCLE, Cause.SCHEDULE, now)

    def _clock_was_set(self, jump: timedelta) -> None:
        """Go on as if no time had passed, but for runs at a time of the day that was jumped over.

        What repeats all the time goes on from now: nobody is behind because a clock was wrong.
        """
        log.warning("the clock was set by %s: all schedules are looked at anew", jump)
        now = self._clock.now()
        for machine in self._machines.values():
            machine.clock_was_set(jump)
            self._jumped_over(machine, now - jump, now)
            if not machine.leaving:
                # Also one whose schedule had ended: by this clock it may not have.
                self._timetable.set(machine.assignment.name, machine.assignment.schedule)

    def _jumped_over(self, machine: Machine, before: datetime, now: datetime) -> None:
        schedule, name = machine.assignment.schedule, machine.assignment.name
        timed = tuple(it for it in schedule.entries if not isinstance(it, Every))
        if now > before and timed and not machine.leaving:
            timed_only = replace(schedule, entries=timed, missed=MissedRuns.ONCE)
            due = missed(timed_only, before, now, name)
            if due is not None:
                machine.wait_for_turn(RunKind.CYCLE, Cause.MISSED, due.moment)
        self._memory.see(name, min(now, self._memory.seen(name) or now))

    def _remember(self, machine: Machine) -> None:
        name = machine.assignment.name
        if machine.due is not None:
            self._memory.see(name, max(machine.due, self._memory.seen(name) or machine.due))
        if machine.assignment.runs_once_now:
            self._memory.do_once(name)

    def _note_trouble(self, machine: Machine, run: Run) -> None:
        owed, machine.retry = machine.retry, None
        if machine.is_paused(self._clock.now()) and run.result is RunResult.BUSY:
            return
        machine.trouble = retries.after(run, machine.trouble)
        if machine.trouble is None or machine.leaving:
            return
        by_hand, cancelled = run.cause is Cause.HAND, run.result is RunResult.CANCELLED
        # Who runs it by hand sees it fail; what failed before him is owed all the same, and so is
        # what was due when he asked.
        if (by_hand and owed is not None) or (machine.was_due and not cancelled):
            coming = self._timetable.next_of(machine.assignment.name)
            machine.retry = retries.next_retry(machine.trouble, coming)


def _is_settled(run: Run, *, stopping: bool) -> bool:
    """Tell whether a run was all that was due.

    What failed, what is killed and what we ourselves stop is made up by the daemon after us.
    """
    stopped_by_us = run.result is RunResult.CANCELLED and stopping
    return not (run.result.is_bad or run.result is RunResult.BUSY or stopped_by_us)

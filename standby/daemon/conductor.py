"""Who runs when: all that a daemon decides, in one thread.

Whatever happens elsewhere (a run ends, somebody asks for one, a file changes) is told to this
thread through `post`; nothing here is touched by another. It makes no input or output but for its
memory, and waits for nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from queue import SimpleQueue

from standby.app.live import LiveRun, LiveWait, Outlook
from standby.app.orders import Ended, Order, Runner, RunWatch, new_id
from standby.daemon.active import Active, Meter
from standby.daemon.assignment import Assignment
from standby.daemon.clock import Clock
from standby.daemon.due import Due
from standby.daemon.endings import died, ended_by
from standby.daemon.machine import Begun, Machine, shown
from standby.daemon.memory import Memory
from standby.daemon.wishes import Wishes
from standby.errors import Cancelled, FixRequest, Paused, StandbyError, TryLater
from standby.model.pause import Pause, Then, Wish
from standby.model.queue import AtOnce, UnderWay, Waiting
from standby.model.run import Cause, Run, RunKind
from standby.model.schedule import SourceEvent
from standby.model.sighting import Sighting
from standby.planning.dispatch import in_order, to_begin

log = logging.getLogger("standby.daemon")


class Conductor:
    """Keeps every machine's schedule. All methods but `post` belong to one thread."""

    def __init__(self, clock: Clock, runner: Runner, at_once: AtOnce, memory: Memory) -> None:
        self.at_once = at_once
        self.stopping = False
        self._clock = clock
        self._runner = runner
        self._memory = memory
        self.wishes = Wishes(clock, memory)
        self._machines: dict[str, Machine] = {}
        self._due = Due(clock, memory, self._machines)
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.ended: list[Callable[[Run], None]] = []  # told of every run that is over

    # ---- the loop ----------------------------------------------------------------------

    @property
    def inbox(self) -> SimpleQueue[Callable[[], None]]:
        """What others want done in the conductor's thread."""
        return self._inbox

    def post(self, work: Callable[[], None]) -> None:
        """Have something done in the conductor's thread, soon."""
        self._inbox.put(work)

    def turn(self) -> float:
        """Begin all that is due and has a place; return seconds until something is due."""
        waits = list(self._due.look())
        waits += self.wishes.settle_those_due(tuple(self._machines.values()))
        self._begin(self._clock.now())
        self._memory.save_now_and_then(self._clock.steady())
        return max(min(waits, default=_LONGEST_WAIT_S), 0.0)

    # ---- which machines ----------------------------------------------------------------

    def assign(self, assignment: Assignment, newest: datetime | None = None) -> None:
        """Follow a machine's schedule, or follow it as it is now.

        `newest` is the moment at which its newest boot point was true, if that is known.
        """
        machine = self._machines.get(assignment.name)
        if machine is None:
            machine = self._machines[assignment.name] = Machine(assignment, newest)
            self.wishes.recall(machine)
            self._due.follow(machine)
        else:
            self._due.follow_anew(machine, assignment)

    def withdraw(self, name: str) -> None:
        """Begin nothing any more for a machine; what is under way comes to its end."""
        machine = self._machines.get(name)
        if machine is None:
            return
        self._due.forget(machine)
        self._drop_waiting(machine, "its profile was removed")
        machine.leaving = True
        self._forget_one_that_left(machine)

    def names(self) -> frozenset[str]:
        """Return the machines in the daemon's care."""
        return frozenset(name for name, it in self._machines.items() if not it.leaving)

    def learn(self, name: str, newest: datetime | None, paused: Pause | None = None) -> None:
        """Take what a look at the KVM host says of a machine."""
        machine = self._machines.get(name)
        if machine is None:
            return
        machine.set_newest(newest)
        machine.paused = paused
        machine.drop_what_may_not_begin(self._clock.now())

    def paused(self) -> frozenset[str]:
        """Return the machines that were paused when they were last looked at."""
        now = self._clock.now()
        return frozenset(
            name for name, it in self._machines.items() if it.paused and it.paused.holds(now)
        )

    def hold(self, name: str) -> None:
        """Begin nothing for a machine until it is let go; what is under way goes on."""
        if name in self._machines:
            self._machines[name].held += 1

    def let_go(self, name: str) -> None:
        """Undo one `hold`."""
        if name in self._machines:
            # Its profile may have been removed and have come back meanwhile.
            self._machines[name].held = max(self._machines[name].held - 1, 0)

    def hold_or_wish(self, name: str, wish: Wish) -> str:
        """Hold a machine for whoever writes a wish now; during a run only take the wish.

        Return the run's id, "" when the machine is held.
        """
        machine = self._machines.get(name)
        if machine is not None and machine.active is not None:
            self.wishes.take(machine, wish)
            return machine.active.order.id
        self.hold(name)
        if machine is not None and wish.then is Then.RESUMED:
            self.wishes.drop(machine, f"{wish.by} wants it to be {wish.then.value}")
        return ""

    def wish_of(self, name: str) -> Wish | None:
        """Return what is to be written of a machine as soon as no run goes on."""
        return self._machines[name].wish if name in self._machines else None

    def supersede(self, name: str) -> None:
        """Forget what was to be written of a machine: something newer has been."""
        if name in self._machines:
            self.wishes.drop(self._machines[name], "something newer was written")

    def settled(self, name: str, wish: Wish, error: StandbyError | None) -> None:
        """Take that a wish was written on the KVM host, or why it was not."""
        machine = self._machines.get(name)
        if machine is not None:
            self.wishes.settled(machine, wish, error)
            self._forget_one_that_left(machine)

    # ---- asking ------------------------------------------------------------------------

    def ask(
        self, name: str, kind: RunKind, cause: Cause, reason: str = "", begun: Begun | None = None
    ) -> None:
        """Have a machine's run begin as soon as there is a place. Raises TryLater."""
        machine = self._machines.get(name)
        if machine is None or machine.leaving:
            raise FixRequest(name, "is no profile that this daemon runs", "one of: standby list")
        if machine.active is not None and cause is Cause.HAND:
            raise TryLater(
                name,
                f"run {machine.active.order.id} is under way since {machine.active.begun:%H:%M:%S}"
                " UTC",
                "no run of this machine",
                f"wait for it: standby watch; or stop it: standby cancel {name}",
            )
        if self.stopping:
            raise TryLater("the daemon", "stops", remedy="ask again when it runs again")
        if begun is not None:
            machine.begun = (*machine.begun, begun)
        machine.reason = reason or machine.reason
        machine.wait_for_turn(kind, cause, self._clock.now())

    def cancel(self, name: str, why: str) -> str:
        """Stop what is under way or waits for a machine; return the run's id, "" if it waited."""
        machine = self._machines.get(name)
        if machine is not None and machine.active is not None:
            log.warning("profile=%s run=%s is stopped: %s", name, machine.active.order.id, why)
            machine.active.cancel.set()
            return machine.active.order.id
        if machine is not None and machine.waiting is not None:
            self._drop_waiting(machine, why)
            return ""
        raise TryLater(name, "no run is under way or waits", remedy="see: standby watch")

    def cancel_all(self, why: str) -> None:
        """Stop everything that is under way."""
        for machine in self._machines.values():
            if machine.active is not None and not machine.active.cancel.is_set():
                self.cancel(machine.assignment.name, why)

    def happened(self, name: str, what: str, event: SourceEvent = SourceEvent.SHUTDOWN) -> None:
        """Begin a run, as soon as one may, since something happened to a machine."""
        machine = self._machines.get(name)
        if machine is not None and not machine.leaving:
            self._due.happened(machine, what, event)

    def sighted(self, name: str, sighting: Sighting) -> None:
        """Take what a machine does; begin a run if something happened that nobody heard."""
        machine = self._machines.get(name)
        if machine is not None and not machine.leaving:
            self._due.sighted(machine, sighting)

    # ---- looking -----------------------------------------------------------------------

    def running(self) -> tuple[LiveRun, ...]:
        """Return what is under way, in the order it began."""
        active = [it.active for it in self._machines.values() if it.active is not None]
        then = {name: it.wish.then for name, it in self._machines.items() if it.wish}
        found = (it.live() for it in sorted(active, key=lambda it: it.begun))
        return tuple(replace(it, then=then.get(it.profile)) for it in found)

    def waiting(self) -> tuple[LiveWait, ...]:
        """Return what waits, the most urgent first."""
        now = self._clock.now()
        return tuple(shown(it, now) for it in in_order(self._queue(), now))

    def outlooks(self) -> tuple[Outlook, ...]:
        """Return what comes next for each machine."""
        return tuple(
            it.outlook(self._due.next_of(name)) for name, it in sorted(self._machines.items())
        )

    def problems(self) -> tuple[str, ...]:
        """Return what was promised and cannot be done yet."""
        return tuple(it.wish_problem for it in self._machines.values() if it.wish_problem)

    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return all(it.active is None and not it.settling for it in self._machines.values())

    # ---- runs --------------------------------------------------------------------------

    def _queue(self) -> list[Waiting]:
        machines = [it for it in self._machines.values() if not it.held and not it.settling]
        return [it.waiting for it in machines if it.waiting]

    def _begin(self, now: datetime) -> None:
        queue = [] if self.stopping else self._queue()
        if not queue:
            return
        active = [it.active for it in self._machines.values() if it.active is not None]
        places = [it.place for it in active if not it.only_merges]
        merging = frozenset(it.order.profile for it in active if it.only_merges)
        for chosen in to_begin(queue, places, self.at_once, now, merging):
            self._start(self._machines[chosen.profile], chosen, now)

    def _start(self, machine: Machine, chosen: Waiting, now: datetime) -> None:
        order = Order(
            new_id(), chosen.profile, chosen.kind, chosen.cause, chosen.due, machine.reason
        )
        place = UnderWay(chosen.profile, chosen.source_host, chosen.kvm_host, chosen.is_first_copy)
        active = Active(order, place, now, Meter(self._clock.steady))
        machine.active, machine.due, machine.was_due = active, chosen.due, chosen.is_due
        machine.waiting, machine.reason, machine.owed = None, "", ""
        if chosen.cause is not Cause.HAND:
            machine.retry = None
        begun, machine.begun = machine.begun, ()
        for tell in begun:
            tell(active)
        log.info(
            "profile=%s run=%s begins (%s), %.1f s after it was due",
            order.profile,
            order.id,
            order.cause.value,
            (now - chosen.due).total_seconds(),
        )
        worker = partial(self._work, machine, active)
        threading.Thread(target=worker, name=f"run {order.id}", daemon=True).start()

    def _work(self, machine: Machine, active: Active) -> None:
        """Do a run, in a thread of its own; whatever happens, its end is told."""
        watch = RunWatch(
            active.cancel,
            active.meter,
            active.meter.phases,
            lambda: self.post(partial(self._only_merges, active)),
            active.meter.planned,
        )
        ended: list[Ended] = []
        try:
            ended.append(self._runner.run(active.order, watch))
        except StandbyError as error:
            ended.append(ended_by(active, error, self._clock.now()))
        finally:
            result = ended[0] if ended else died(active, self._clock.now())
            self.post(partial(self._over, machine, active, result))

    def _only_merges(self, active: Active) -> None:
        active.only_merges = True

    def _over(self, machine: Machine, active: Active, ended: Ended) -> None:
        run, name = ended.run, machine.assignment.name
        machine.active = None
        if isinstance(ended.error, Paused):
            machine.paused = Pause(run.begun, ended.error.until)
            self._due.paused(machine)
        machine.ran(run)
        self._due.over(machine, run, stopping=self.stopping)
        log.info("profile=%s run=%s ended: %s", name, run.id, run.result.value)
        for tell in active.told:
            tell(ended)
        for hear in self.ended:
            hear(run)
        self.wishes.settle_now(machine)
        self._forget_one_that_left(machine)

    def _forget_one_that_left(self, machine: Machine) -> None:
        if machine.leaving and machine.active is None and not machine.settling:
            self.wishes.drop(machine, "its profile was removed")
            del self._machines[machine.assignment.name]

    def _drop_waiting(self, machine: Machine, why: str) -> None:
        waiting, machine.waiting = machine.waiting, None
        self._due.dropped(machine)
        begun, machine.begun = machine.begun, ()
        if waiting is None:
            return
        order = Order("", waiting.profile, waiting.kind, waiting.cause, waiting.due)
        place = UnderWay(waiting.profile, waiting.source_host, waiting.kvm_host)
        now = self._clock.now()
        never = Active(order, place, now, Meter(self._clock.steady))
        ended = ended_by(never, Cancelled(waiting.profile, f"did not begin: {why}"), now)
        for tell in begun:
            tell(never)
        for told in never.told:
            told(ended)


_LONGEST_WAIT_S = 1.0  # so that a clock that was set, and whoever watches us, is noticed

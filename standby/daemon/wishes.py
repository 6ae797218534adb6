"""Pauses, and their ends, that were asked for during a run: written as soon as it is over.

Belongs to the conductor's thread. Until such a pause is written nothing of its machine begins by
itself, whatever keeps it from being written; who asked was told that it would be so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from standby.daemon.clock import Clock
from standby.daemon.machine import Machine
from standby.daemon.memory import Memory
from standby.errors import FixRequest, StandbyError
from standby.model.pause import Then, Wish
from standby.planning.retries import delay

log = logging.getLogger("standby.daemon")


def _nobody(_name: str, _wish: Wish) -> None:
    """Write nothing: no part of the daemon has said that it does."""


@dataclass
class Wishes:
    """What is wished for machines. `settle` has a wish written, and returns at once."""

    clock: Clock
    memory: Memory
    settle: Callable[[str, Wish], None] = _nobody

    def take(self, machine: Machine, wish: Wish) -> None:
        """Take a wish instead of what was wished before; one that takes that back is none."""
        if wish.then is Then.RESUMED and self._was_only_promised(machine):
            self.drop(machine, f"{wish.by} takes it back")
            return
        self._put(machine, wish)
        machine.drop_what_may_not_begin(self.clock.now())
        log.info("profile=%s is to be %s, says %s", _name(machine), wish.then.value, wish.by)

    def _was_only_promised(self, machine: Machine) -> bool:
        promised, paused = machine.wish, machine.paused
        holds = paused is not None and paused.holds(self.clock.now())
        return promised is not None and promised.then is Then.PAUSED and not holds

    def recall(self, machine: Machine) -> None:
        """Take up what was wished of a machine when an earlier daemon ended."""
        machine.wish = self.memory.wish(_name(machine))

    def drop(self, machine: Machine, why: str) -> None:
        """Wish nothing of a machine any more."""
        if machine.wish is not None:
            log.info("profile=%s is not to be %s: %s", _name(machine), machine.wish.then.value, why)
            self._put(machine, None)

    def settle_those_due(self, machines: Iterable[Machine]) -> Iterator[float]:
        """Have written what is due; yield the seconds until more is."""
        for machine in machines:
            if machine.wish is None or machine.active is not None or machine.settling:
                continue
            left = machine.wish_due - self.clock.steady()
            if left > 0:
                yield left
            else:
                self.settle_now(machine)

    def settle_now(self, machine: Machine) -> None:
        """Have a machine's wish written, if there is one; nothing of it begins before."""
        wish = machine.wish
        if wish is None or machine.settling:
            return
        if wish.then is Then.PAUSED and not wish.pauses(self.clock.now()):
            self.drop(machine, "its run took longer than the pause was to last")
            return
        machine.settling = True
        self.settle(_name(machine), wish)

    def settled(self, machine: Machine, wish: Wish, error: StandbyError | None = None) -> None:
        """Take that a wish was written, or why not: then it is tried again later."""
        machine.settling = False
        if machine.wish is not wish:
            return  # somebody wished otherwise meanwhile
        if error is None:
            self._put(machine, None)
            return
        if isinstance(error, FixRequest):
            self.drop(machine, str(error))
            return
        machine.wish_failures += 1
        wait = delay(machine.wish_failures)
        machine.wish_due = self.clock.steady() + wait.total_seconds()
        machine.wish_problem = f"{_name(machine)} is not {wish.then.value} yet: {error}"
        log.warning("profile=%s is tried again in %s", machine.wish_problem, wait)

    def _put(self, machine: Machine, wish: Wish | None) -> None:
        machine.wish, machine.wish_due = wish, 0.0
        machine.wish_failures, machine.wish_problem = 0, ""
        self.memory.take_wish(_name(machine), wish)


def _name(machine: Machine) -> str:
    return machine.assignment.name

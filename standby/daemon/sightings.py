"""What happens to machines while nobody hears it, found by what they do when they are seen again.

Belongs to the conductor's thread. What is owed to a machine, since something happened to it, is
kept until a run that began afterwards was good: a daemon that is killed owes it still.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from standby.daemon.clock import Clock
from standby.daemon.machine import Machine
from standby.daemon.memory import LastSeen, Memory
from standby.model.schedule import MissedRuns
from standby.model.sighting import Power, Sighting

# In less a machine that was off does not start, work, and go off again.
_COULD_RUN: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Sightings:
    """Compares what machines do with what they did when they were last seen."""

    clock: Clock
    memory: Memory

    def recall(self, machine: Machine) -> None:
        """Take up what an earlier daemon knew; nothing where what was missed is to be skipped."""
        name = machine.assignment.name
        if machine.assignment.schedule.missed is MissedRuns.SKIP:
            self.memory.forget_sighting(name)
            self.memory.owe(name, "")
        machine.owed = self.memory.owed(name)

    def compare(self, machine: Machine, sighting: Sighting) -> str:
        """Take how a machine was found; return what happened meanwhile, "" if nothing is known."""
        name, now = machine.assignment.name, self.clock.now()
        before = self.memory.last_seen(name)
        known = before if before and before.machine == machine.assignment.machine else None
        self.memory.see_machine(name, LastSeen(machine.assignment.machine, sighting.power, now))
        if known is None or not sighting.may_be(machine.assignment.events):
            return ""
        if known.power is Power.ON:
            return f"found off; it ran at {known.at:%Y-%m-%d %H:%M:%S} UTC"
        if timedelta() <= now - known.at < _COULD_RUN:
            return ""
        return f"off, and not watched since {known.at:%Y-%m-%d %H:%M:%S} UTC: it may have run"

    def went_off(self, machine: Machine) -> None:
        """Take that a machine went off before our eyes."""
        it = machine.assignment
        self.memory.see_machine(it.name, LastSeen(it.machine, Power.OFF, self.clock.now()))

    def owe(self, machine: Machine, what: str) -> None:
        """Owe a machine a run that begins from now on; kept at once."""
        machine.owed = what
        self.memory.owe(machine.assignment.name, what)

    def settle(self, machine: Machine) -> None:
        """Take that a run was good: nothing is owed but for what happened since it began."""
        if not machine.owed:
            self.memory.owe(machine.assignment.name, "")

"""What happens in a run of the fault suite: drawn from a seed, printable, replayable. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import Enum

from standby.cycle.report import Phase


class Fault(Enum):
    """What strikes; the values are for people."""

    NONE = "nothing"
    MANAGER = "SIGKILL of the manager"
    STORAGE_DAEMON = "SIGKILL of the storage daemon"
    SSH = "SIGKILL of the manager's ssh"
    SSHD_SOURCE = "SIGKILL of sshd and its connections on the source"
    SSHD_KVM = "SIGKILL of sshd and its connections on the KVM host"
    LIBVIRT_SOURCE = "SIGKILL of libvirtd on the source"
    LIBVIRT_KVM = "SIGKILL of libvirtd on the KVM host"
    GUEST = "SIGKILL of the source's QEMU"
    FULL = "the KVM host's storage is full"
    CHECKPOINT = "somebody deletes the checkpoint on the source"
    BITMAP = "the bitmaps vanish behind libvirt's back"
    CLOCK_BACK = "the manager's clock is set back by a day"
    CLOCK_AHEAD = "the manager's clock is set ahead by a day"
    SLOW_LINK = "the KVM host's link is slow"
    BIT_IN_DATA = "a flipped byte in a boot point's data"
    BIT_IN_DIGESTS = "a flipped byte in a boot point's digests"
    BIT_IN_MANIFEST = "a damaged manifest"
    BITS_IN_BOTH_MANIFESTS = "a damaged manifest, and its copy as well"
    CUT_LINK = "the KVM host's link is cut"
    CUT_LINK_SOURCE = "the source's link is cut"
    CRASH_SOURCE = "the source host crashes"
    CRASH_KVM = "the KVM host crashes"


SLOW = frozenset({Fault.CUT_LINK, Fault.CUT_LINK_SOURCE})
"""Faults that cost half a minute: until a dead connection is given up."""

LOSES_HISTORY = frozenset({Fault.GUEST, Fault.CHECKPOINT, Fault.BITMAP, Fault.CRASH_SOURCE})
"""Faults after which a resync is what is due. After all others it is not."""

KILLS_LIBVIRT = frozenset({Fault.LIBVIRT_SOURCE, Fault.LIBVIRT_KVM})
"""Faults after which a daemon may have to try more than once."""


class Deed(Enum):
    """What an administrator does before the fault."""

    NOTHING = "nothing"
    REVERT = "revert to a point"
    FOLLOW = "revert to latest"
    PIN = "pin a point"
    UNPIN = "unpin all points"
    GROW = "grow a disk"
    VERIFY = "verify all points"


@dataclass(frozen=True, slots=True)
class Moment:
    """When a fault strikes: as a phase begins, or so many seconds after the cycle's begin."""

    phase: Phase | None
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"as {self.phase.value} begins" if self.phase else f"after {self.seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: a deed, writes, a cycle that is struck, and what `chance` decides beside."""

    number: int
    deed: Deed
    requests: int
    fault: Fault
    moment: Moment
    chance: int

    def __str__(self) -> str:
        return f"{self.number}: {self.deed.value}; {self.fault.value}, {self.moment}"


_PHASES = tuple(phase for phase in Phase if phase is not Phase.COPY_IMAGES)  # of other profiles
_DEED_WEIGHTS = {
    Deed.NOTHING: 14,
    Deed.REVERT: 2,
    Deed.FOLLOW: 3,
    Deed.PIN: 1,
    Deed.UNPIN: 2,
    Deed.GROW: 1,
    Deed.VERIFY: 1,
}
_FAULT_WEIGHTS = {
    Fault.MANAGER: 6,
    Fault.STORAGE_DAEMON: 3,
    Fault.GUEST: 2,
    **dict.fromkeys(SLOW, 1),
}
_OTHER_WEIGHT = 2


def draw(seed: int, number: int, *, without: frozenset[Fault] = frozenset()) -> Run:
    """Draw one run; the same whatever was drawn before. `without` names what is left out."""
    chances = random.Random(f"{seed}/{number}")
    faults = [fault for fault in Fault if fault not in without]
    weights = [_FAULT_WEIGHTS.get(fault, _OTHER_WEIGHT) for fault in faults]
    deeds = list(_DEED_WEIGHTS)
    at_phase = chances.random() < 0.6
    return Run(
        number=number,
        deed=chances.choices(deeds, list(_DEED_WEIGHTS.values()))[0],
        requests=chances.randrange(2, 8),
        fault=chances.choices(faults, weights)[0],
        moment=Moment(chances.choice(_PHASES) if at_phase else None, chances.uniform(0, 1.2)),
        chance=chances.randrange(1 << 30),
    )


QUICK_SEEDS = 4


def quick_runs(seed: int) -> tuple[Run, ...]:
    """Return the runs that the tests do with one of QUICK_SEEDS seeds.

    In all of them together every fault that is not slow strikes twice, hosts that crash included.
    """
    deck = [fault for fault in Fault if fault not in SLOW] * 2
    random.Random("quick").shuffle(deck)
    dealt = deck[seed::QUICK_SEEDS]
    return tuple(replace(draw(seed, number), fault=fault) for number, fault in enumerate(dealt))

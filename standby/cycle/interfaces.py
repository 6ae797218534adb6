"""What a cycle needs of the rooms that do the work; they are wired in by the application."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from standby.model.disk import SourceDisk
from standby.model.extent import NbdEndpoint
from standby.model.machine import MachineDefinition
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import SourceObservation, TargetObservation, User
from standby.model.plan import CapturePlan, CyclePlan, DiskPlan, HeadMove
from standby.model.point import BootPoint, Consistency
from standby.model.seed import ImageFound, UnfinishedSeed


class CapturedDisk(Protocol):
    """One disk of a capture."""

    @property
    def disk(self) -> SourceDisk:
        """Which disk it is."""

    @property
    def endpoint(self) -> NbdEndpoint:
        """Where it is read."""

    @property
    def changes(self) -> str | None:
        """The NBD context of its bitmap; None: everything."""


class Capture(Protocol):
    """A consistent, read-only, point-in-time view of the source's disks."""

    @property
    def disks(self) -> Sequence[CapturedDisk]:
        """The disks, in the order of the plan."""

    @property
    def definition(self) -> MachineDefinition:
        """The machine's definition and firmware variables at this moment."""

    @property
    def consistency(self) -> Consistency:
        """What was reached."""

    def seal(self) -> str | None:
        """Make sure that the next incremental can count from this moment.

        Return the checkpoint's name, None when no disk can keep one. Called once, after the
        last read. Raises CaptureLost.
        """

    def require_alive(self) -> None:
        """Raise CaptureLost when what was read may not be the moment of the capture."""


class Source(Protocol):
    """The machine that is protected."""

    def observe(self, owner: str) -> SourceObservation:
        """Look. `owner` begins the names of our checkpoints."""

    def capture(self, plan: CapturePlan) -> AbstractContextManager[Capture]:
        """Take a capture; leaving the context ends it and gives up its scratch space."""

    def forget(self, checkpoints: Sequence[str]) -> None:
        """Delete checkpoints of ours that no point needs."""


class IncomingDisk(Protocol):
    """A disk of the new point while it is written."""

    @property
    def plan(self) -> DiskPlan:
        """How it is brought into the point."""

    @property
    def file(self) -> str:
        """The delta's name once it is published."""

    @property
    def endpoint(self) -> NbdEndpoint:
        """Where it is written."""

    @property
    def digests(self) -> NbdEndpoint:
        """Where the digests of its blocks are written."""


class Incoming(Protocol):
    """The deltas of the new point, before publication."""

    @property
    def disks(self) -> Sequence[IncomingDisk]:
        """The disks, in the order of the plan."""

    def require_alive(self) -> None:
        """Raise TransferFailed when whoever writes the files is gone."""

    def stored(self) -> Mapping[str, int]:
        """Return the allocated bytes of each disk's delta."""

    def close(self) -> None:
        """End the storage daemon; afterwards the files are complete, though not yet published."""


class Store(Protocol):
    """One standby's directory while its lock is held."""

    @property
    def manifest(self) -> Manifest:
        """The manifest as last published by us."""

    def observe(self) -> TargetObservation:
        """Look at directory, head and domain; change nothing."""

    def available(self) -> int:
        """Return the free bytes of the storage, as of the last look."""

    def require_lock(self) -> None:
        """Raise Overtaken when the lock is no longer held."""

    def discard(self, debris: Sequence[str]) -> None:
        """Remove what an interrupted run left."""

    def find_image(self, path: str) -> ImageFound:
        """Look at an image that is not ours. Raises UseOtherImage, GrantAccess, TryLater."""

    def copied_image(
        self, plan: DiskPlan, image: ImageFound
    ) -> AbstractContextManager[tuple[NbdEndpoint, NbdEndpoint]]:
        """Copy an image to begin from; yield where it is read and where its table is written."""

    def spoilt(self, seeds: Sequence[UnfinishedSeed]) -> Sequence[UnfinishedSeed]:
        """Return the interrupted first copies that nobody can go on with."""

    def incoming(self, plan: CyclePlan) -> AbstractContextManager[Incoming]:
        """Make the new deltas and serve them; on failure all but first copies are removed."""

    def publish(self, plan: CyclePlan, point: BootPoint, definition: MachineDefinition) -> None:
        """Make the new point visible, whole, by one atomic rename. Raises Overtaken."""

    def stamp(self, moment: datetime) -> None:
        """Record that the newest point was still true at `moment` (UTC)."""

    def move_head(self, move: HeadMove) -> None:
        """Let the dormant domain boot the point it should; define it if it is not there."""

    def users(self) -> Sequence[User]:
        """List who stands on files of this store besides its own chain and dormant head."""

    def merge(self, older: PointName, progress: ProgressReport) -> None:
        """Merge the point above `older` down into it. May be killed at any moment."""


ProgressReport = Callable[[str, int, int], None]  # what, done bytes, total bytes


class MergeTurn(Enum):
    """When in its cycle a standby merges."""

    BEFORE = "before"  # to make room, or to finish what was interrupted: a capture follows
    LAST = "last"  # nothing follows


MergeGate = Callable[[MergeTurn], AbstractContextManager[None]]
"""Waits for one's turn where several standbys merge at once. Raises Cancelled, TryLater."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What a transfer would move, in bytes."""

    data: int
    zero: int


@dataclass(frozen=True, slots=True)
class Moved:
    """What a transfer moved, in bytes. `unchanged` was looked at and there already.

    `read` came from the source; `changed` counts blocks of 64 KiB, sent or told as zeroes.
    """

    data: int
    zero: int
    unchanged: int = 0
    read: int = 0
    changed: int = 0


class Transfer(Protocol):
    """The copy engine, with this profile's limits."""

    def survey(self, source: CapturedDisk) -> Pending:
        """Count what would be moved."""

    def digest(self, disk: str, image: NbdEndpoint, digests: NbdEndpoint) -> None:
        """Write the digests of an image on the KVM host. Raises TransferFailed, Cancelled."""

    def copy(
        self,
        pairs: Sequence[tuple[CapturedDisk, IncomingDisk]],
        expected: Sequence[Pending],
        alive: Callable[[], None],
        moving: Callable[[Moved], None],
    ) -> Moved:
        """Move it; flushed when it returns. Raises TransferFailed, Cancelled.

        `expected` is what the survey of each pair found, for progress. `alive` is called now
        and then and raises when there is no point in going on. `moving` hears now and then what
        was moved so far, and at last when the transfer has ended, well or badly.
        """


class Hooks(Protocol):
    """An administrator's scripts. None of them ever runs while a guest is frozen."""

    def around_capture(self, plan: CyclePlan) -> AbstractContextManager[None]:
        """Run what comes before the capture, and on leaving what comes after it.

        What comes after runs whatever happened, be it that what came before failed. Raises
        RepairScript and what kept a script from running; Cancelled.
        """

    def after_publish(self, point: BootPoint) -> None:
        """Run what comes after the publication of a point. Raises as around_capture."""


class Clock(Protocol):
    """The manager's clock."""

    def now(self) -> datetime:
        """Return the time, UTC."""

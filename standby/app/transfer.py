"""The copy engine with a profile's limits, as a cycle uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from standby.cycle.interfaces import CapturedDisk, IncomingDisk, Moved, Pending
from standby.model.digest import DigestAlgorithm, blocks_of
from standby.model.extent import NbdEndpoint
from standby.model.plan import DiskPlan
from standby.model.point import Way
from standby.model.seed import SeedOrigin
from standby.model.spoilt import Range
from standby.transfer.build import build_table
from standby.transfer.engine import copy_disks, pending
from standby.transfer.job import (
    Changed,
    CopyResult,
    Differing,
    DigestTable,
    DiskCopy,
    Everything,
    Scope,
    Unfinished,
    ZeroPolicy,
)
from standby.transfer.job import Pending as EnginePending
from standby.transfer.rate import Limit, RateLimit, all_of
from standby.transfer.scan import DigestedDisk, Pace


@dataclass(frozen=True, slots=True)
class ProfileTransfer:
    """Copies with one profile's bandwidth, telling one caller how far it is."""

    limiter: Limit | None  # of what is sent
    progress: Callable[[str, int, int], None]
    cancel: threading.Event
    algorithm: DigestAlgorithm
    reading: RateLimit | None = None  # of the source, in any cycle
    resyncing: RateLimit | None = None  # of the source, when all of it is read

    def survey(self, source: CapturedDisk) -> Pending:
        """Count what would be moved."""
        counted = pending(source.disk.name, source.endpoint, _scope(source), cancel=self.cancel)
        return Pending(counted.data_bytes, counted.zero_bytes)

    def digest(self, disk: str, image: NbdEndpoint, digests: NbdEndpoint) -> None:
        """Write the digests of an image on the KVM host: it is read through the network."""
        subject = DigestedDisk(disk, image, DigestTable(digests, self.algorithm))
        build_table(subject, Pace(self.limiter, self.progress, self.cancel))

    def copy(
        self,
        pairs: Sequence[tuple[CapturedDisk, IncomingDisk]],
        expected: Sequence[Pending],
        alive: Callable[[], None],
        moving: Callable[[Moved], None],
    ) -> Moved:
        """Move it; flushed when it returns."""
        copies = [
            _copy(source, target, bytes_, self.algorithm)
            for (source, target), bytes_ in zip(pairs, expected, strict=True)
        ]
        results = copy_disks(
            copies,
            limiter=self.limiter,
            read_limiter=all_of(self.reading, self.resyncing if _reads_all(pairs) else None),
            progress=self.progress,
            told=lambda so_far: moving(_moved(so_far)),
            cancel=self.cancel,
            alive=alive,
        )
        return _moved(results)


def _moved(results: Sequence[CopyResult]) -> Moved:
    return Moved(
        data=sum(result.data_bytes for result in results),
        zero=sum(result.zero_bytes for result in results),
        unchanged=sum(result.unchanged_bytes for result in results),
        read=sum(result.read_bytes for result in results),
        changed=sum(blocks_of(result.data_bytes + result.zero_bytes) for result in results),
    )


def _reads_all(pairs: Sequence[tuple[CapturedDisk, IncomingDisk]]) -> bool:
    return any(target.plan.way is Way.RESYNC for _, target in pairs)


def _scope(source: CapturedDisk, again: tuple[Range, ...] = ()) -> Scope:
    return Everything() if source.changes is None else Changed(source.changes, again)


def _scope_of(source: CapturedDisk, plan: DiskPlan) -> Scope:
    if plan.continues is not None:
        return Unfinished()
    return Differing() if plan.way is Way.RESYNC else _scope(source, plan.again)


def _copy(
    source: CapturedDisk, target: IncomingDisk, expected: Pending, algorithm: DigestAlgorithm
) -> DiskCopy:
    new = target.plan.kept_as is SeedOrigin.NOTHING and target.plan.continues is None
    new = new and source.changes is None
    return DiskCopy(
        disk=source.disk.name,
        source=source.endpoint,
        target=target.endpoint,
        scope=_scope_of(source, target.plan),
        zeroes=ZeroPolicy.LEAVE_OUT if new else ZeroPolicy.WRITE,
        expected=EnginePending(expected.data, expected.zero),
        digests=DigestTable(target.digests, algorithm),
        again=target.plan.again,
    )

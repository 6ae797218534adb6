"""Mending damaged blocks of published deltas from wherever they still are whole."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from standby.app.comparing import SourceDisks
from standby.app.scanning import Findings, Scanner
from standby.errors import RepairStore, TransferFailed, TryLater
from standby.model.extent import NbdEndpoint
from standby.model.point import BootPoint, Delta
from standby.model.spoilt import Range, joined
from standby.target.images import broken_images
from standby.target.mending import serve_image
from standby.target.store import KvmStore
from standby.transfer.job import DigestTable
from standby.transfer.mend import mend_blocks
from standby.transfer.scan import DigestedDisk
from standby.transfer.unreadable import is_unreadable


@dataclass(frozen=True, slots=True)
class MendedDelta:
    """What was written anew of one file, in bytes; all points above that share it are mended."""

    disk: str
    file: str
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Mender:
    """Mends what was found damaged; the store's lock is held.

    `images` are further images on the KVM host, by disk. What it could not use or had to leave
    for later is noted for people.
    """

    store: KvmStore
    scanner: Scanner
    findings: Findings
    source: SourceDisks | None
    images: Mapping[str, str]

    def mend(self, mended: list[MendedDelta], notes: list[str]) -> None:
        """Mend oldest first: whoever shares a block is whole then. Tells what it did as it does.

        Raises TransferFailed, Cancelled, Overtaken; what was mended until then stays mended.
        """
        for point in self.scanner.manifest.whole_points:
            for delta in point.deltas:
                try:
                    done = self._delta(point, delta)
                except (TryLater, RepairStore) as error:
                    notes.append(str(error))
                    continue
                if done:
                    mended.append(MendedDelta(delta.disk, delta.file, tuple(done)))

    def _delta(self, point: BootPoint, delta: Delta) -> list[Range]:
        damaged = self.scanner.look_again(point, delta.disk, self.findings)
        if not damaged:
            return []
        self._require_sound(delta)
        with self.store.mending(delta) as work:
            with work.gathering() as at:
                digests = DigestTable(at.digests, self.scanner.manifest.digests)
                patch = DigestedDisk(delta.disk, at.patch, digests)
                gathered = self._gather(point, patch, damaged)
            if gathered:
                with work.applying() as at_delta:
                    digests = DigestTable(at_delta.digests, self.scanner.manifest.digests)
                    image = DigestedDisk(delta.disk, at_delta.image, digests)
                    mend_blocks(image, gathered, at_delta.patch)
        self.scanner.look_again(point, delta.disk, self.findings)
        return gathered

    def _require_sound(self, delta: Delta) -> None:
        """Raise RepairStore where the image's own metadata is damaged.

        A write would follow it to a wrong place, or make QEMU refuse the image from then on.
        """
        place = self.scanner.place
        for file, what in broken_images(place.host, place.directory, [delta.file]).items():
            raise RepairStore(file, f"its own metadata is damaged: {what}", "a sound qcow2 image")

    def _gather(self, point: BootPoint, patch: DigestedDisk, damaged: list[Range]) -> list[Range]:
        gathered: list[Range] = []
        left = tuple(damaged)
        for healthy in self._healthy(point, patch.disk):
            try:
                done = mend_blocks(patch, left, healthy, self.scanner.pace)
            except TransferFailed as error:
                if not is_unreadable(error):
                    raise
                continue  # the same storage may have lost it there too
            gathered += done.mended
            left = done.unlike
            if not left:
                break
        return joined(gathered)

    def _healthy(self, point: BootPoint, disk: str) -> Iterator[NbdEndpoint]:
        """Yield images that may hold what is missing, while each is served."""
        endpoint = self.source.endpoint(disk) if self.source else None
        if endpoint is not None:
            yield endpoint
        if disk in self.images:
            with self._image(disk) as image:
                yield image
        for other in reversed(self.scanner.manifest.whole_points):
            delta = self.scanner.readable(other, disk)
            if other is not point and delta is not None:
                with self.scanner.served(other, [delta]) as (served,):
                    yield served.image

    @contextmanager
    def _image(self, disk: str) -> Generator[NbdEndpoint]:
        place, generation = self.scanner.place, self.store.manifest.generation
        path = self.images[disk]
        with serve_image(place.host, place.directory, path, disk, generation) as endpoint:
            yield endpoint

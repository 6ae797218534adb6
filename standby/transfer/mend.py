"""Mending damaged blocks from somewhere else, if that is what their digests say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from standby.errors import UseOtherStorage
from standby.model.digest import BLOCK
from standby.model.extent import Extent, NbdEndpoint
from standby.model.spoilt import Range, joined
from standby.transfer.cable import Cable
from standby.transfer.chosen import ChosenBlocks
from standby.transfer.connection import Connection, Role
from standby.transfer.digests import digester
from standby.transfer.feed import Feed, Ledger, Part, Pool
from standby.transfer.scan import (
    AT_FULL_SPEED,
    DigestedDisk,
    Pace,
    Scan,
    wait_for,
)
from standby.transfer.sieve import mendable
from standby.transfer.table import Table, Trust


@dataclass(frozen=True, slots=True)
class Mended:
    """Which ranges were mended, and which could not be: sorted, apart, in bytes."""

    mended: tuple[Range, ...]
    unlike: tuple[Range, ...]  # what was offered for them has another digest


def mend_blocks(
    subject: DigestedDisk,
    damaged: Iterable[Range],
    healthy: NbdEndpoint,
    pace: Pace = AT_FULL_SPEED,
) -> Mended:
    """Write each damaged block anew, in place, if `healthy` holds what its digest says.

    Ranges are rounded outward to whole blocks. A block that should be zeroes is left as it is: the
    table may have lost its entry, and then the block is good. The image's top file is what is
    written to: the caller serves the one that holds the blocks, and every image that stands on it
    is mended too. Flushed on return.

    Raises TransferFailed, Cancelled, RepairStore when the table is too small for the image,
    UseOtherStorage when the image cannot be written.
    """
    with pace.lines() as lines:
        pool = Pool(1)
        lines.also_close(pool.close)
        image = lines.open(subject.disk, Role.TARGET, subject.image)
        source = lines.open(subject.disk, Role.SOURCE, healthy)
        entries = lines.open(subject.disk, Role.TABLE, subject.digests.endpoint)
        poller = lines.poller()
        if lacking := image.lacks():
            raise UseOtherStorage(image.where, f"the server offers no {lacking[0]}")
        blocks = ChosenBlocks(damaged, image.size(), source.size())
        table = Table(entries, image.size(), Trust.STORED)
        lines.also_close(table.close)
        ledger = Ledger(digester(subject.digests.algorithm), table)
        feed = Feed(blocks, Cable(source), pool, ledger, pace.limiter)
        mender = _Mender(feed, table, image)
        Scan(subject.disk, feed, mender, blocks.bytes, pace).run(poller)
        wait_for(poller, image.flush)
        lines.leave()
    return Mended(tuple(joined(mender.mended)), tuple(joined(blocks.beyond + mender.unlike)))


class _Mender:
    """Writes what has the right digest."""

    def __init__(self, feed: Feed, table: Table, image: Connection) -> None:
        self._feed = feed
        self._table = table
        self._image = image
        self.mended: list[Range] = []
        self.unlike: list[Range] = []

    def receive(self, part: Part) -> None:
        """Write the blocks of a part that are as they should be."""
        part.waiting = 1  # not released before all is begun
        known = self._table.known(part.start, part.length) or b""
        position = part.start
        for run in mendable(part.start, part.length, part.digests, known):
            if run.start > position:
                self.unlike.append((position, run.start))
            self._write(run, part)
            position = run.end
        if position < part.start + part.length:
            self.unlike.append((position, self._block_end(part.start + part.length)))
        self._done_with(part)

    def _write(self, run: Extent, part: Part) -> None:
        part.waiting += 1
        end = self._block_end(run.end)

        def written() -> None:
            self.mended.append((run.start, end))
            self._done_with(part)

        self._image.write(part.filled(run.start, end - run.start), run.start, written)

    def _block_end(self, position: int) -> int:
        """Return the end of a block that ends early where it is mended from."""
        return min(position + -position % BLOCK, self._image.size())

    def _done_with(self, part: Part) -> None:
        part.waiting -= 1
        if not part.waiting:
            self._feed.release(part)

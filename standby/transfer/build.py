"""Making the table of an image that has none."""

from __future__ import annotations

from collections.abc import Sequence

from standby.model.digest import blocks_of
from standby.model.spoilt import Range, overlap
from standby.transfer.connection import ALLOCATION, Role
from standby.transfer.digests import UNKNOWN, digester, entries
from standby.transfer.feed import READERS, Feed, Ledger, Part, Pool
from standby.transfer.scan import (
    AT_FULL_SPEED,
    DigestedDisk,
    Pace,
    Scan,
    wait_for,
)
from standby.transfer.scout import Scout
from standby.transfer.table import Table, Trust


def build_table(
    subject: DigestedDisk, pace: Pace = AT_FULL_SPEED, damaged: Sequence[Range] = ()
) -> None:
    """Read the image and write the digest of each block; durable when it returns.

    Blocks that are known to be `damaged`, ranges of whole blocks, get entries that nothing has:
    who compares them finds them damaged from then on. What the table held before is overwritten.
    While this runs, and when it was interrupted, the table is that of no image: it must not be used
    before this has returned.

    Raises TransferFailed, Cancelled, RepairStore when the table is too small for the image,
    UseOtherStorage when it cannot be written.
    """
    with pace.lines() as lines:
        pool = Pool(1)
        lines.also_close(pool.close)
        image = lines.open(subject.disk, Role.TARGET, subject.image, ALLOCATION)
        line = lines.open(subject.disk, Role.TABLE, subject.digests.endpoint)
        lines.poller()
        cable = lines.cable(image, READERS)
        poller = lines.poller()
        table = Table(line, image.size(), Trust.NOTHING)
        lines.also_close(table.close)
        table.require_writable()
        ledger = Ledger(digester(subject.digests.algorithm), table)
        feed = Feed(Scout(image.size(), image, None), cable, pool, ledger, pace.limiter)
        builder = _Builder(feed, table, damaged)
        Scan(subject.disk, feed, builder, image.size(), pace).run(poller)
        table.take()()
        wait_for(poller, table.finish)
        lines.leave()


class _Builder:
    """Enters the digests of parts."""

    def __init__(self, feed: Feed, table: Table, damaged: Sequence[Range]) -> None:
        self._feed = feed
        self._table = table
        self._damaged = damaged

    def receive(self, part: Part) -> None:
        """Enter the digests; the image is there already, so they need not wait for a flush."""
        digests = bytearray(part.digests)
        for start, end in overlap(self._damaged, [(part.start, part.start + part.length)]):
            where = entries(start - part.start, end - start)
            digests[where] = UNKNOWN * blocks_of(end - start)
        self._table.put(part.start, bytes(digests))
        self._feed.release(part)
        if self._table.crowded():
            self._table.take()()

"""The digests of chosen blocks, without a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from standby.model.digest import BLOCK, DigestAlgorithm
from standby.model.extent import NbdEndpoint
from standby.model.spoilt import Range
from standby.transfer.cable import Cable
from standby.transfer.chosen import ChosenBlocks
from standby.transfer.connection import Role
from standby.transfer.digests import digester, each
from standby.transfer.feed import Feed, Ledger, Part, Pool
from standby.transfer.scan import AT_FULL_SPEED, Pace, Scan


def digests_at(
    disk: str,
    image: NbdEndpoint,
    ranges: Iterable[Range],
    algorithm: DigestAlgorithm,
    pace: Pace = AT_FULL_SPEED,
) -> Mapping[int, bytes]:
    """Return the digest of each block that the ranges touch, by its first byte.

    All of them are in memory: for what is damaged, not for a disk. Raises TransferFailed,
    Cancelled.
    """
    with pace.lines() as lines:
        pool = Pool(1)
        lines.also_close(pool.close)
        connection = lines.open(disk, Role.SOURCE, image)
        poller = lines.poller()
        blocks = ChosenBlocks(ranges, connection.size(), connection.size())
        ledger = Ledger(digester(algorithm))
        feed = Feed(blocks, Cable(connection), pool, ledger, pace.limiter)
        collector = _Collector(feed)
        Scan(disk, feed, collector, blocks.bytes, pace).run(poller)
        lines.leave()
    return collector.found


class _Collector:
    """Keeps the digests of parts."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.found: dict[int, bytes] = {}

    def receive(self, part: Part) -> None:
        """Note the digests of a part's blocks."""
        for number, digest in enumerate(each(part.digests)):
            self.found[part.start + number * BLOCK] = digest
        self._feed.release(part)

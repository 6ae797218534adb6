"""Chosen blocks of a disk, as runs to read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from standby.model.digest import BLOCK
from standby.model.extent import Extent, ExtentKind
from standby.model.spoilt import Range, joined
from standby.transfer.blocks import BlockRanges


class ChosenBlocks:
    """The blocks that some ranges touch, as runs to read, as a scout would give them.

    They are read whatever a server says of holes. `beyond` is what the disk that is read does
    not have.
    """

    def __init__(self, chosen: Iterable[Range], size: int, offered: int) -> None:
        """`size` of the disk that they are of, `offered` of the one that is read, in bytes."""
        marked = BlockRanges(size)
        for start, end in joined(chosen):
            marked.mark(start, min(end, size))
        ranges = marked.ranges()
        self.bytes = sum(end - start for start, end in ranges)
        last = offered + -offered % BLOCK  # a short block counts as filled up with zeroes
        self.beyond = [(max(start, last), end) for start, end in ranges if end > last]
        self.runs = deque(
            Extent(start, min(end, offered) - start, ExtentKind.DATA)
            for start, end in ranges
            if start < offered
        )

    def pump(self) -> None:
        """Do nothing: all is there."""

    def exhausted(self) -> bool:
        """Tell whether every run has been handed out."""
        return not self.runs

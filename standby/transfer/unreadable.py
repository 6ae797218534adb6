"""Verifying an image that cannot be read everywhere: storage that rots answers with errors."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import Final

from standby.errors import TransferFailed
from standby.model.digest import BLOCK
from standby.model.spoilt import Range
from standby.transfer.connection import Role
from standby.transfer.scan import DigestedDisk, Pace
from standby.transfer.verify import OnlyRanges, Verified, VerifyScope, verify_disk

# Attempts after which the storage itself counts as gone, not some blocks of it.
_MOST_ATTEMPTS: Final = 2000


def verify_through(
    subject: DigestedDisk, scope: VerifyScope, size: int, pace: Pace
) -> tuple[Verified, bool]:
    """Verify as `verify_disk`; blocks that cannot be read are damaged. `size` in bytes.

    Returns also whether it read as asked; otherwise the whole image was read, by halves, whatever
    the scope. Raises TransferFailed for anything but errors of reading the image.
    """
    try:
        return verify_disk(subject, scope, pace), True
    except TransferFailed as error:
        if not is_unreadable(error):
            raise
    whole = scope.ranges if isinstance(scope, OnlyRanges) else ((0, size),)
    halving = _Halving(subject, pace)
    for start, end in whole:
        halving.verify((start - start % BLOCK, min(end + -end % BLOCK, size)))
    return halving.found, False


def is_unreadable(error: TransferFailed) -> bool:
    """Tell whether an image could be reached but a range of it not be read, or looked up."""
    of_the_table = error.subject.endswith(Role.TABLE.value)
    return error.errno == errno.EIO and error.offset is not None and not of_the_table


class _Halving:
    """Halves what cannot be read until single blocks remain."""

    def __init__(self, subject: DigestedDisk, pace: Pace) -> None:
        self._subject = subject
        self._pace = pace
        self._left = _MOST_ATTEMPTS
        self.found = Verified(subject.disk, 0, 0, 0, ())

    def verify(self, block: Range) -> None:
        """Verify one range of whole blocks."""
        start, end = block
        self._left -= 1
        try:
            self._add(verify_disk(self._subject, OnlyRanges((block,)), self._pace))
        except TransferFailed as error:
            if not is_unreadable(error) or not self._left:
                raise
            if end - start <= BLOCK:
                self._add(Verified(self._subject.disk, 0, 0, end - start, (block,)))
                return
            middle = start + max((end - start) // 2 // BLOCK, 1) * BLOCK
            self.verify((start, middle))
            self.verify((middle, end))

    def _add(self, found: Verified) -> None:
        self.found = replace(
            self.found,
            read_bytes=self.found.read_bytes + found.read_bytes,
            damaged_bytes=self.found.damaged_bytes + found.damaged_bytes,
            damaged=(*self.found.damaged, *found.damaged),
        )

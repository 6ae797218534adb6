"""A disk's table of digests, read and written by range while the disk is copied."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import groupby
from typing import Final

from standby.errors import RepairStore, UseOtherStorage
from standby.model.digest import BLOCK, DIGEST_BYTES, table_bytes
from standby.transfer.buffers import Buffer, Loan
from standby.transfer.connection import Connection, Done
from standby.transfer.digests import UNKNOWN, ZERO, each, entries

# What is read and written of a table at least: a cluster of its image, 16 MiB of the disk.
PAGE: Final = 4096
# A part of the table that is worked on at a time, at most 64 KiB: 256 MiB of the disk.
_SHEET: Final = 16 * PAGE
SPAN: Final = _SHEET // DIGEST_BYTES * BLOCK
_COVERED: Final = PAGE // DIGEST_BYTES * BLOCK  # what a page tells of: 16 MiB of the disk
# Digests of blocks that are written but not yet durable, kept in memory: 32 GiB of the disk.
_KEPT: Final = 8 * 1024 * 1024
_IN_FLIGHT: Final = 8  # writes


class Trust(Enum):
    """What is taken for granted of a table before the copy."""

    NOTHING = "nothing"  # it is not read; every block of the disk gets its entry anew
    BLANK = "blank"  # image and table are new and read as zeroes
    STORED = "stored"  # what stands in it is what the image holds
    DIFFERING = "differing"  # the same, and the copy may go on after an interruption
    UNFINISHED = "unfinished"  # as STORED, but where it has zeroes the image may hold anything


# Those of a copy that can go on after an interruption.
_RESUMABLE: Final = (Trust.BLANK, Trust.DIFFERING, Trust.UNFINISHED)
# Those of a copy over blocks whose entries stand in the table already.
_OVERWRITING: Final = (Trust.DIFFERING, Trust.UNFINISHED)
# How much of a copy an interruption costs, in seconds; besides, the last span.
_STORE_EVERY: Final = 5.0
_BLANK: Final = bytes(PAGE)


@dataclass(slots=True)
class Sheet:
    """The entries of one span of the disk. Pages are bits of a mask."""

    number: int
    entries: Buffer
    asked: int = 0  # pages
    present: int = 0
    changed: int = 0
    stored: int = 0  # in which something stood
    retracted: int = 0  # in which nothing stands any more
    users: int = 0  # parts of the disk that are on their way
    waiting: list[tuple[int, Done]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Some pages that are to be written; no data means zeroes."""

    offset: int
    length: int
    data: bytes | None


class Table:
    """The table of one disk.

    A part of the disk is first announced (`hold`), which fetches its entries, and let go of when
    its data is written. The entries of finished spans are kept until `take` and `write` store
    them: the caller flushes the disk in between, so that no digest is ever durable before the
    block it stands for.
    """

    def __init__(self, line: Connection, disk_bytes: int, trust: Trust) -> None:
        """Take up the table of a disk. Raises RepairStore when it is too small for it."""
        self._line = line
        self._trust = trust
        self._disk_bytes = disk_bytes
        self._require_fit()
        self._sheets: dict[int, Sheet] = {}
        self._passed = 0  # every sheet below is retired when its last user lets go
        self._loan = Loan()
        self._kept: deque[_Stretch] = deque()
        self._outgoing: deque[_Stretch] = deque()
        self._kept_bytes = 0
        self._next = time.monotonic() + _STORE_EVERY
        self._writing = 0
        self._wrote = False
        self._finished: Done | None = None

    def _require_fit(self) -> None:
        needed = table_bytes(self._disk_bytes)
        if self._line.size() < needed:
            raise RepairStore(
                self._line.where, f"{self._line.size()} bytes", f"at least {needed} bytes"
            )

    def require_writable(self) -> None:
        """Raise UseOtherStorage unless the table can be written as digests must be."""
        if lacking := self._line.lacks():
            raise UseOtherStorage(self._line.where, f"the server offers no {lacking[0]}")

    def close(self) -> None:
        """Give up what is in memory; the connection will not move again."""
        self._loan.end()

    # The entries of parts of the disk.

    def hold(self, start: int, length: int, ready: Done) -> None:
        """Announce a part, within one span: `ready` is called when its entries are there."""
        self._pass(start // SPAN)
        sheet = self._sheet(start // SPAN)
        sheet.users += 1
        needed = _pages(start, length)
        if needed & ~sheet.asked:
            self._fetch(sheet, needed & ~sheet.asked)
        if needed & ~sheet.present:
            sheet.waiting.append((needed, ready))
        else:
            ready()

    def known(self, start: int, length: int) -> bytes | None:
        """Return the entries of a part that is held; None when nothing is known."""
        if self._trust is Trust.NOTHING:
            return None
        stored = bytes(self._sheet(start // SPAN).entries[_within(start, length)])
        return _doubted(stored) if self._trust is Trust.UNFINISHED else stored

    def retract(self, start: int, length: int, done: Done) -> None:
        """Call `done` when blocks of a part that is held may be written.

        In a table that may be read again after an interruption, no entry may go on standing for
        a block that is overwritten: its page is zeroed first, and written anew in the end.
        """
        sheet = self._sheet(start // SPAN)
        pages = _pages(start, length) & ~sheet.retracted
        if self._trust not in _OVERWRITING or not pages & sheet.stored:
            done()
            return
        sheet.changed |= pages
        runs = list(_runs(pages))

        def zeroed() -> None:
            runs.pop()
            if not runs:
                self._line.flush(durable)

        def durable() -> None:
            sheet.retracted |= pages
            done()

        for begin, end in tuple(runs):
            self._line.zero(sheet.number * _SHEET + begin * PAGE, (end - begin) * PAGE, zeroed)

    def put(self, start: int, digests: bytes) -> None:
        """Change the entries of a part that is held."""
        sheet = self._sheet(start // SPAN)
        length = len(digests) // DIGEST_BYTES * BLOCK
        sheet.entries[_within(start, length)] = digests
        sheet.changed |= _pages(start, length)

    def let_go(self, start: int) -> None:
        """Note that a part that was held is written, or needed no writing."""
        sheet = self._sheet(start // SPAN)
        sheet.users -= 1
        if not sheet.users and sheet.number < self._passed:
            self._retire(sheet)

    def _sheet(self, number: int) -> Sheet:
        sheet = self._sheets.get(number)
        if sheet is None:
            sheet = self._sheets[number] = Sheet(number, self._loan.take(_SHEET))
            sheet.entries[:] = bytes(_SHEET)
            if self._trust in (Trust.NOTHING, Trust.BLANK):
                sheet.asked = sheet.present = -1  # every page
        return sheet

    def _fetch(self, sheet: Sheet, missing: int) -> None:
        sheet.asked |= missing
        for begin, end in _runs(missing):
            pages = _mask(begin, end)
            self._line.read(
                sheet.entries.view(begin * PAGE, (end - begin) * PAGE),
                sheet.number * _SHEET + begin * PAGE,
                partial(self._fetched, sheet, pages),
            )

    def _fetched(self, sheet: Sheet, pages: int) -> None:
        sheet.present |= pages
        sheet.stored |= sum(1 << page for page in _bits(pages) if not _is_blank(sheet, page))
        waiting, sheet.waiting = sheet.waiting, []
        for needed, ready in waiting:
            if needed & ~sheet.present:
                sheet.waiting.append((needed, ready))
            else:
                ready()

    # From finished sheets to what is stored.

    def _pass(self, number: int) -> None:
        """Parts come in the order of the disk: what lies before the span is finished."""
        if number > self._passed:
            self._passed = number
            for sheet in [s for s in self._sheets.values() if s.number < number and not s.users]:
                self._retire(sheet)

    def _retire(self, sheet: Sheet) -> None:
        del self._sheets[sheet.number]
        for begin, end in _runs(sheet.changed):
            for stretch in _stretches(sheet, begin, end):
                self._kept.append(stretch)
                self._kept_bytes += stretch.length if stretch.data is not None else 0
        self._loan.give_back(sheet.entries)

    def crowded(self) -> bool:
        """Tell whether it is time to flush the disk, `take` and `write`."""
        if not self._kept or self._outgoing:
            return False
        overdue = self._trust in _RESUMABLE and time.monotonic() >= self._next
        return overdue or self._kept_bytes >= _KEPT

    def full(self) -> bool:
        """Tell whether no more should be held until something was written."""
        return self._kept_bytes >= 2 * _KEPT

    def take(self) -> Callable[[], None]:
        """Return what writes all that is finished now, to be called when the disk is flushed."""
        stretches, self._kept = self._kept, deque()
        self._next = time.monotonic() + _STORE_EVERY

        def write() -> None:
            self._outgoing.extend(stretches)
            self._send()

        return write

    def _send(self) -> None:
        while self._outgoing and self._writing < _IN_FLIGHT:
            self._write(self._outgoing.popleft())

    def _write(self, stretch: _Stretch) -> None:
        self._writing += 1
        self._wrote = True
        if stretch.data is None:
            self._line.zero(stretch.offset, stretch.length, self._written)
            return
        self._kept_bytes -= stretch.length
        buffer = self._loan.take(_SHEET)
        view = buffer.view(0, stretch.length)
        view[:] = stretch.data
        self._line.write(view, stretch.offset, partial(self._written, buffer))

    def _written(self, buffer: Buffer | None = None) -> None:
        if buffer is not None:
            self._loan.give_back(buffer)
        self._writing -= 1
        self._send()
        if self._finished is not None:
            self._end()
        elif not self._writing and self._trust in _RESUMABLE:
            self._line.flush(_nothing)  # what a server has not flushed is lost with it

    def pass_all(self) -> None:
        """Note that no part will follow."""
        self._pass(self._disk_bytes // SPAN + 1)

    def finish(self, done: Done) -> None:
        """Make what was written durable, then call `done`."""
        self._finished = done
        self._end()

    def _end(self) -> None:
        if self._finished is None or self._writing or self._outgoing:
            return
        done, self._finished = self._finished, None
        if self._wrote:
            self._line.flush(done)
        else:
            done()


def _doubted(stored: bytes) -> bytes:
    """Return entries with zeroes replaced by what no block has."""
    if ZERO not in stored:
        return stored
    return b"".join(UNKNOWN if digest == ZERO else digest for digest in each(stored))


def _nothing() -> None:
    """Go on: nobody waits."""


def _within(start: int, length: int) -> slice:
    return entries(start % SPAN, length)


def _pages(start: int, length: int) -> int:
    """Return the mask of the pages that hold the entries of a part, in its span's sheet."""
    begin = start % SPAN
    return _mask(begin // _COVERED, (begin + length - 1) // _COVERED + 1)


def _mask(begin: int, end: int) -> int:
    return (1 << end) - (1 << begin)


def _bits(mask: int) -> Iterator[int]:
    return (page for begin, end in _runs(mask) for page in range(begin, end))


def _runs(mask: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of set bits, as first and one after the last."""
    begin = 0
    while mask >> begin:
        if mask >> begin & 1:
            end = begin
            while mask >> end & 1:
                end += 1
            yield begin, end
            begin = end
        else:
            begin += 1


def _is_blank(sheet: Sheet, page: int) -> bool:
    return sheet.entries[page * PAGE : (page + 1) * PAGE] == _BLANK


def _stretches(sheet: Sheet, begin: int, end: int) -> Iterator[_Stretch]:
    """Yield pages as they are to be stored: those of zeroes alone stay thin."""
    for zero, run in groupby(range(begin, end), partial(_is_blank, sheet)):
        pages = list(run)
        first, length = pages[0] * PAGE, len(pages) * PAGE
        data = None if zero else bytes(sheet.entries[first : first + length])
        yield _Stretch(sheet.number * _SHEET + first, length, data)

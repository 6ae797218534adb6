"""One disk's way from source to target."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from standby.errors import RepairStore, UseOtherStorage
from standby.model.digest import blocks_of
from standby.model.extent import Extent, ExtentKind
from standby.model.spoilt import Range, overlap
from standby.transfer.connection import Connection
from standby.transfer.digests import UNKNOWN, entries
from standby.transfer.feed import Feed, Part, Pool, parts
from standby.transfer.job import CopyResult, DiskCopy, ZeroPolicy
from standby.transfer.rate import Limit
from standby.transfer.sieve import by_content, by_digests
from standby.transfer.table import Table


@dataclass(frozen=True, slots=True)
class _Piece:
    """One request to the target that waits for its turn."""

    run: Extent
    part: Part


class Lane:
    """Copies one disk: what the feed brings is sieved, written, and flushed at the end.

    Everything happens in `pump` and in what the connections deliver; nothing here waits.
    """

    def __init__(
        self,
        copy: DiskCopy,
        feed: Feed,
        ends: tuple[Connection, Connection],
        pool: Pool,
        table: Table | None = None,
        limit: Limit | None = None,
    ) -> None:
        """Both `ends`, source and target, are ready. Raises RepairStore, UseOtherStorage."""
        source, self._target = ends
        self._copy = copy
        self._leaves_out_zeroes = copy.zeroes is ZeroPolicy.LEAVE_OUT
        self._feed = feed
        self._pool = pool
        self._table = table
        self._limit = limit
        self._size = source.size()
        self._require_fit()
        self._outgoing: deque[_Piece] = deque()
        self._flushing = False
        self._done_bytes = 0
        self._sent = dict.fromkeys(ExtentKind, 0)
        self._unchanged_bytes = 0
        self._read_bytes = 0
        self._started = time.monotonic()
        self._seconds: float | None = None

    def _require_fit(self) -> None:
        if self._target.size() < self._size:
            raise RepairStore(
                self._target.where, f"{self._target.size()} bytes", f"at least {self._size} bytes"
            )
        if lacking := self._target.lacks():
            raise UseOtherStorage(self._target.where, f"the server offers no {lacking[0]}")

    def finished(self) -> bool:
        """Tell whether everything is written and flushed."""
        return self._seconds is not None

    def result(self) -> CopyResult:
        """Return what was moved."""
        return CopyResult(
            self._copy.disk,
            self._sent[ExtentKind.DATA],
            self._sent[ExtentKind.ZERO],
            self._seconds if self._seconds is not None else 0.0,
            self._unchanged_bytes,
            self._read_bytes,
        )

    def progress(self) -> tuple[str, int, int]:
        """Return disk, bytes done, bytes in all."""
        expected = self._copy.expected
        total = self._size if expected is None else expected.total_bytes
        if self.finished():
            total = self._done_bytes
        return self._copy.disk, self._done_bytes, max(total, self._done_bytes)

    def pump(self) -> float | None:
        """Start what can start; return the seconds the rate limits ask for, if any."""
        pauses = (self._feed.pump(self), self._send())
        if not self._flushing and self._feed.exhausted():
            self._flushing = True
            self._target.flush(self._flushed)
        elif not self._flushing and self._table is not None and self._table.crowded():
            self._flushing = True
            self._target.flush(self._store(self._table))
        return min((pause for pause in pauses if pause is not None), default=None)

    # From parts to pieces.

    def receive(self, part: Part) -> None:
        """Take what was read, and send what of it the target does not have."""
        self._read_bytes += 0 if part.buffer is None else part.length
        leave_out = self._leaves_out_zeroes
        runs = [r for r in self._sieve(part) if r.kind is ExtentKind.DATA or not leave_out]
        left = part.length - sum(run.length for run in runs)
        self._unchanged_bytes += 0 if leave_out else left
        self._done_bytes += left
        if runs:
            self._replace(part, runs)
        else:
            self._feed.release(part)

    def _replace(self, part: Part, runs: Sequence[Extent]) -> None:
        part.waiting = 1  # not released before all of it is queued

        def begin() -> None:
            for run in runs:
                self._queue(run, part)
            self._done_with(part)

        if self._table is None:
            begin()
        else:
            self._table.retract(part.start, part.length, begin)

    def _sieve(self, part: Part) -> Iterable[Extent]:
        if self._table is None:
            if part.buffer is None:
                return (Extent(part.start, part.length, ExtentKind.ZERO),)
            return by_content(part.start, part.view(part.start, part.length))
        known = _forgotten(self._table.known(part.start, part.length), part, self._copy.again)
        digests = part.digests
        if digests == known:
            return ()
        self._table.put(part.start, digests)
        return by_digests(part.start, part.length, digests, known)

    def _queue(self, run: Extent, part: Part) -> None:
        longest = run.length if run.kind is ExtentKind.ZERO else self._longest_write()
        for offset, length in parts(run.start, run.length, longest):
            part.waiting += 1
            self._outgoing.append(_Piece(Extent(offset, length, run.kind), part))

    def _longest_write(self) -> int:
        longest = self._target.longest()
        if self._limit is not None:
            longest = min(longest, self._limit.piece)
        unit = self._target.alignment()
        return max(longest - longest % unit, unit)

    def _done_with(self, part: Part) -> None:
        part.waiting -= 1
        if not part.waiting:
            self._feed.release(part)

    # From pieces to writes.

    def _send(self) -> float | None:
        while self._outgoing:
            run = self._outgoing[0].run
            if run.kind is ExtentKind.DATA and self._limit is not None:
                pause = self._limit.wait_before(run.length)
                if pause:
                    return pause
            self._send_piece(self._outgoing.popleft())
        return None

    def _send_piece(self, piece: _Piece) -> None:
        run = piece.run
        length = self._padded(run)
        if run.kind is ExtentKind.ZERO:
            self._target.zero(run.start, length, lambda: self._written(piece))
        else:
            view = piece.part.filled(run.start, length)
            self._target.write(view, run.start, lambda: self._written(piece))

    def _padded(self, run: Extent) -> int:
        """Return the length, at the end of the disk rounded up to what the target can write."""
        if run.end < self._size:
            return run.length
        return run.length + -run.end % self._target.alignment()

    def _written(self, piece: _Piece) -> None:
        self._sent[piece.run.kind] += piece.run.length
        self._done_bytes += piece.run.length
        self._done_with(piece.part)

    # Making it durable: first the blocks, then their digests.

    def _store(self, table: Table) -> Callable[[], None]:
        write = table.take()

        def flushed() -> None:
            self._flushing = False
            write()

        return flushed

    def _flushed(self) -> None:
        if self._table is None:
            self._finish()
        else:
            self._table.take()()
            self._table.finish(self._finish)

    def _finish(self) -> None:
        self._seconds = time.monotonic() - self._started
        self._pool.leave()


def _forgotten(known: bytes | None, part: Part, again: Sequence[Range]) -> bytes | None:
    """Return what is known of a part's blocks, but for those that are to be sent again."""
    if known is None or not again:
        return known
    blocks = overlap(again, [(part.start, part.start + part.length)])
    doubted = bytearray(known)
    for start, end in blocks:
        place = entries(start - part.start, end - start)
        doubted[place] = UNKNOWN * blocks_of(end - start)
    return bytes(doubted)

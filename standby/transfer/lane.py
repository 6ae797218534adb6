"""One worker's way for one disk, from source to target."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from standby.model.extent import Extent, ExtentKind
from standby.transfer.connection import Connection
from standby.transfer.job import ZeroPolicy
from standby.transfer.rate import RateLimit
from standby.transfer.scout import Scout
from standby.transfer.sieve import sieve

# Bytes of a buffer, and of a write: each write costs a qcow2 target an update of its tables.
REQUEST = 1024 * 1024
# Bytes of a read: a server makes a fresh buffer for each, which is cheapest when it is small.
_READ = 512 * 1024
_ZEROES_IN_FLIGHT = 16
# A server that cannot zero efficiently writes: this much is done before a stall is suspected.
_LONGEST_ZERO = 128 * 1024 * 1024

# What bounds the memory; a worker keeps them for all its disks.
Buffers = list[bytearray]


@dataclass(slots=True)
class Tally:
    """What one lane has done so far, in bytes and seconds of the monotonic clock.

    Written by one thread; others may read it at any time.
    """

    done_bytes: int = 0  # data and zeroes, those left out included
    data_bytes: int = 0
    zero_bytes: int = 0
    begun: float | None = None
    ended: float | None = None


@dataclass(slots=True)
class _Batch:
    """A buffer on its way. `waiting` counts requests that use it and are not done."""

    start: int
    buffer: bytearray
    length: int  # bytes of it in use
    waiting: int = 0

    def view(self, start: int, length: int) -> memoryview:
        """Return the part that holds `length` bytes of the disk from `start`."""
        begin = start - self.start
        return memoryview(self.buffer)[begin : begin + length]


@dataclass(frozen=True, slots=True)
class _Piece:
    """One request to the target that waits for its turn; no batch means zeroes."""

    start: int
    length: int
    batch: _Batch | None


class Lane:
    """Takes runs from a scout: read, sieved, written, and flushed at the end.

    Everything happens in `pump` and in what the connections deliver; nothing here waits.
    """

    def __init__(
        self,
        scout: Scout,
        ends: tuple[Connection, Connection],
        zeroes: ZeroPolicy,
        means: tuple[Buffers, RateLimit | None],
        tally: Tally,
    ) -> None:
        """Take source and target, ready and found fit; `means` are shared with others."""
        self._scout = scout
        self._source, self._target = ends
        self._policy = zeroes
        self._buffers, self._limit = means
        self._tally = tally
        self._size = self._source.size()
        self._longest_read = min(self._source.longest(), _READ)
        self._run: Extent | None = None
        self._outgoing: deque[_Piece] = deque()
        self._batches = 0
        self._zeroes = 0  # requests, waiting or in flight
        self._flushing = False
        tally.begun = time.monotonic()

    def finished(self) -> bool:
        """Tell whether everything is written and flushed."""
        return self._tally.ended is not None

    def pump(self) -> float | None:
        """Start what can start; return the seconds the rate limit asks for, if any."""
        self._scout.pump()
        self._take_runs()
        pause = self._send()
        if self._idle() and not self._flushing:
            self._flushing = True
            self._target.flush(self._flushed)
        return pause

    def _idle(self) -> bool:
        """Tell whether all is written; what waits in _outgoing is counted as well."""
        busy = self._run is not None or self._batches or self._zeroes
        return not busy and self._scout.exhausted()

    def _flushed(self) -> None:
        self._tally.ended = time.monotonic()

    # From runs to reads and pieces.

    def _take_runs(self) -> None:
        while self._next_run() and self._take_part():
            pass

    def _next_run(self) -> bool:
        while self._run is None and self._scout.runs:
            self._run = self._scout.runs.popleft()
            if self._run.kind is ExtentKind.ZERO and self._policy is ZeroPolicy.LEAVE_OUT:
                self._tally.done_bytes += self._run.length
                self._run = None
        return self._run is not None

    def _take_part(self) -> bool:
        """Begin the next part of the run; False when there is no room for it now."""
        run = self._run
        if run is None:
            return False
        if run.kind is ExtentKind.DATA:
            if not self._buffers:
                return False
            length = min(run.length, REQUEST)
            self._read(_Batch(run.start, self._buffers.pop(), length))
        else:
            if self._zeroes >= _ZEROES_IN_FLIGHT:
                return False
            length = min(run.length, _LONGEST_ZERO)
            self._queue(_Piece(run.start, self._padded(run.start, length), None))
        rest = run.length - length
        self._run = Extent(run.start + length, rest, run.kind) if rest else None
        return True

    def _padded(self, start: int, length: int) -> int:
        """Return `length`, at the end of the disk rounded up to what the target can write."""
        if start + length < self._size:
            return length
        return length + -(start + length) % self._target.alignment()

    def _read(self, batch: _Batch) -> None:
        self._batches += 1
        for offset, part in _parts(batch.start, batch.length, self._longest_read):
            batch.waiting += 1
            self._source.read(batch.view(offset, part), offset, lambda: self._was_read(batch))

    def _was_read(self, batch: _Batch) -> None:
        batch.waiting -= 1
        if batch.waiting:
            return
        padded = self._padded(batch.start, batch.length)
        batch.buffer[batch.length : padded] = bytes(padded - batch.length)
        batch.length = padded
        for run in sieve(batch.start, batch.view(batch.start, padded)):
            self._queue_run(run, batch)
        if not batch.waiting:  # all of it was left out
            self._release(batch)

    def _queue_run(self, run: Extent, batch: _Batch) -> None:
        if run.kind is ExtentKind.DATA:
            for offset, part in _parts(run.start, run.length, self._longest_write()):
                batch.waiting += 1
                self._queue(_Piece(offset, part, batch))
        elif self._policy is ZeroPolicy.WRITE:
            self._queue(_Piece(run.start, run.length, None))
        else:
            self._tally.done_bytes += self._within(run.start, run.length)

    def _longest_write(self) -> int:
        longest = self._target.longest()
        if self._limit is not None:
            longest = min(longest, self._limit.piece)
        unit = self._target.alignment()
        return max(longest - longest % unit, unit)

    def _queue(self, piece: _Piece) -> None:
        self._zeroes += piece.batch is None
        self._outgoing.append(piece)

    # From pieces to writes.

    def _send(self) -> float | None:
        while self._outgoing:
            piece = self._outgoing[0]
            if piece.batch is not None and self._limit is not None:
                pause = self._limit.wait_before(piece.length)
                if pause:
                    return pause
            self._outgoing.popleft()
            self._send_piece(piece)
        return None

    def _send_piece(self, piece: _Piece) -> None:
        batch = piece.batch
        if batch is None:
            self._target.zero(piece.start, piece.length, lambda: self._zeroed(piece))
        else:
            view = batch.view(piece.start, piece.length)
            self._target.write(view, piece.start, lambda: self._written(piece, batch))

    def _zeroed(self, piece: _Piece) -> None:
        self._zeroes -= 1
        length = self._within(piece.start, piece.length)
        self._tally.zero_bytes += length
        self._tally.done_bytes += length

    def _written(self, piece: _Piece, batch: _Batch) -> None:
        length = self._within(piece.start, piece.length)
        self._tally.data_bytes += length
        self._tally.done_bytes += length
        batch.waiting -= 1
        if not batch.waiting:
            self._release(batch)

    def _release(self, batch: _Batch) -> None:
        self._batches -= 1
        self._buffers.append(batch.buffer)

    def _within(self, start: int, length: int) -> int:
        return min(length, self._size - start)


def _parts(start: int, length: int, longest: int) -> Iterator[tuple[int, int]]:
    for offset in range(0, length, longest):
        yield start + offset, min(longest, length - offset)

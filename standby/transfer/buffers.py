"""The buffers of requests, made once and lent again and again.

libnbd's Python (seen in 1.14) keeps a reference to whatever object it was given to read into or
to write from, for as long as the process lives. So it must be the same few objects every time,
however much is copied and however often: the buffers, and their views too.
"""

from __future__ import annotations

from threading import Lock
from typing import Final


class Buffer(bytearray):
    """Bytes whose views are the same objects each time that they are asked for."""

    __slots__ = ("_views",)

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._views: dict[tuple[int, int], memoryview] = {}

    def view(self, begin: int, length: int) -> memoryview:
        """Return `length` bytes from `begin`."""
        view = self._views.get((begin, length))
        if view is None:
            view = self._views[begin, length] = memoryview(self)[begin : begin + length]
        return view


class _Stock:
    """All buffers of the process that nobody uses; any thread may ask."""

    def __init__(self) -> None:
        self._free: dict[int, list[Buffer]] = {}
        self._lock = Lock()

    def take(self, size: int) -> Buffer:
        with self._lock:
            free = self._free.setdefault(size, [])
            return free.pop() if free else Buffer(size)

    def give_back(self, buffer: Buffer) -> None:
        with self._lock:
            self._free[len(buffer)].append(buffer)


_STOCK: Final = _Stock()


class Loan:
    """The buffers of one user, which is one thread; `end` gives back what is still out."""

    def __init__(self) -> None:
        self._out: dict[int, Buffer] = {}

    def take(self, size: int) -> Buffer:
        """Return a buffer that nobody else uses; what it holds is left over from others."""
        buffer = _STOCK.take(size)
        self._out[id(buffer)] = buffer
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """Return a buffer that no request uses any more."""
        _STOCK.give_back(self._out.pop(id(buffer)))

    def end(self) -> None:
        """Return all; the connections that used them are closed or will not move again."""
        while self._out:
            _STOCK.give_back(self._out.popitem()[1])

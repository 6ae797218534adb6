"""Whether something is in use, and since when it is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


class LastUse:
    """Counts those who use something. May be shared by threads."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        """`steady` returns seconds, never falling."""
        self._steady = steady
        self._lock = threading.Lock()
        self._users = 0
        self._at = steady()

    @contextmanager
    def one(self) -> Generator[None]:
        """Use it meanwhile."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._at = self._steady()

    def touch(self) -> None:
        """Use it for a moment."""
        with self._lock:
            self._at = self._steady()

    @property
    def idle_for(self) -> float | None:
        """Seconds for which nobody has used it; None while somebody does."""
        with self._lock:
            return None if self._users else self._steady() - self._at

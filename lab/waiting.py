"""Waiting for a condition, never for a time."""

import time
from collections.abc import Callable

from lab.errors import TimedOut

_PAUSE = 0.05


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float, pause: float = _PAUSE
) -> None:
    """Return as soon as `condition` holds; raises TimedOut after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimedOut(what, seconds)
        time.sleep(pause)

"""The limit that all transfers of this process share, whatever their profiles allow."""

from __future__ import annotations

import threading

from standby.model.window import RateByDay
from standby.profile import Configuration
from standby.transfer.rate import RateLimit


class Overall:
    """One limit for a session and all beside it. It follows the settings it was last given."""

    def __init__(self) -> None:
        self._limit = RateLimit(RateByDay())
        self._known = threading.Event()

    def follow(self, bandwidth: RateByDay) -> None:
        """Hold this from now on, also for what is under way."""
        self._limit.change(bandwidth)
        self._known.set()

    def of(self, configuration: Configuration) -> RateLimit:
        """Return the limit; where nobody said what it is, the manager's settings do.

        Raises ProfileMistakes when those are wrong.
        """
        if not self._known.is_set():
            self.follow(configuration.manager().bandwidth)
        return self._limit

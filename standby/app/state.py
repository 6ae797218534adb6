"""Where the manager keeps what it remembers on its own disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The files of one management host; nothing in it is needed to protect a machine."""

    path: Path

    @property
    def database(self) -> Path:
        """The history."""
        return self.path / "history.db"

    @property
    def logs(self) -> Path:
        """Logs of runs, in directories by the beginning of their ids."""
        return self.path / "logs"

    @property
    def recorders(self) -> Path:
        """A locked file for each process that records runs."""
        return self.path / "recorders"

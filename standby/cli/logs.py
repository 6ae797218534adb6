"""Logs of a command: to standard error, as much as whoever reads it wants."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from enum import Enum

from standby.profile.zone import local_zone

_PHASES = "standby.cycle"  # the logger of phases
_SSH_LIBRARY = "paramiko"
_LINE = "%(asctime)s %(levelname)s %(message)s"


class Verbosity(Enum):
    """How much is logged, as a level of `logging`."""

    WARNINGS = logging.WARNING  # a terminal, where phases are shown otherwise
    PHASES = logging.INFO  # a pipe or a journal: one line for each phase
    EVERYTHING = logging.DEBUG  # --verbose


class _LocalTime(logging.Formatter):
    """Local time with its offset from UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        moment = datetime.fromtimestamp(record.created, local_zone())
        return moment.isoformat(timespec="seconds") if datefmt is None else moment.strftime(datefmt)


def _is_ours_to_tell(record: logging.LogRecord) -> bool:
    """Leave out the inner life of paramiko: its packets say nothing that our commands do not."""
    return not record.name.startswith(_SSH_LIBRARY) or record.levelno >= logging.INFO


def _not_said_again(record: logging.LogRecord) -> bool:
    """Leave out a phase's failure on a terminal, where the command ends with that very error."""
    return record.name != _PHASES


def wanted(*, verbose: bool) -> Verbosity:
    """Return how much to log to standard error as it is."""
    if verbose:
        return Verbosity.EVERYTHING
    return Verbosity.WARNINGS if sys.stderr.isatty() else Verbosity.PHASES


def start_logging(verbosity: Verbosity) -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LocalTime(_LINE))
    handler.addFilter(_is_ours_to_tell)
    if verbosity is Verbosity.WARNINGS:
        handler.addFilter(_not_said_again)
    handler.setLevel(verbosity.value)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Phases are logged whatever is shown here: each run has a log of its own that wants them.
    logging.getLogger("standby").setLevel(min(verbosity.value, Verbosity.PHASES.value))


def phases_are_shown() -> bool:
    """Tell whether phases go to standard error as lines."""
    shown = (it for it in logging.getLogger().handlers if isinstance(it.formatter, _LocalTime))
    return any(it.level <= Verbosity.PHASES.value for it in shown)

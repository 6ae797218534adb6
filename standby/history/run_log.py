"""The log of one run: a file of bounded size that keeps its beginning and its end.

What lies between goes first: how a run began and why it ended is what people look for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from standby.history.private import make_private, open_private

LIMIT: Final = 4 << 20  # bytes of a log, about
LEFT_OUT: Final = "... here lines are left out, since the log became too long ...\n"
# What a guest's script prints must not command the terminal of whoever reads the log.
_VISIBLE: Final = {n: f"\\x{n:02x}" for n in (*range(32), *range(127, 160)) if chr(n) not in "\n\t"}
_TAILS: Final = (".older", ".newer")  # the end: the newer is begun anew when it is full


class RunLog(logging.Handler):
    """Writes what the loggers say of one run. It never raises: a full disk costs lines only."""

    def __init__(
        self, path: Path, belongs: Callable[[logging.LogRecord], bool], limit: int = LIMIT
    ) -> None:
        """Ask `belongs`, in the thread that says something, whether that is about the run."""
        super().__init__()
        self.path = path
        self.lost_lines = 0
        self.trouble = ""
        self._belongs = belongs
        self._head, self._tail = limit // 2, limit // 4
        self._left = self._head
        self._file: IO[bytes] | None = None
        self.setFormatter(_Line())

    def filter(self, record: logging.LogRecord) -> bool:
        """Take only what is said of this run."""
        return self._belongs(record) and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or several."""
        line = (self.format(record) + "\n").encode(errors="replace")
        try:
            self._write(line)
        except OSError as error:
            self.lost_lines += 1
            self.trouble = str(error)

    def say(self, level: int, text: str) -> None:
        """Write a line of our own, for whoever reads this log alone."""
        self.handle(logging.LogRecord("standby", level, "", 0, text, None, None))

    def close(self) -> None:
        """Close the file."""
        super().close()
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()

    def _write(self, line: bytes) -> None:
        if self._file is None:
            make_private(self.path.parent.parent)
            make_private(self.path.parent)
            self._file = _opened(self.path, os.O_APPEND)
        if len(line) > self._left:
            self._go_on_in_tail()
        self._file.write(line[: self._tail])
        self._left -= len(line)

    def _go_on_in_tail(self) -> None:
        older, newer = _tails(self.path)
        if newer.exists():
            newer.replace(older)
        file, self._file = self._file, None  # if the next cannot be opened, the first goes on
        if file is not None:
            file.close()
        self._file = _opened(newer, os.O_TRUNC)
        self._left = self._tail


def log_path(directory: Path, run_id: str) -> Path:
    """Return where the log of a run lies: never too many in one directory."""
    return directory / run_id[:2] / f"{run_id}.log"


def read_log(path: Path) -> Iterator[str]:
    """Yield the lines of a log, also of a run that is under way. Raises OSError."""
    yield from _lines(path)
    tails = [it for it in _tails(path) if it.exists()]
    if tails:
        yield LEFT_OUT
    for tail in tails:
        yield from _lines(tail)


def remove_log(path: Path) -> None:
    """Remove a log, if it is there and can be removed."""
    for file in (path, *_tails(path)):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def remove_old_logs(directory: Path, before: datetime) -> None:
    """Remove files that nobody wrote to since: logs whose runs are in no history any more."""
    limit = before.timestamp()
    with suppress(OSError):
        for file in directory.iterdir():
            if file.stat().st_mtime < limit:
                file.unlink(missing_ok=True)


def _tails(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(path.name + suffix) for suffix in _TAILS)


def _opened(path: Path, how: int) -> IO[bytes]:
    return os.fdopen(open_private(path, os.O_WRONLY | how), "wb", buffering=0)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        yield from file


class _Line(logging.Formatter):
    """One line: UTC, how grave, what. A message of several lines goes on indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record down."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        text = super().format(record).replace("\n", "\n    ")
        return f"{moment.replace('+00:00', 'Z')} {record.levelname} {text.translate(_VISIBLE)}"

"""Which line of the log belongs to which run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from standby.app.recorder import RunRecorder
from standby.history.run_log import RunLog
from standby.model.run import Run

log = logging.getLogger("standby.history")

_SSH_LIBRARY: Final = "paramiko"

_of_thread: ContextVar[str] = ContextVar("run", default="")
_under_way: set[str] = set()
_lock: Final = threading.Lock()


@contextmanager
def logged(recorder: RunRecorder, path: Path) -> Generator[None]:
    """Write what is said of a run, by this thread and those that help it, to a file of its own.

    Threads that serve every run belong to none of them, unless there is only one.
    """
    run_id = recorder.run.id

    def belongs(record: logging.LogRecord) -> bool:
        speaks = _of_thread.get()
        ours = speaks == run_id or (not speaks and _under_way == {run_id})
        return ours and not _is_small_talk(record)

    file = RunLog(path, belongs)
    root, token = logging.getLogger(), _of_thread.set(run_id)
    with _lock:
        _under_way.add(run_id)
    root.addHandler(file)
    file.say(logging.INFO, _beginning(recorder.run))
    try:
        yield
    finally:
        file.say(*_end(recorder.run))
        root.removeHandler(file)
        with _lock:
            _under_way.discard(run_id)
        _of_thread.reset(token)
        file.close()
        if file.lost_lines:
            log.warning("%d lines of the log %s are lost: %s", file.lost_lines, path, file.trouble)


def _is_small_talk(record: logging.LogRecord) -> bool:
    """Tell the inner life of libraries, which says nothing that our commands do not."""
    return record.name.startswith(_SSH_LIBRARY) and record.levelno < logging.INFO


def _beginning(run: Run) -> str:
    why = f": {run.reason}" if run.reason else ""
    return f"{run.kind.value} of {run.profile} begins ({run.cause.value}){why}"


def _end(run: Run) -> tuple[int, str]:
    if run.failure is not None:
        return logging.ERROR, f"{run.result.value}: {run.failure.text}"
    point = f" {run.point}" if run.point else ""
    return logging.INFO, f"{run.result.value}{point}"

"""A command's session with the application: configuration, signals, logs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from standby.cli.stopping import stop_interrupts, stop_sets

if TYPE_CHECKING:
    from standby.app.session import Session

Report = Callable[[str, int, int], None]


def config_root(context: typer.Context, config: Path | None) -> Path:
    """Return the configuration root; raise FixProfile when the place named is none."""
    # Loading the profile's classes takes about 0.15 s, too much for --help.
    from standby.profile import find_root  # noqa: PLC0415

    return find_root(named_root(context, config), os.environ, Path.home())


def named_root(context: typer.Context, config: Path | None) -> Path | None:
    """Return the root named after the command, or before it: standby --config DIR show …."""
    named = config or context.find_root().params.get("config")
    return Path(named) if named else None


@contextmanager
def looking(context: typer.Context, config: Path | None) -> Generator[Session]:
    """Open a session that changes nothing; a signal ends it at once."""
    with stop_interrupts(), opened(context, config) as session:
        yield session


@contextmanager
def working(
    context: typer.Context, config: Path | None, report: Report | None = None
) -> Generator[Session]:
    """Open a session that may change things; a signal sets its `cancel`.

    Also while its connections are closed: a second signal must not hide what became of the first.
    """
    cancel = threading.Event()
    with stop_sets(cancel), opened(context, config, cancel) as session:
        if report is not None:
            session.progress = report
        yield session


@contextmanager
def opened(
    context: typer.Context, config: Path | None, cancel: threading.Event | None = None
) -> Generator[Session]:
    """Open a session that handles signals by itself, or stops when `cancel` is set."""
    # Loading what talks to hosts takes about 0.3 s, too much for --help.
    from standby.app.opening import Detail, open_session  # noqa: PLC0415

    verbose = context.find_root().params.get("verbose")
    detail = Detail.EVERYTHING if verbose else Detail.PHASES
    with open_session(config_root(context, config), detail, cancel) as session:
        yield session

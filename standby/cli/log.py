"""`standby log`: all that was said while a run was at work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from standby.cli.options import ConfigOption
from standby.cli.output import print_note
from standby.cli.saving import save
from standby.cli.work import looking
from standby.profile.zone import local_zone

EPILOG = "Example: standby log 7f3a"

_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z ")


def log(
    context: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Its id, or the beginning of it; list them: standby history"
        ),
    ],
    *,
    file: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write it there; times are UTC.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print the whole log of a run, also of one that is under way: so far as it is.

    A log longer than 4 MiB keeps its beginning and its end, and says where lines are left out.
    """
    from standby.app.history import LookBack  # noqa: PLC0415 - 0.5 s that --help does not need

    with looking(context, config) as session, LookBack(session) as back:
        lines = back.log(back.run(run))
        if file is not None:
            save(file, lines)
            print_note(f"written: {file}")
            return
        for line in in_local_time(lines):
            typer.echo(line, nl=False)


def in_local_time(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines of a log with their times as local clocks showed them."""
    zone = local_zone()
    for line in lines:
        found = _MOMENT.match(line)
        if found is None:
            yield line
            continue
        moment = datetime.fromisoformat(found[0].strip()).astimezone(zone)
        yield f"{moment.isoformat(timespec='milliseconds')} {line[found.end() :]}"

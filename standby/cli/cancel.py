"""`standby cancel`: stop a run that a daemon does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.asked import required_daemon
from standby.cli.asking import require_consent
from standby.cli.options import ConfigOption, JsonOption, YesOption
from standby.cli.output import print_json, print_note
from standby.cli.work import working
from standby.errors import TryLater

if TYPE_CHECKING:
    from standby.app.live import Live

EPILOG = "Example: standby cancel web1 --yes"

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A profile's name, or a run's id (standby watch).")
]


def cancel(
    context: typer.Context,
    run: RunArgument,
    *,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a run that the daemon does, or that waits for its turn.

    Nothing is published; the next run of the schedule comes as planned. A run that was started
    without the daemon is stopped where it runs, by Ctrl-C.
    """
    with working(context, config) as session:
        daemon = required_daemon(session)
        _require_run(daemon.live(), run)
        print_note(f"The run {run} will be stopped; what it has copied since its last boot point "
                   "is copied again, but for first copies and resyncs, which go on.")  # fmt: skip
        require_consent(f"cancel {run}", yes=yes, kept="The run goes on.")
        done = daemon.cancel(run)
    if as_json:
        print_json({"run": run, "done": done})
    else:
        typer.echo(done)


def _require_run(live: Live, run: str) -> None:
    """Raise TryLater when there is nothing to stop: nobody is to be asked about it."""
    known = {name for it in live.running for name in (it.id, it.profile)}
    if run not in known | {it.profile for it in live.waiting}:
        raise TryLater(run, "no run is under way or waits", remedy="see: standby watch")

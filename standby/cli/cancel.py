"""`standby cancel`: stop a run, whoever does it on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.asked import daemon_of
from standby.cli.asking import require_consent
from standby.cli.options import ConfigOption, JsonOption, YesOption
from standby.cli.output import print_json, print_note
from standby.cli.work import working
from standby.errors import TryLater

if TYPE_CHECKING:
    from standby.app.client import DaemonClient
    from standby.app.session import Session

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
    """Stop a run that the daemon does or that waits for its turn, or one that a command does.

    Nothing is published; the next run of the schedule comes as planned. A run that a command does
    on another machine, or in another container, is stopped there, by Ctrl-C.

    Exit status 75: no such run is under way.
    """
    with working(context, config) as session:
        daemon = daemon_of(session)
        if daemon is not None and _is_known(daemon, run):
            _ask(run, run, yes=yes)
            done = daemon.cancel(run)
        else:
            done = _cancel_by_hand(session, run, yes=yes)
    if as_json:
        print_json({"run": run, "done": done})
    else:
        typer.echo(done)


def _is_known(daemon: DaemonClient, run: str) -> bool:
    live = daemon.live()
    running = {name for it in live.running for name in (it.id, it.profile)}
    return run in running | {it.profile for it in live.waiting}


def _cancel_by_hand(session: Session, run: str, *, yes: bool) -> str:
    from standby.app import cancelling  # noqa: PLC0415 - 0.3 s that --help does not need

    found = cancelling.run_under_way(session, run)
    if found is None:
        raise TryLater(run, "no run is under way or waits", remedy="see: standby watch, history")
    _ask(run, found.text, yes=yes)
    return cancelling.cancel(session, found)


def _ask(run: str, what: str, *, yes: bool) -> None:
    print_note(f"The run {what} will be stopped; what it has copied since its last boot point "
               "is copied again, but for first copies and resyncs, which go on.")  # fmt: skip
    require_consent(f"cancel {run}", yes=yes, kept="The run goes on.")

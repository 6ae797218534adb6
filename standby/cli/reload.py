"""`standby reload`: have the daemon take in what changed in the configuration."""

from __future__ import annotations

import typer

from standby.cli.asked import required_daemon
from standby.cli.options import ConfigOption, JsonOption
from standby.cli.output import print_json, print_note
from standby.cli.watch import problems_of
from standby.cli.work import looking
from standby.errors import ExitStatus

EPILOG = "Example: standby reload"

_ANSWER_S = 300.0  # a thousand changed profiles take a while


def reload(
    context: typer.Context, *, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Have the daemon take in what changed in the configuration, and wait until it holds.

    By itself it does so within seconds. Exit status 1 when something is wrong: what was in force
    before goes on then.
    """
    from standby.app.control import AskReload  # noqa: PLC0415 - 0.1 s that --help does not need

    with looking(context, config) as session:
        daemon = required_daemon(session)
        done = daemon.do(AskReload(), _ANSWER_S)
        problems = tuple(problems_of(daemon.live()))
    if as_json:
        print_json({"done": done, "problems": list(problems)})
    else:
        typer.echo(done)
        for problem in problems:
            print_note(f"wrong: {problem}")
    if problems:
        raise typer.Exit(ExitStatus.FAILED.value)

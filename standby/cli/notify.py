"""`standby notify`: whether messages reach people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from standby.cli.options import ConfigOption, JsonOption, ProfileArgument
from standby.cli.output import print_json, print_note
from standby.cli.work import looking
from standby.errors import ExitStatus

if TYPE_CHECKING:
    from standby.app.news import Trial
    from standby.profile.mistakes import Plain

TEST_EPILOG = "Example: standby notify test web1"

app = typer.Typer(
    name="notify",
    help="Messages: whether they reach people.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("test", epilog=TEST_EPILOG)
def send_trial(
    context: typer.Context,
    profile: ProfileArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a trial message to every receiver of a profile, and say how each went.

    That a server took it is all that can be told from here. Exit status 1 when one did not.
    """
    from standby.app.news import send_trials  # noqa: PLC0415 - 0.3 s --help does not need

    with looking(context, config) as session:
        settings = session.configuration.manager()
        trials = []
        for trial in send_trials(session, session.profile(profile), settings):
            trials.append(trial)
            if not as_json:
                _print(trial)
    if as_json:
        print_json([_as_json(trial) for trial in trials])
    elif not trials:
        print_note(f"profile {profile} names nobody: add notify.mail or notify.webhooks to it")
    if any(trial.error for trial in trials):
        raise typer.Exit(ExitStatus.FAILED.value)


def _print(trial: Trial) -> None:
    typer.echo(f"{trial.receiver}: {'not sent: ' if trial.error else 'sent'}{trial.error or ''}")


def _as_json(trial: Trial) -> Plain:
    """Return one trial for programs; `error` is null when the message was taken."""
    return {"receiver": trial.receiver, "error": str(trial.error) if trial.error else None}

"""`standby profile edit`: change a profile, but never into one with mistakes."""

from __future__ import annotations

import os
import sys

import typer

from standby.cli.options import ConfigOption, ProfileArgument
from standby.cli.output import print_note
from standby.cli.stopping import stop_interrupts
from standby.cli.work import config_root
from standby.errors import ExitStatus
from standby.profile.mistakes import ProfileMistakes

EPILOG = "Example: standby profile edit web1"


def edit(context: typer.Context, profile: ProfileArgument, *, config: ConfigOption = None) -> None:
    """Open a profile in $VISUAL, $EDITOR or vi, look for mistakes, and put it in its place.

    What is edited is a copy. While it has mistakes the profile stays as it was. A running daemon
    takes the new version over by itself, and disturbs no run for it.
    """
    from standby.app import editing  # noqa: PLC0415 - 0.3 s that --help does not need

    editor = editing.editor_of(os.environ)
    edited = editing.edit_profile(config_root(context, config), profile, editor, _ask_again)
    if edited.outcome is editing.Outcome.LEFT:
        print_note(f"{edited.file} is as it was; what you wrote is kept: {edited.copy}")
        raise typer.Exit(ExitStatus.USAGE.value)
    if edited.outcome is editing.Outcome.UNCHANGED:
        print_note(f"{edited.file}: nothing was changed")
    else:
        typer.echo(f"changed: {edited.file}")


def _ask_again(mistakes: ProfileMistakes) -> bool:
    print_note(str(mistakes))
    if not sys.stdin.isatty():
        return False
    try:
        with stop_interrupts():
            return typer.confirm("Edit again?", default=True, err=True)
    except typer.Abort:  # Ctrl-C or the end of the input, at the question
        typer.echo(err=True)
        return False

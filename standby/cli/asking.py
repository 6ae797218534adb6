"""Asking before something is destroyed."""

from __future__ import annotations

import sys

import typer

from standby.cli.stopping import stop_interrupts
from standby.errors import ExitStatus, FixRequest


def require_consent(what: str, *, yes: bool) -> None:
    """Ask whether to go on, unless --yes was given; exit with status 1 if the answer is no.

    Raises FixRequest where there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise FixRequest(
            what, "asks first, and there is no terminal", "an answer", "in a script add --yes"
        )
    with stop_interrupts():
        agreed = typer.confirm("Go on?", err=True)
    if not agreed:
        typer.echo("Nothing was removed.", err=True)
        raise typer.Exit(ExitStatus.FAILED.value)

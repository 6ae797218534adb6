"""Asking before something is destroyed."""

from __future__ import annotations

import sys

import typer

from standby.cli.stopping import stop_interrupts
from standby.errors import Cancelled, ExitStatus, FixRequest


def require_consent(what: str, *, yes: bool, kept: str = "Nothing was removed.") -> None:
    """Ask whether to go on, unless --yes was given; exit with status 1 if the answer is no.

    `kept` says what a refusal means. Raises FixRequest where there is nobody to ask, Cancelled
    when the question is interrupted.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise FixRequest(
            what, "asks first, and there is no terminal", "an answer", "in a script add --yes"
        )
    try:
        with stop_interrupts():
            agreed = typer.confirm("Go on?", err=True)
    except typer.Abort as abort:  # Ctrl-C or the end of the input, at the question
        typer.echo(err=True)
        raise Cancelled(what, kept.rstrip(".").lower()) from abort
    if not agreed:
        typer.echo(kept, err=True)
        raise typer.Exit(ExitStatus.FAILED.value)

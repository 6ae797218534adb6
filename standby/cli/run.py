"""`standby run`: one cycle of a profile, now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli import run_output
from standby.cli.asked import daemon_of, is_profile_name
from standby.cli.in_daemon import run_in_daemon
from standby.cli.options import ConfigOption, JsonOption, ProfileArgument
from standby.cli.output import print_json
from standby.cli.progress import progress_display
from standby.cli.work import looking, working
from standby.model.plan import Copying, CycleRequest
from standby.model.run import RunKind

if TYPE_CHECKING:
    from standby.app.replicate import Estimate
    from standby.app.reports import CycleReport

EPILOG = "Example: standby run web1 --dry-run"

_KINDS = {
    Copying.AS_NEEDED: RunKind.CYCLE,
    Copying.WHAT_DIFFERS: RunKind.RESYNC,
    Copying.EVERYTHING: RunKind.FULL_COPY,
}


def run(
    context: typer.Context,
    profile: ProfileArgument,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Send everything, also what the standby has already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and why; change nothing.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run one cycle now: capture the machine, send what changed, publish a boot point.

    Where a daemon runs this configuration, it does the run and this command shows it. Ctrl-C asks
    whether to stop it, and stops it at once where there is nobody to ask.

    Exit status 75: somebody else is at work on this standby, or it has too many boot points.
    """
    request = CycleRequest(Copying.EVERYTHING if full else Copying.AS_NEEDED)
    if dry_run:
        estimate = _estimate(context, config, profile, request)
        if as_json:
            print_json(run_output.estimate_as_json(estimate))
        else:
            run_output.print_estimate(estimate)
        return
    run_and_print(context, config, profile, request, as_json=as_json)


def run_and_print(
    context: typer.Context,
    config: Path | None,
    profile: str,
    request: CycleRequest,
    *,
    as_json: bool,
) -> None:
    """Run a cycle with progress, then print its report."""
    report = _cycle(context, config, profile, request)
    if as_json:
        print_json(run_output.report_as_json(report))
    else:
        run_output.print_report(report)


def _cycle(
    context: typer.Context, config: Path | None, profile: str, request: CycleRequest
) -> CycleReport:
    with progress_display() as report, working(context, config, report) as session:
        daemon = daemon_of(session) if is_profile_name(profile) else None
        kind = _KINDS[request.copying]
        if daemon is not None:
            return run_in_daemon(daemon, profile, kind, report, session.cancel)
        from standby.app import by_hand  # noqa: PLC0415 - 0.3 s that who asks a daemon does not need

        return by_hand.run(session, session.profile(profile), request, kind)


def _estimate(
    context: typer.Context, config: Path | None, profile: str, request: CycleRequest
) -> Estimate:
    from standby.app import replicate  # noqa: PLC0415 - 0.3 s that --help does not need

    with looking(context, config) as session:
        return replicate.dry_run(session, session.profile(profile), request)

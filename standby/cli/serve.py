"""`standby serve`: run all profiles by their schedules, for as long as it is left alone."""

from __future__ import annotations

import typer

from standby.cli.logs import Verbosity, start_logging
from standby.cli.options import ConfigOption
from standby.cli.work import opened

EPILOG = "Example: standby serve; or by systemd: contrib/systemd/standby.service"


def serve(context: typer.Context, *, config: ConfigOption = None) -> None:
    """Run every profile by its schedule until a signal ends it.

    SIGTERM or Ctrl-C: runs may end by themselves within half of daemon.stop_limit (manager.yaml),
    then they are cancelled; a second signal cancels them at once. SIGHUP: read what changed, which
    happens by itself within seconds too. Exit status 75: another daemon is at work here.
    """
    from standby.daemon.serve import serve as run_daemon  # noqa: PLC0415 - 0.5 s, not for --help

    verbose = bool(context.find_root().params.get("verbose"))
    # Whoever sits at the terminal wants to see what happens, for there is nothing else to see.
    start_logging(Verbosity.EVERYTHING if verbose else Verbosity.PHASES)
    with opened(context, config) as session:
        run_daemon(session)

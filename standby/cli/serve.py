"""`standby serve`: run all profiles by their schedules, for as long as it is left alone."""

from __future__ import annotations

import typer

from standby.cli.options import ConfigOption
from standby.cli.work import opened

EPILOG = "Example: standby serve; or by systemd: contrib/systemd/standby.service"


def serve(context: typer.Context, *, config: ConfigOption = None) -> None:
    """Run every profile by its schedule until a signal ends it.

    SIGTERM or Ctrl-C: runs may end by themselves within half of daemon.stop_limit (manager.yaml),
    then they are cancelled; a second signal cancels them at once. SIGHUP: read what changed, which
    happens by itself within seconds too. Exit status 75: another daemon is at work here.
    """
    from standby.app.recording import recording_of  # noqa: PLC0415 - 0.5 s --help does not need
    from standby.daemon.serve import serve as run_daemon  # noqa: PLC0415

    with opened(context, config) as session, recording_of(session) as recording:
        run_daemon(session, recording)

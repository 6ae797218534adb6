"""`standby metrics`: figures for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from standby.cli.options import ConfigOption
from standby.cli.work import looking
from standby.planning.metrics import exposition

EPILOG = "Example: standby metrics --textfile /var/lib/prometheus/node-exporter/standby.prom"


def metrics(
    context: typer.Context,
    *,
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile",
            metavar="FILE",
            help="Write them there, whole at every moment, for the node exporter's textfile "
            "collector; print nothing.",
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print figures of all standbys in Prometheus' text format.

    Every KVM host is asked. What nobody knows is left out. A daemon offers the same by HTTP:
    `metrics` in manager.yaml. Rules for alerts: contrib/prometheus/alerts.yml.
    """
    from standby.app.figures import report_of  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.inspect import survey  # noqa: PLC0415
    from standby.app.knowing import knowing  # noqa: PLC0415
    from standby.app.textfile import write_textfile  # noqa: PLC0415

    with looking(context, config) as session, knowing(session) as known:
        text = exposition(report_of(survey(session, known), known.live, session.clock.now()))
        if textfile is not None:
            write_textfile(textfile, text)
    if textfile is None:
        typer.echo(text, nl=False)

"""`standby pin` and `standby unpin`: keep a boot point from being merged away."""

from __future__ import annotations

import typer

from standby.cli.options import ConfigOption, JsonOption, PointArgument, StandbyArgument
from standby.cli.output import print_json
from standby.cli.points import point_as_json
from standby.cli.work import working
from standby.profile.zone import local_zone

PIN_EPILOG = "Example: standby pin web1 before:18:00"
UNPIN_EPILOG = "Example: standby unpin web1 V20261122_035600"


def pin(
    context: typer.Context,
    standby: StandbyArgument,
    point: PointArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a boot point until it is unpinned, whatever the limit."""
    from standby.app import points  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    with working(context, config) as session:
        pinned = points.pin(session, locate(session, standby), point, local_zone())
    if as_json:
        print_json(point_as_json(pinned))
    else:
        typer.echo(f"{pinned.name} is pinned: no merge takes it away")


def unpin(
    context: typer.Context,
    standby: StandbyArgument,
    point: PointArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a boot point be merged again when its turn comes."""
    from standby.app import points  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    with working(context, config) as session:
        unpinned = points.unpin(session, locate(session, standby), point, local_zone())
    if as_json:
        print_json(point_as_json(unpinned))
    else:
        typer.echo(f"{unpinned.name} is not pinned")

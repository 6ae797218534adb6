"""`standby verify`: tell whether boot points still are what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.options import ConfigOption, JsonOption, StandbyArgument
from standby.cli.output import print_json, print_table
from standby.cli.progress import progress_display
from standby.cli.work import working
from standby.cli.zone import local_zone
from standby.errors import ExitStatus
from standby.planning.space import readable
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.verify import VerifiedPoint

EPILOG = "Example: standby verify web1 --all"
_COLUMNS = ("boot point", "disk", "read", "damaged", "where")
_MOST_NAMED = 5


def verify(
    context: typer.Context,
    standby: StandbyArgument,
    point: Annotated[
        str, typer.Argument(metavar="[POINT]", help="A name, latest~2, before:TIME.")
    ] = "latest",
    *,
    every: Annotated[bool, typer.Option("--all", help="Every boot point, newest first.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a boot point and compare every block with the digest kept when it was published.

    Exit status 1 when a block is damaged. Merges at or below the point wait meanwhile.
    """
    from standby.app import verify as verifying  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    asked = None if every else point
    with progress_display() as report, working(context, config, report) as session:
        place = locate(session, standby)
        found = tuple(verifying.verify(session, place, asked, local_zone()))
    if as_json:
        print_json([_as_json(verdict) for verdict in found])
    else:
        rows = [row for verdict in found for row in _rows(verdict)]
        print_table(f"blocks of {place.called}", _COLUMNS, rows)
    if any(verdict.damaged_bytes for verdict in found):
        raise typer.Exit(ExitStatus.FAILED.value)


def _rows(verdict: VerifiedPoint) -> list[tuple[str, ...]]:
    return [
        (
            str(verdict.point.name),
            disk.disk,
            readable(disk.read_bytes),
            readable(disk.damaged_bytes) if disk.damaged_bytes else "none",
            ", ".join(f"{start}-{end}" for start, end in disk.damaged[:_MOST_NAMED]),
        )
        for disk in verdict.disks
    ]


def _as_json(verdict: VerifiedPoint) -> dict[str, Plain]:
    return {
        "point": str(verdict.point.name),
        "damaged_bytes": verdict.damaged_bytes,
        "disks": [
            {
                "disk": disk.disk,
                "read_bytes": disk.read_bytes,
                "zero_bytes": disk.zero_bytes,
                "damaged_bytes": disk.damaged_bytes,
                "damaged": [list(block) for block in disk.damaged],
            }
            for disk in verdict.disks
        ],
    }

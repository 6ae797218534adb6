"""`standby mount`: a boot point within reach, read-only, for one lost file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.options import ConfigOption, JsonOption, PointArgument, StandbyArgument
from standby.cli.output import local, print_facts, print_json, print_note
from standby.cli.points import spoilt_as_json
from standby.cli.work import working
from standby.model.amount import readable
from standby.planning.damage import damage
from standby.profile.zone import local_zone

if TYPE_CHECKING:
    from standby.app.export import PointExport
    from standby.app.mount import Mounted
    from standby.app.session import Session

EPILOG = "Example: standby mount web1 latest~2 /mnt/web1"
_LOOK_EVERY_S = 1.0


def mount(
    context: typer.Context,
    standby: StandbyArgument,
    point: PointArgument,
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="An empty directory of this machine to show the files in."
        ),
    ] = None,
    *,
    disk: Annotated[
        str | None, typer.Option("--disk", metavar="DISK", help="Only this disk, such as vda.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve a boot point read-only until Ctrl-C, and print the NBD addresses of its disks.

    With DIR its files appear there, by guestmount, or each disk as one file, by nbdfuse. Merges
    at or below the point wait meanwhile.
    """
    from standby.app.export import exported  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.mount import mounted  # noqa: PLC0415
    from standby.app.places import locate  # noqa: PLC0415

    with ExitStack() as stack:
        session = stack.enter_context(working(context, config))
        place = locate(session, standby)
        export = stack.enter_context(exported(session, place, point, local_zone(), disk))
        shown = None
        if directory is not None:
            shown = stack.enter_context(mounted(session, export.disks, directory.absolute()))
        _tell(export, shown, as_json=as_json)
        _stay(session, export, shown)


def _tell(export: PointExport, shown: Mounted | None, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "point": str(export.point.name),
                "spoilt": spoilt_as_json(export.point),
                "disks": [
                    {"disk": it.disk, "size_bytes": it.size, "uri": it.uri} for it in export.disks
                ],
                "directory": str(shown.directory) if shown else None,
            }
        )
        return
    print_facts(
        (
            ("boot point", f"{export.point.name} ({local(export.point.name.moment)}), read-only"),
            ("SPOILT", damage(export.point)),
            *((it.disk, f"{readable(it.size)}  {it.uri}") for it in export.disks),
            ("mounted", f"{shown.directory}: {shown.tool.shows}" if shown else ""),
        )
    )
    if shown is None:
        first = export.disks[0]
        print_note(f"Copy a disk, for example: nbdcopy '{first.uri}' {first.disk}.raw")
    print_note("It stays until Ctrl-C; merges at or below this boot point wait meanwhile.")


def _stay(session: Session, export: PointExport, shown: Mounted | None) -> None:
    while not session.cancel.wait(_LOOK_EVERY_S):
        export.require_alive()
        if shown is not None and not shown.alive:
            print_note(f"{shown.directory} was unmounted.")
            return

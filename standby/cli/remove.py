"""`standby remove`: stop protecting a machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.asking import require_consent
from standby.cli.options import ConfigOption, JsonOption, StandbyArgument, YesOption
from standby.cli.output import print_json, print_note
from standby.cli.work import working
from standby.model.amount import readable
from standby.model.point import BootPoint
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.remove import Removal, Removed

EPILOG = "Example: standby remove web1 --delete-standby"


def remove(
    context: typer.Context,
    standby: StandbyArgument,
    *,
    delete_standby: Annotated[
        bool,
        typer.Option("--delete-standby", help="Delete its domain and all its boot points, too."),
    ] = False,
    leave_source: Annotated[
        bool,
        typer.Option("--leave-source", help="Do not ask the source, which is gone for good."),
    ] = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop protecting a machine: our checkpoints are deleted on its source.

    The standby stays and can be started, unless --delete-standby is given. What goes is named
    first, and you are asked. Refused while the standby runs.
    """
    from standby.app import remove as application  # noqa: PLC0415 - 0.3 s --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    source = application.SourceCare.LEAVE if leave_source else application.SourceCare.FORGET
    care = application.StandbyCare.DELETE if delete_standby else application.StandbyCare.KEEP
    with working(context, config) as session:
        place = locate(session, standby)
        removal = application.plan_removal(session, place, source, care)
        for line in _announced(removal, deletes=delete_standby):
            print_note(line)
        require_consent(f"removal of {place.called}", yes=yes)
        done = application.remove(session, removal)
    if as_json:
        print_json(_as_json(done, deletes=delete_standby))
        return
    for line in _told(done, deletes=delete_standby):
        typer.echo(line)


def _announced(removal: Removal, *, deletes: bool) -> Iterator[str]:
    manifest, profile = removal.manifest, removal.place.profile
    yield f"{manifest.machine.name} on {profile.source_host.name} will not be protected any more."
    yield f"On {profile.source_host.name} these checkpoints are deleted: " + (
        ", ".join(removal.checkpoints) or "none"
    )
    if not deletes:
        yield f"{manifest.standby} and its {_counted(manifest.points)} stay: {removal.place.where}"
        return
    yield f"On {removal.place.host.name} these are deleted for good:"
    yield f"  domain {manifest.standby}"
    size = readable(removal.stored)
    yield f"  {removal.place.directory.path}: {_counted(manifest.points)}, {size}"
    for kept in removal.kept:
        yield f"  in it {kept}, where somebody's changes are"


def _told(done: Removed, *, deletes: bool) -> Iterator[str]:
    removal = done.removal
    if removal.checkpoints:
        names = ", ".join(removal.checkpoints)
        yield f"deleted on {removal.place.profile.source_host.name}: {names}"
    if deletes:
        yield f"{removal.manifest.standby} deleted, {readable(removal.stored)} freed"
    if done.strangers:
        yield f"{removal.place.where} stays: not ours there: {', '.join(done.strangers)}"
    yield f"A new cycle would begin anew; to end that too delete {removal.place.profile.file}"


def _counted(points: tuple[BootPoint, ...]) -> str:
    if not points:
        return "no boot points"
    count = "1 boot point" if len(points) == 1 else f"{len(points)} boot points"
    span = points[0].name if len(points) == 1 else f"{points[0].name} to {points[-1].name}"
    return f"{count} ({span})"


def _as_json(done: Removed, *, deletes: bool) -> Plain:
    manifest = done.removal.manifest
    return {
        "standby": manifest.standby,
        "checkpoints_deleted": list(done.removal.checkpoints),
        "standby_deleted": deletes,
        "points_deleted": [str(point.name) for point in manifest.points] if deletes else [],
        "bytes_freed": done.removal.stored if deletes else 0,
        "left_in_directory": list(done.strangers),
    }

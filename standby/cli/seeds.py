"""`standby export-seed` and `standby import-seed`: a first copy that travels on a medium."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from standby.cli.options import ConfigOption, JsonOption, ProfileArgument
from standby.cli.output import print_facts, print_json
from standby.cli.progress import progress_display
from standby.cli.work import working
from standby.errors import FixRequest
from standby.model.amount import readable

EXPORT_EPILOG = "Example: standby export-seed web1 /media/usb"
IMPORT_EPILOG = "Example: standby import-seed web1 /mnt/usb"


def export_seed(
    context: typer.Context,
    profile: ProfileArgument,
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="On this host: the mounted medium.")
    ],
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a machine's first copy to a medium that somebody carries to the KVM host.

    The standby waits for it meanwhile: cycles end with status 75 until it is taken in there.
    Interrupted, the same command goes on where it ended.
    """
    from standby.app import by_hand  # noqa: PLC0415 - 0.3 s that --help does not need

    with progress_display() as report, working(context, config, report) as session:
        done = by_hand.export_seed(session, session.profile(profile), directory)
    if as_json:
        print_json(
            {
                "directory": done.directory,
                "point": str(done.point.name),
                "checkpoint": done.point.checkpoint,
                "bytes": done.moved.data,
                "unchanged_bytes": done.moved.unchanged,
            }
        )
        return
    print_facts(
        (
            ("seed", f"{done.directory}, {readable(done.moved.data)}"),
            ("boot point", str(done.point.name)),
            ("changes count from", done.point.checkpoint or "nothing: the next cycle resyncs"),
            ("next", f"on the KVM host mount it, here: standby import-seed {profile} DIRECTORY"),
        )
    )


def import_seed(
    context: typer.Context,
    profile: ProfileArgument,
    directory: Annotated[
        str | None,
        typer.Argument(metavar="[DIRECTORY]", help="On the KVM host: the mounted medium."),
    ] = None,
    *,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Wait no more: the next cycle sends the first copy.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in a seed that was carried to the KVM host: it becomes the first boot point.

    Every chunk is checked by its SHA-256; a damaged medium is refused, and what is damaged named.
    """
    from standby.app import by_hand, seeds  # noqa: PLC0415 - 0.3 s that --help does not need

    if give_up == (directory is not None):
        raise FixRequest("standby import-seed", "both or neither", "DIRECTORY, or --give-up")
    with working(context, config) as session:
        loaded = session.profile(profile)
        if directory is None:
            seeds.give_up_waiting(session, loaded)
            point = None
        else:
            point = by_hand.import_seed(session, loaded, directory.rstrip("/"))
    if as_json:
        print_json({"point": str(point.name) if point else None})
        return
    print_facts(
        (("boot point", str(point.name)), ("next", f"standby run {profile}"))
        if point
        else (("next", f"standby run {profile} sends the first copy"),)
    )

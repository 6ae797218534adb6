"""`standby verify`: tell whether boot points still are what they were, and mend what can be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.options import ConfigOption, JsonOption, StandbyArgument
from standby.cli.output import print_json, print_note, print_table
from standby.cli.progress import progress_display
from standby.cli.work import working
from standby.errors import ExitStatus, FixRequest
from standby.model.amount import readable
from standby.model.priority import GIVES_WAY, NO_PRIORITY
from standby.model.spoilt import Range, total
from standby.profile.mistakes import Plain
from standby.profile.units import parse_rate
from standby.profile.zone import local_zone

if TYPE_CHECKING:
    from standby.app.verify import VerifyReport

EPILOG = "Example: standby verify web1 --all --source --repair"
_COLUMNS = ("boot point", "disk", "read", "damaged", "where")
_MOST_NAMED = 5
_SCRUB_RATE = "50MiB/s"

AllOption = Annotated[bool, typer.Option("--all", help="Every boot point, newest first.")]
SourceOption = Annotated[
    bool,
    typer.Option(
        "--source", help="Compare the newest also with the source, where nothing changed."
    ),
]
RepairOption = Annotated[
    bool, typer.Option("--repair", help="Mend damage from the source or other boot points.")
]
FromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="DISK=PATH",
        help="Mend from this image on the KVM host too: raw unless it is named .qcow2.",
    ),
]
LimitOption = Annotated[
    str | None,
    typer.Option("--limit", metavar="RATE", help="Read no faster than this: 50MiB/s."),
]
ScrubOption = Annotated[
    bool,
    typer.Option(
        "--scrub",
        help="Keep out of the way: lowest priority, also on the KVM host, and at most "
        f"{_SCRUB_RATE} unless --limit says otherwise.",
    ),
]


def verify(  # noqa: PLR0913 - a parameter for each option
    context: typer.Context,
    standby: StandbyArgument,
    point: Annotated[
        str, typer.Argument(metavar="[POINT]", help="A name, latest~2, before:TIME.")
    ] = "latest",
    *,
    every: AllOption = False,
    source: SourceOption = False,
    repair: RepairOption = False,
    images: FromOption = None,
    limit: LimitOption = None,
    scrub: ScrubOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a boot point and compare every block with the digest kept when it was published.

    A boot point that is damaged is marked as spoilt, and so is every other that shares the
    damage; the mark goes when a later verify finds it whole. --repair writes a block anew only
    from bytes that have its digest. What cannot be mended, the next cycle sends anew, so that
    the newest boot point is whole again. Exit status 1 when damage remains. Merges at or below
    the point wait meanwhile.
    """
    from standby.app import by_hand  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app import verify as verifying  # noqa: PLC0415
    from standby.app.places import locate  # noqa: PLC0415

    request = verifying.VerifyRequest(
        None if every else point,
        local_zone(),
        verifying.Beside.SOURCE if source else verifying.Beside.DIGESTS,
        verifying.Then.MEND if repair or images else verifying.Then.MARK,
        dict(_image(text) for text in images or ()),
        _limit(limit, scrub=scrub),
        GIVES_WAY if scrub else NO_PRIORITY,
    )
    if scrub:
        os.setpriority(os.PRIO_PROCESS, 0, 19)
    with progress_display() as told, working(context, config, told) as session:
        place = locate(session, standby)
        report = by_hand.verify(session, place, request)
    if as_json:
        print_json(report_as_json(report))
    else:
        _print(report, place.called)
    if not report.sound:
        raise typer.Exit(ExitStatus.FAILED.value)


def _limit(text: str | None, *, scrub: bool) -> int | None:
    asked = text or (_SCRUB_RATE if scrub else None)
    return _rate(asked) if asked else None


def _rate(text: str) -> int:
    try:
        rate = parse_rate(text)
    except ValueError as error:
        raise FixRequest("--limit", str(error)) from error
    if not rate:
        raise FixRequest("--limit", f"{text} would never end", "a rate above zero")
    return rate


def _image(text: str) -> tuple[str, str]:
    disk, separator, path = text.partition("=")
    if not separator or not path.startswith("/"):
        raise FixRequest(
            f"--from {text}", "not understood", "DISK=PATH, an absolute path on the KVM host"
        )
    return disk, path


def _print(report: VerifyReport, called: str) -> None:
    print_table(f"blocks of {called}", _COLUMNS, list(_rows(report)))
    for line in _lines(report):
        typer.echo(line)
    for note in report.notes:
        print_note(note)
    if any(report.spoilt.values()) and not report.not_marked:
        print_note(f"The next cycle sends what is spoilt in the newest anew: standby run {called}")


def _rows(report: VerifyReport) -> Iterator[tuple[str, ...]]:
    for verified in report.points:
        for disk in verified.disks:
            yield (
                str(verified.point.name),
                disk.disk,
                readable(disk.read_bytes),
                readable(disk.damaged_bytes) if disk.damaged_bytes else "none",
                _named(disk.damaged),
            )


def _lines(report: VerifyReport) -> Iterator[str]:
    for table in report.tables:
        points = ", ".join(map(str, table.points))
        yield (
            f"damaged table of digests {table.file}: {table.what}; nothing vouches for {points}: "
            "--repair makes the table anew from the image, or run --full sends that disk whole"
        )
    for table in report.rebuilt:
        yield (
            f"made anew: {table.file} ({table.what}), from what the image holds now; "
            "damage from before shows only beside the source: --source"
        )
    yield from _compared(report)
    for mended in report.mended:
        yield f"mended: {readable(total(mended.ranges))} of {mended.file}: {_named(mended.ranges)}"
    for name, spoilt in report.spoilt.items():
        for disk in spoilt:
            yield f"spoilt: {name} {disk.disk}: {readable(disk.bytes)} at {_named(disk.ranges)}"
    if report.not_marked:
        yield f"not marked in the manifest: {report.not_marked}"


def _compared(report: VerifyReport) -> Iterator[str]:
    if report.compared is None:
        return
    for disk in report.compared.disks:
        what = f"source and {report.compared.point}, {disk.disk}"
        if disk.not_compared:
            yield f"{what}: not compared: {disk.not_compared}"
            continue
        yield (
            f"{what}: {readable(disk.compared_bytes)} compared, "
            f"{readable(disk.changed_bytes)} not, since it changed meanwhile"
        )
        if disk.unlike:
            yield (
                f"{what}: differ though nothing was marked as changed, at {_named(disk.unlike)}: "
                "the source's storage may be damaged; standby resync takes over what it has now"
            )
        if disk.digests:
            yield f"{what}: equal, and the digest kept is wrong, at {_named(disk.digests)}"


def _named(ranges: Sequence[Range]) -> str:
    named = ", ".join(f"{start}-{end}" for start, end in ranges[:_MOST_NAMED])
    more = len(ranges) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def report_as_json(report: VerifyReport) -> Plain:
    """Return the report for programs. Bytes; ranges end before their second number."""
    return {
        "sound": report.sound,
        "points": _points_as_json(report),
        "damaged_tables": [
            {"file": it.file, "found": it.what, "disk": it.disk, "points": [*map(str, it.points)]}
            for it in report.tables
        ],
        "source": _compared_as_json(report),
        "rebuilt_tables": [{"file": it.file, "found": it.what} for it in report.rebuilt],
        "mended": [
            {"disk": it.disk, "file": it.file, "ranges": _ranges(it.ranges)} for it in report.mended
        ],
        "spoilt": {
            str(name): [{"disk": it.disk, "ranges": _ranges(it.ranges)} for it in spoilt]
            for name, spoilt in report.spoilt.items()
            if spoilt
        },
        "not_marked": report.not_marked or None,
        "notes": list(report.notes),
    }


def _points_as_json(report: VerifyReport) -> list[Plain]:
    return [
        {
            "point": str(verified.point.name),
            "damaged_bytes": sum(disk.damaged_bytes for disk in verified.disks),
            "disks": [
                {
                    "disk": disk.disk,
                    "read_bytes": disk.read_bytes,
                    "zero_bytes": disk.zero_bytes,
                    "damaged_bytes": disk.damaged_bytes,
                    "damaged": _ranges(disk.damaged),
                }
                for disk in verified.disks
            ],
        }
        for verified in report.points
    ]


def _compared_as_json(report: VerifyReport) -> Plain:
    if report.compared is None:
        return None
    return {
        "point": str(report.compared.point),
        "disks": [
            {
                "disk": it.disk,
                "compared_bytes": it.compared_bytes,
                "changed_bytes": it.changed_bytes,
                "not_compared": it.not_compared or None,
                "unlike": _ranges(it.unlike),
                "wrong_digests": _ranges(it.digests),
            }
            for it in report.compared.disks
        ],
    }


def _ranges(ranges: Sequence[Range]) -> list[Plain]:
    return [list(block) for block in ranges]

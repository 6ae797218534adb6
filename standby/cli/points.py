"""`standby points`: the chain of a standby's boot points."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import typer

from standby.cli.options import ConfigOption, JsonOption, StandbyArgument
from standby.cli.output import local, print_json, print_table, readable_age, utc
from standby.cli.work import looking
from standby.model.amount import readable
from standby.model.point import BootPoint, Standing
from standby.planning.damage import damage
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.points import Chain

EPILOG = "Example: standby points web1"
_COLUMNS = ("boot point", "local time", "age", "still true at", "consistency", "delta", "made", "")


def points(
    context: typer.Context,
    standby: StandbyArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the boot points, oldest first: what others call recovery points or snapshots."""
    from standby.app.places import locate  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.points import chain_of  # noqa: PLC0415

    with looking(context, config) as session:
        chain = chain_of(session, locate(session, standby))
    if as_json:
        print_json(chain_as_json(chain))
    else:
        print_chain(chain)


def print_chain(chain: Chain) -> None:
    """Print a chain for people."""
    rows = [_row(point, chain) for point in chain.manifest.points]
    print_table(f"boot points of {chain.manifest.standby}", _COLUMNS, rows)


def _row(point: BootPoint, chain: Chain) -> tuple[str, ...]:
    return (
        str(point.name),
        local(point.name.moment),
        readable_age(chain.at - point.name.moment),
        local(point.true_at) if _was_stamped(point) else "",
        point.consistency.value,
        readable(_stored(point)),
        f"{point.made.value}: {point.reason}",
        ", ".join(_marks(point, chain)),
    )


def _marks(point: BootPoint, chain: Chain) -> list[str]:
    marks = []
    if point.name == chain.head:
        marks.append("head")
    if point.name == chain.manifest.reverted_to:
        marks.append("reverted to")
    if point.pinned:
        marks.append("pinned")
    if point.spoilt:
        marks.append(f"SPOILT: {damage(point)}")
    if gone := chain.missing_below(point):
        marks.append(f"CANNOT BE STARTED: {', '.join(gone)} gone")
    if point.standing is Standing.GIVEN_UP:
        marks.append("given up to a merge")
    return marks


def _was_stamped(point: BootPoint) -> bool:
    return _whole_seconds(point.true_at) > point.name.moment


def _whole_seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _stored(point: BootPoint) -> int:
    return sum(delta.stored for delta in point.deltas)


def chain_as_json(chain: Chain) -> Plain:
    """Return a chain for programs."""
    manifest = chain.manifest
    return {
        "standby": manifest.standby,
        "head": str(chain.head) if chain.head else None,
        "reverted_to": str(manifest.reverted_to) if manifest.reverted_to else None,
        "points": [
            {**point_as_json(point), "missing": list(chain.missing_below(point))}
            for point in manifest.points
        ],
    }


def point_as_json(point: BootPoint) -> dict[str, Plain]:
    """Return a boot point for programs. Bytes, UTC."""
    return {
        "name": str(point.name),
        "captured_at": utc(point.name.moment),
        "true_at": utc(point.true_at),
        "standing": point.standing_word,
        "spoilt": spoilt_as_json(point),
        "pinned": point.pinned,
        "consistency": point.consistency.value,
        "made": point.made.value,
        "reason": point.reason,
        "sent_bytes": point.sent,
        "stored_bytes": _stored(point),
        "disks": [
            {
                "disk": delta.disk,
                "file": delta.file,
                "size_bytes": delta.size,
                "stored_bytes": delta.stored,
            }
            for delta in point.deltas
        ],
    }


def spoilt_as_json(point: BootPoint) -> Plain:
    """Return what of a boot point is damaged. Bytes; ranges end before their second number."""
    return [
        {"disk": it.disk, "bytes": it.bytes, "ranges": [list(block) for block in it.ranges]}
        for it in point.spoilt
    ]

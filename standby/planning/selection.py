"""From what somebody typed to one boot point."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from enum import Enum

from standby.errors import FixRequest
from standby.model.amount import readable
from standby.model.names import PointName
from standby.model.point import BootPoint, Standing
from standby.planning.localtime import moments

POINT_EXAMPLES = "a name such as V20261122_035600, 'latest', 'latest~2' or 'before:TIME'"
_LATEST = re.compile(r"latest(?:~(\d{1,4}))?")
_NAME = re.compile(r"V\d{8}_\d{6}")
_BEFORE = "before:"
_NAMES_SHOWN = 5


class Spoilt(Enum):
    """What to do when the boot point that was asked for is known to be damaged."""

    REFUSED = "refused"  # the error names the good ones
    TAKEN = "taken"


def select_good_point(
    points: Sequence[BootPoint], text: str, now: datetime, zone: tzinfo, spoilt: Spoilt
) -> BootPoint:
    """Return the boot point that `text` means, as `select_point`; refuse one that is spoilt.

    Never another one in its place: who asked for the newest must hear that it is spoilt.
    """
    point = select_point(points, text, now, zone)
    if point.good or spoilt is Spoilt.TAKEN:
        return point
    disks = ", ".join(f"{readable(it.bytes)} of {it.disk}" for it in point.spoilt)
    good = [it for it in points if it.good]
    raise FixRequest(
        f"boot point {point.name}",
        f"is spoilt: {disks} are not what they were",
        f"a good one, {_existing(good)}" if good else "a good one, and there is none",
        "take it all the same: --spoilt",
    )


def select_point(points: Sequence[BootPoint], text: str, now: datetime, zone: tzinfo) -> BootPoint:
    """Return the boot point that `text` means. Points oldest first; only whole ones are offered.

    `latest~2` is two before the newest. `before:TIME` is the newest point captured at or before
    TIME, local to `zone`. A local time with two readings (clocks set back or forward) is taken
    when both mean the same point. Raises FixRequest, which names what exists, otherwise.
    """
    whole = [point for point in points if point.standing is Standing.WHOLE]
    asked = text.strip()
    if not whole:
        raise FixRequest(f"boot point {asked!r}", "there are no boot points yet")
    if latest := _LATEST.fullmatch(asked):
        return _latest(whole, asked, int(latest[1] or 0))
    if asked.startswith(_BEFORE):
        return _before(whole, asked.removeprefix(_BEFORE), now, zone)
    if _NAME.fullmatch(asked):
        return _named(points, whole, PointName.parse(asked))
    raise FixRequest(f"boot point {asked!r}", "not understood", POINT_EXAMPLES)


def _latest(whole: Sequence[BootPoint], asked: str, back: int) -> BootPoint:
    if back >= len(whole):
        raise FixRequest(f"boot point {asked!r}", f"there are only {len(whole)}", _existing(whole))
    return whole[-1 - back]


def _named(points: Sequence[BootPoint], whole: Sequence[BootPoint], name: PointName) -> BootPoint:
    for point in whole:
        if point.name == name:
            return point
    given_up = any(point.name == name for point in points)
    found = "given up, a merge is writing into it" if given_up else "does not exist"
    raise FixRequest(f"boot point {name}", found, _existing(whole))


def _before(whole: Sequence[BootPoint], text: str, now: datetime, zone: tzinfo) -> BootPoint:
    readings = moments(text, now, zone)
    meant = [_newest_at(whole, moment) for moment in readings]
    if any(point is not meant[0] for point in meant):
        readable = [_reading(m, p, zone) for m, p in zip(readings, meant, strict=True)]
        raise FixRequest(
            f"boot point before {text!r}", _why_two(readings, zone), " or ".join(readable)
        )
    if meant[0] is None:
        raise FixRequest(f"boot point before {text!r}", "none is that old", _existing(whole))
    return meant[0]


def _newest_at(whole: Sequence[BootPoint], moment: datetime) -> BootPoint | None:
    return next((p for p in reversed(whole) if p.name.moment <= moment), None)


def _reading(moment: datetime, point: BootPoint | None, zone: tzinfo) -> str:
    local = moment.astimezone(zone).isoformat(timespec="seconds")
    return f"{_BEFORE}{local} ({point.name if point else 'no boot point'})"


def _why_two(readings: Sequence[datetime], zone: tzinfo) -> str:
    clocks = {moment.astimezone(zone).replace(tzinfo=None) for moment in readings}
    if len(clocks) == 1:
        return "that local time came twice, as clocks were set back"
    return "that local time never came, as clocks were set forward"


def _existing(whole: Sequence[BootPoint]) -> str:
    names = [str(point.name) for point in whole]
    if len(names) > _NAMES_SHOWN:
        names = [names[0], "…", *names[1 - _NAMES_SHOWN :]]
    return "one of " + ", ".join(names)

"""`standby revert`: choose the boot point that the dormant standby boots."""

from __future__ import annotations

import typer

from standby.cli.options import (
    ConfigOption,
    JsonOption,
    PointArgument,
    SpoiltOption,
    StandbyArgument,
)
from standby.cli.output import local, print_facts, print_json
from standby.cli.points import spoilt_as_json
from standby.cli.work import working
from standby.planning.damage import damage
from standby.planning.selection import Spoilt
from standby.profile.zone import local_zone

EPILOG = "Example: standby revert web1 latest~2"


def revert(
    context: typer.Context,
    standby: StandbyArgument,
    point: PointArgument,
    *,
    spoilt: SpoiltOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the dormant standby boot a boot point; no other point is lost.

    It stays on that point while cycles go on. "latest" lets it follow the newest point again.
    Refused while the standby runs, and for a boot point that is known to be damaged: the error
    names the good ones, and --spoilt takes it all the same.
    """
    from standby.app import by_hand  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    taken = Spoilt.TAKEN if spoilt else Spoilt.REFUSED
    with working(context, config) as session:
        place = locate(session, standby)
        done = by_hand.revert(session, place, point, local_zone(), taken)
    name = place.profile.standby_name
    if as_json:
        print_json(
            {
                "standby": name,
                "point": str(done.point.name),
                "follows_newest": done.follows,
                "head_kept": done.head_kept,
                "spoilt": spoilt_as_json(done.point),
            }
        )
        return
    how = "and follows new ones" if done.follows else f"until: standby revert {standby} latest"
    print_facts(
        (
            ("standby", name),
            ("boots", f"{done.point.name} ({local(done.point.name.moment)}), {how}"),
            ("spoilt", damage(done.point)),
            ("kept", "the head that somebody ran, under kept/" if done.head_kept else ""),
            ("start it", f"on {place.host.name}: virsh start {name}"),
        )
    )

"""`standby pause` and `standby resume`: leave a machine alone for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from standby.cli.asked import daemon_of, is_profile_name
from standby.cli.options import ConfigOption, JsonOption, StandbyArgument
from standby.cli.output import print_json
from standby.cli.work import working
from standby.planning.ending import EXAMPLES, ending
from standby.planning.pauses import described
from standby.profile.zone import local_zone

PAUSE_EPILOG = 'Example: standby pause web1 --until "tomorrow 08:00" --reason "storage is moved"'
RESUME_EPILOG = "Example: standby resume web1"


def pause(
    context: typer.Context,
    standby: StandbyArgument,
    *,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help=f"When it ends by itself: {EXAMPLES}."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever looks.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let no run of a machine begin by itself, until a time or until `standby resume`.

    Kept on the KVM host with the standby: another manager leaves it alone, too. A run by hand
    works all the same. Boot points stay, and none is merged.
    """
    from standby.app.by_hand import pause as pause_it  # noqa: PLC0415
    from standby.app.control import AskPause  # noqa: PLC0415 - 0.3 s --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    with working(context, config) as session:
        end = None if until is None else ending(until, session.clock.now(), local_zone())
        daemon = daemon_of(session) if is_profile_name(standby) else None
        if daemon is not None:
            said = daemon.do(AskPause(standby, end, reason))
        else:
            place = locate(session, standby)
            said = f"{standby}: {described(pause_it(session, place, end, reason))}"
    _print(standby, said, end, as_json=as_json)


def resume(
    context: typer.Context,
    standby: StandbyArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the runs of a paused machine begin by themselves again."""
    from standby.app.by_hand import resume as resume_it  # noqa: PLC0415
    from standby.app.control import AskResume  # noqa: PLC0415 - 0.3 s --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    with working(context, config) as session:
        daemon = daemon_of(session) if is_profile_name(standby) else None
        if daemon is not None:
            said = daemon.do(AskResume(standby))
        else:
            ended = resume_it(session, locate(session, standby))
            said = f"{standby}: {'was not paused' if ended is None else 'resumed'}"
    _print(standby, said, None, as_json=as_json)


def _print(standby: str, said: str, until: datetime | None, *, as_json: bool) -> None:
    if as_json:
        end = None if until is None else until.isoformat()
        print_json({"standby": standby, "done": said, "until": end})
    else:
        typer.echo(said)

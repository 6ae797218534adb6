"""`standby pause` and `standby resume`: leave a machine alone for a while."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.asked import daemon_of, is_profile_name
from standby.cli.options import ConfigOption, JsonOption, StandbyArgument
from standby.cli.output import print_json, print_note
from standby.cli.work import working
from standby.errors import Cancelled
from standby.planning.ending import EXAMPLES, ending
from standby.planning.pauses import described
from standby.profile.zone import local_zone

if TYPE_CHECKING:
    from standby.app.client import DaemonClient
    from standby.app.control import AskPause, Done

PAUSE_EPILOG = 'Example: standby pause web1 --until "tomorrow 08:00" --reason "storage is moved"'
RESUME_EPILOG = "Example: standby resume web1"

_LOOK_EVERY_S = 1.0


def pause(  # noqa: PLR0913 - a parameter for each option
    context: typer.Context,
    standby: StandbyArgument,
    *,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help=f"When it ends by itself: {EXAMPLES}."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever looks.")] = "",
    cancel_run: Annotated[
        bool, typer.Option("--cancel-run", help="Stop the run that is under way.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when no run goes on any more, and it is paused.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let no run of a machine begin by itself, until a time or until `standby resume`.

    Kept on the KVM host with the standby: another manager leaves it alone, too. A run by hand
    works all the same. Boot points stay, and none is merged.

    While the daemon runs the machine the pause is taken at once and begins when that run is over,
    however it ends; with --cancel-run it is stopped. First copies and resyncs go on later where
    they ended. Exit status 75: a run without the daemon is under way.
    """
    from standby.app.by_hand import pause as pause_it  # noqa: PLC0415
    from standby.app.cancelling import stop_before  # noqa: PLC0415
    from standby.app.control import AskPause, Done, UnderWay  # noqa: PLC0415 - 0.3 s --help
    from standby.app.places import locate  # noqa: PLC0415

    with working(context, config) as session:
        end = None if until is None else ending(until, session.clock.now(), local_zone())
        daemon = daemon_of(session) if is_profile_name(standby) else None
        if daemon is not None:
            meanwhile = UnderWay.IS_CANCELLED if cancel_run else UnderWay.ENDS
            ask = AskPause(standby, end, reason, meanwhile)
            said = _asked(daemon, ask, session.cancel if wait else None)
        else:
            place = locate(session, standby)
            if cancel_run:
                stop_before(session, place.profile.name)
            said = Done(f"{standby}: {described(pause_it(session, place, end, reason))}")
    _print(standby, said, end, as_json=as_json)


def resume(
    context: typer.Context,
    standby: StandbyArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the runs of a paused machine begin by themselves again.

    A pause that was to begin after the run under way is taken back.
    """
    from standby.app.by_hand import resume as resume_it  # noqa: PLC0415
    from standby.app.control import AskResume, Done  # noqa: PLC0415 - 0.3 s --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    with working(context, config) as session:
        daemon = daemon_of(session) if is_profile_name(standby) else None
        if daemon is not None:
            said = daemon.done(AskResume(standby))
        else:
            ended = resume_it(session, locate(session, standby))
            said = Done(f"{standby}: {'was not paused' if ended is None else 'resumed'}")
    _print(standby, said, None, as_json=as_json)


def _asked(daemon: DaemonClient, ask: AskPause, cancel: threading.Event | None) -> Done:
    """Have the daemon pause; with `cancel`, wait until it is done or that is set."""
    from standby.app.control import Done  # noqa: PLC0415 - loaded by whoever found a daemon

    said = daemon.done(ask)
    if not said.after or cancel is None:
        return said
    print_note(said.text)
    while _is_promised(daemon, ask.profile):
        if cancel.wait(_LOOK_EVERY_S):
            raise Cancelled(
                ask.profile,
                f"the pause begins after run {said.after} all the same",
                remedy=f"standby resume {ask.profile} takes it back",
            )
    return Done(f"{ask.profile}: paused, run {said.after} is over")


def _is_promised(daemon: DaemonClient, profile: str) -> bool:
    outlooks = daemon.live(everything=True).outlooks
    return any(it.profile == profile and it.then is not None for it in outlooks)


def _print(standby: str, said: Done, until: datetime | None, *, as_json: bool) -> None:
    if as_json:
        end = None if until is None else until.isoformat()
        after = said.after or None
        print_json({"standby": standby, "done": said.text, "after_run": after, "until": end})
    else:
        typer.echo(said.text)

"""`standby list`: the standby of every profile, a line for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.look_output import print_looks
from standby.cli.nagios import plugin_failure, plugin_output
from standby.cli.options import ConfigOption, JsonOption
from standby.cli.work import looking
from standby.errors import StandbyError

if TYPE_CHECKING:
    from standby.app.inspect import NotSeen, StandbyLook

EPILOG = "Example: standby list --json; for monitoring: standby list --nagios web1"


def list_standbys(
    context: typer.Context,
    profiles: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROFILE]...", help="Only these profiles; all unless given."),
    ] = None,
    *,
    nagios: Annotated[
        bool,
        typer.Option(
            "--nagios",
            help="Print what monitoring plugins print; exit status 0 well, 1 warning, 2 critical, "
            "3 unknown.",
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the standbys of all profiles: state, health with its reasons, lag, next run.

    The lag is how old the newest state is that the standby has. The KVM hosts are asked side by
    side; one that does not answer is shown as such. The next run is unknown without a daemon.
    """
    if nagios:
        raise typer.Exit(_print_for_monitoring(context, config, profiles or ()))
    root, looks = _survey(context, config, profiles or ())
    print_looks(looks, as_json=as_json, nothing=f"no profiles in {root / 'profiles'}")


def _survey(
    context: typer.Context, config: Path | None, profiles: list[str] | tuple[()]
) -> tuple[Path, tuple[StandbyLook | NotSeen, ...]]:
    from standby.app.inspect import survey  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.knowing import knowing  # noqa: PLC0415

    with looking(context, config) as session, knowing(session) as known:
        return session.root, survey(session, known, profiles)


def _print_for_monitoring(
    context: typer.Context, config: Path | None, profiles: list[str] | tuple[()]
) -> int:
    try:
        _, looks = _survey(context, config, profiles)
        text, status = plugin_output(looks)
    except StandbyError as error:
        text, status = plugin_failure(error)
    typer.echo(text)
    return status.value

"""`standby list`: the standby of every profile, a line for each."""

from __future__ import annotations

import typer

from standby.cli.look_output import print_looks
from standby.cli.options import ConfigOption, JsonOption
from standby.cli.work import looking

EPILOG = "Example: standby list --json"


def list_standbys(
    context: typer.Context,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the standbys of all profiles: state, newest boot point, its age, problems.

    The KVM hosts are asked side by side; one that does not answer is shown as such.
    """
    from standby.app.inspect import survey  # noqa: PLC0415 - 0.3 s that --help does not need

    with looking(context, config) as session:
        looks = survey(session)
        nothing = f"no profiles in {session.root / 'profiles'}"
    print_looks(looks, as_json=as_json, nothing=nothing)

"""`standby vms`: the standbys that a host keeps, found by their manifests."""

from __future__ import annotations

from typing import Annotated

import typer

from standby.cli.look_output import print_looks
from standby.cli.options import ConfigOption, JsonOption
from standby.cli.work import looking

EPILOG = "Example: standby vms kvm1 --storage /srv/standby"


def vms(
    context: typer.Context,
    host: Annotated[str, typer.Argument(metavar="HOST", help="A host's name, from hosts/.")],
    *,
    storage: Annotated[
        list[str] | None,
        typer.Option(
            "--storage",
            metavar="DIR",
            help="Look in this directory of the host too; may be given more than once.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the standbys found on a KVM host, whether or not a profile names them.

    Looks where profiles of this host keep theirs, and where its libvirt knows of any.
    """
    from standby.app.inspect import standbys_on  # noqa: PLC0415 - 0.3 s --help does not need

    with looking(context, config) as session:
        looks = standbys_on(session, host, storage or ())
    print_looks(looks, as_json=as_json, nothing=f"no standbys found on {host}")

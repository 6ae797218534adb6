"""`standby resync`: read a whole machine, send what differs from its standby."""

from __future__ import annotations

import typer

from standby.cli.options import ConfigOption, JsonOption, ProfileArgument
from standby.cli.run import run_and_print
from standby.model.plan import Copying, CycleRequest

EPILOG = "Example: standby resync web1"


def resync(
    context: typer.Context,
    profile: ProfileArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run one cycle that reads all of the machine's disks and sends the blocks that differ.

    A cycle does so by itself for a disk whose history of changes is lost, and says why.
    """
    run_and_print(context, config, profile, CycleRequest(Copying.WHAT_DIFFERS), as_json=as_json)

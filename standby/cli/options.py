"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

STANDBY_HELP = "A profile's name or file, or HOST/NAME-OR-UUID, which needs no profile."
POINT_HELP = "A name (V20261122_035600), latest, latest~2, or before:TIME in local time."

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="DIR",
        help="Configuration root (else $STANDBY_CONFIG, ~/.config/standby, /etc/standby).",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SpoiltOption = Annotated[
    bool, typer.Option("--spoilt", help="Take the boot point even if it is known to be damaged.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")]
ProfileArgument = Annotated[
    str, typer.Argument(metavar="PROFILE", help="A profile's name, or its file.")
]
StandbyArgument = Annotated[str, typer.Argument(metavar="STANDBY", help=STANDBY_HELP)]
PointArgument = Annotated[str, typer.Argument(metavar="POINT", help=POINT_HELP)]

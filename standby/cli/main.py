"""The command line: the options that all commands share, and what errors look like."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from standby.cli.logs import start_logging, wanted
from standby.cli.options import ConfigOption
from standby.cli.verbs import Verbs
from standby.errors import ExitStatus, StandbyError

NAMES_OF_OTHERS = """\
What others call these things: a boot point is a recovery point (Hyper-V Replica), a snapshot or
checkpoint, and `standby points`, `revert`, `vms` do what aipcontrol's list_snapshot,
revert_snapshot and `kvm listvm`, Get-VMSnapshot and `virsh snapshot-list` do: see
docs/names-of-others.md. Example: standby run web1 && standby points web1
"""

_VERBOSE = ("--verbose", "-v")

app = typer.Typer(
    name="standby",
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted_version: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted_version:
        typer.echo(f"standby {version('standby')}")
        raise typer.Exit


@app.callback(epilog=NAMES_OF_OTHERS)
def options(
    *,
    config: ConfigOption = None,  # noqa: ARG001 - read from the context by commands
    verbose: Annotated[
        bool, typer.Option(*_VERBOSE, help="Log every command and every QMP message.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - typer prints it
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Dormant, bootable standby replicas of machines on KVM hosts.

    STANDBY is a profile's name or file, or HOST/NAME-OR-UUID, which needs no profile. POINT is a
    boot point's name, latest, latest~2 (two before it), or before:TIME in local time.

    Exit status: 0 done, 1 failed, 2 wrong usage, 75 busy (try later), 130 interrupted.
    """
    start_logging(wanted(verbose=verbose))


def _flags_first(words: list[str]) -> list[str]:
    """Move --verbose before the command: nobody remembers that it is not the command's own."""
    ours = words[: words.index("--")] if "--" in words else words
    flags = [word for word in ours if word in _VERBOSE]
    rest = [word for word in ours if word not in _VERBOSE]
    return [*flags, *rest, *words[len(ours) :]]


def main() -> None:
    """Run the command line of this process and exit with its status."""
    try:
        app(_flags_first(sys.argv[1:]), prog_name="standby")
    except StandbyError as error:
        typer.echo(f"standby: {error}", err=True)
        sys.exit(error.exit_status.value)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.CANCELLED.value)

"""The command line: every command, the options they share, and what errors look like."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from standby.cli import (
    cancel,
    check,
    history,
    host,
    log,
    metrics,
    mount,
    notify,
    pause,
    pin,
    points,
    profile,
    reload,
    remove,
    resync,
    revert,
    run,
    schedule,
    seeds,
    serve,
    show,
    stats,
    verify,
    vms,
    watch,
)
from standby.cli import list as list_
from standby.cli.logs import start_logging, wanted
from standby.cli.options import ConfigOption
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
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=check.EPILOG, short_help="Look at all that a profile depends on.")(check.check)
app.command(epilog=run.EPILOG, short_help="Run one cycle now.")(run.run)
app.command(epilog=resync.EPILOG, short_help="Send what differs.")(resync.resync)
app.command(epilog=schedule.EPILOG, short_help="List its coming runs.")(schedule.schedule)
app.command(epilog=serve.EPILOG, short_help="Run all profiles by schedule.")(serve.serve)
app.command(epilog=watch.EPILOG, short_help="Show what runs now.")(watch.watch)
app.command(epilog=reload.EPILOG, short_help="Take in changed files.")(reload.reload)
app.command(epilog=cancel.EPILOG, short_help="Stop a run.")(cancel.cancel)
app.command(epilog=pause.PAUSE_EPILOG, short_help="Leave a machine alone.")(pause.pause)
app.command(epilog=pause.RESUME_EPILOG, short_help="End a pause.")(pause.resume)
app.command(
    "export-seed", epilog=seeds.EXPORT_EPILOG, short_help="Write a first copy to a medium."
)(seeds.export_seed)
app.command("import-seed", epilog=seeds.IMPORT_EPILOG, short_help="Take in a first copy.")(
    seeds.import_seed
)
app.command("list", epilog=list_.EPILOG, short_help="List all standbys.")(list_.list_standbys)
app.command(epilog=show.EPILOG, short_help="Show one standby.")(show.show)
app.command(epilog=points.EPILOG, short_help="List its boot points.")(points.points)
app.command(epilog=revert.EPILOG, short_help="Choose the boot point it boots.")(revert.revert)
app.command(epilog=pin.PIN_EPILOG, short_help="Keep a boot point.")(pin.pin)
app.command(epilog=pin.UNPIN_EPILOG, short_help="Let a boot point be merged.")(pin.unpin)
app.command(epilog=mount.EPILOG, short_help="Read files of a boot point.")(mount.mount)
app.command(epilog=verify.EPILOG, short_help="Compare with the digests.")(verify.verify)
app.command(epilog=metrics.EPILOG, short_help="Print figures for Prometheus.")(metrics.metrics)
app.command(epilog=vms.EPILOG, short_help="List the standbys found on a host.")(vms.vms)
app.command(epilog=remove.EPILOG, short_help="Stop protecting a machine.")(remove.remove)
app.command(epilog=history.EPILOG, short_help="List what was done.")(history.history)
app.command(epilog=log.EPILOG, short_help="Print the log of a run.")(log.log)
app.command(epilog=stats.EPILOG, short_help="Count a machine's cycles.")(stats.stats)
app.add_typer(host.app)
app.add_typer(profile.app)
app.add_typer(notify.app)


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

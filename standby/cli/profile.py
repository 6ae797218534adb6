"""`standby profile`: look at profiles, write the first one, describe the keys."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from standby.cli import profile_edit
from standby.profile.file_kind import FileKind
from standby.profile.mistakes import Mistake, Plain, ProfileMistakes, dotted
from standby.profile.root import Layout, find_root, place_for_first

if TYPE_CHECKING:
    from standby.profile import Configuration, Profile

app = typer.Typer(
    name="profile",
    help="Profiles: how each machine is protected.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_PIPED_WIDTH = 160  # columns; what reads a pipe wants whole lines

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


@app.command(epilog="Example: standby profile show web1")
def show(
    context: typer.Context,
    profile: Annotated[str, typer.Argument(help="A profile's name, or its file.")],
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every value that holds for a profile, and where it comes from."""
    from standby.profile import Configuration  # noqa: PLC0415 - 0.3 s that --help does not need

    loaded = Configuration(_root(context, config)).profile(profile)
    if as_json:
        _print_json(_as_json(loaded))
    else:
        _print_table(loaded)


@app.command(epilog="Example: standby profile check web1")
def check(
    context: typer.Context,
    profiles: Annotated[
        list[str] | None,
        typer.Argument(help="Names or files of profiles; all files of the root if none."),
    ] = None,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for mistakes in the files. No host is contacted: standby check does that."""
    from standby.profile import Configuration, survey  # noqa: PLC0415

    configuration = Configuration(_root(context, config))
    try:
        loaded = _each(configuration, profiles) if profiles else survey(configuration)
    except ProfileMistakes as error:
        if not as_json:
            raise
        _print_json({"profiles": [], "mistakes": [_mistake(it) for it in error.mistakes]})
        raise typer.Exit(error.exit_status.value) from error
    if as_json:
        _print_json({"profiles": [_summary(profile) for profile in loaded], "mistakes": []})
        return
    for profile in loaded:
        typer.echo(
            "{name}: {domain} on {source} -> {standby} on {target}".format(**_summary(profile))
        )
    if not loaded:
        typer.echo(f"no profiles in {configuration.layout.profiles.directory}")


@app.command(epilog="Example: standby profile new web1 --source-host hv1 --target-host kvm1")
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the profile, often the machine's own.")],
    *,
    config: ConfigOption = None,
    source_host: Annotated[str | None, typer.Option(help="Host of the machine.")] = None,
    domain: Annotated[
        str | None, typer.Option(help="The machine's domain; else the profile's name.")
    ] = None,
    target_host: Annotated[str | None, typer.Option(help="The KVM host.")] = None,
    storage: Annotated[str | None, typer.Option(help="Directory on the KVM host.")] = None,
) -> None:
    """Write a commented profile to start from; never overwrites one."""
    from standby.profile.starter import write_starter  # noqa: PLC0415

    given: dict[tuple[str, ...], Plain] = {
        path: value
        for path, value in (
            (("source", "host"), source_host),
            (("source", "domain"), domain or name),
            (("target", "host"), target_host),
            (("target", "storage"), storage),
        )
        if value is not None
    }
    layout = Layout(place_for_first(_named(context, config), os.environ, Path.home()))
    file = write_starter(layout, name, given)
    typer.echo(f"written: {file}")
    typer.echo(f"next: edit it, then: standby profile check {name}")


app.command(epilog=profile_edit.EPILOG)(profile_edit.edit)


@app.command(epilog="Example: standby profile schema > profile.schema.json")
def schema(
    *,
    kind: Annotated[
        FileKind,
        typer.Option(
            help="Profiles, what they share (defaults, policies), hosts, or the manager's own."
        ),
    ] = FileKind.PROFILE,
) -> None:
    """Print the JSON Schema of a kind of file, for editors."""
    from standby.profile.schema import json_schema  # noqa: PLC0415

    _print_json(json_schema(kind))


@app.command("reference", epilog="Example: standby profile reference > profile-reference.md")
def print_reference() -> None:
    """Print the reference of all keys as Markdown."""
    from standby.profile.reference import reference  # noqa: PLC0415

    typer.echo(reference(), nl=False)


def _root(context: typer.Context, config: Path | None) -> Path:
    return find_root(_named(context, config), os.environ, Path.home())


def _named(context: typer.Context, config: Path | None) -> Path | None:
    """Return the root named here, or before the subcommand: standby --config DIR profile …."""
    named = config or context.find_root().params.get("config")
    return Path(named) if named else None


def _each(configuration: Configuration, names: list[str]) -> list[Profile]:
    loaded: list[Profile] = []
    mistakes: list[Mistake] = []
    for name in names:
        try:
            loaded.append(configuration.profile(name))
        except ProfileMistakes as error:
            mistakes += error.mistakes
    if mistakes:
        raise ProfileMistakes.of("profiles", mistakes)
    return loaded


def _summary(profile: Profile) -> dict[str, Plain]:
    source, target = profile.source_host, profile.target_host
    return {
        "name": profile.name,
        "file": str(profile.file),
        "domain": profile.source.domain,
        "source": f"{source.name} ({source.address})",
        "standby": profile.standby_name,
        "target": f"{target.name} ({target.address})",
    }


def _mistake(mistake: Mistake) -> Plain:
    return {
        "file": str(mistake.mark.file),
        "line": mistake.mark.line,
        "key": mistake.path,
        "wrong": mistake.wrong,
        "allowed": mistake.allowed,
    }


def _print_json(value: Plain) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _as_json(profile: Profile) -> Plain:
    return {
        "name": profile.name,
        "file": str(profile.file),
        "values": profile.effective(),
        "origins": {path: str(origin) for path, origin in profile.provenance.items()},
    }


def _print_table(profile: Profile) -> None:
    from standby.profile.effective import values_of  # noqa: PLC0415
    from standby.profile.keys import one_line  # noqa: PLC0415

    table = Table(title=f"profile {profile.name}", title_justify="left")
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    for path, value in values_of(profile.effective()):
        origin = profile.provenance.get(dotted(path))
        if origin is not None:
            table.add_row(Text(dotted(path)), Text(one_line(value)), Text(str(origin)))
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table)

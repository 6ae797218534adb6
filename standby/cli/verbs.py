"""Every command of the program, loaded when somebody asks for it.

All of them together take 0.3 s of a core to load, one of them a third of that: every command
that a person, a script or a monitoring system calls would pay for the thirty that it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, cast

import typer
from typer.core import TyperGroup


@dataclass(frozen=True, slots=True)
class Verb:
    """One command: where its function stands, and the line that `standby --help` has of it.

    Names are those of the verb itself unless given: `pause` is `standby.cli.pause.pause`.
    """

    short_help: str
    module: str = ""
    function: str = ""
    epilog: str = "EPILOG"

    def load(self, name: str) -> Any:  # noqa: ANN401 - typer keeps its classes to itself
        """Return the command."""
        module = import_module(f"standby.cli.{self.module or name}")
        made = typer.Typer(rich_markup_mode=None, add_completion=False)
        declare = made.command(
            name, epilog=getattr(module, self.epilog), short_help=self.short_help
        )
        declare(getattr(module, self.function or name))
        return typer.main.get_command(made)


@dataclass(frozen=True, slots=True)
class Family:
    """Commands below a common word, such as `profile show`."""

    def load(self, name: str) -> Any:  # noqa: ANN401 - as above
        """Return the group of them."""
        return typer.main.get_group(import_module(f"standby.cli.{name}").app)


VERBS: Final[dict[str, Verb | Family]] = {
    "check": Verb("Look at all that a profile depends on."),
    "run": Verb("Run one cycle now."),
    "resync": Verb("Send what differs."),
    "schedule": Verb("List its coming runs."),
    "serve": Verb("Run all profiles by schedule."),
    "watch": Verb("Show what runs now."),
    "reload": Verb("Take in changed files."),
    "cancel": Verb("Stop a run."),
    "pause": Verb("Leave a machine alone.", epilog="PAUSE_EPILOG"),
    "resume": Verb("End a pause.", module="pause", epilog="RESUME_EPILOG"),
    "export-seed": Verb("Write a first copy to a medium.", "seeds", "export_seed", "EXPORT_EPILOG"),
    "import-seed": Verb("Take in a first copy.", "seeds", "import_seed", "IMPORT_EPILOG"),
    "list": Verb("List all standbys.", function="list_standbys"),
    "show": Verb("Show one standby."),
    "points": Verb("List its boot points."),
    "revert": Verb("Choose the boot point it boots."),
    "pin": Verb("Keep a boot point.", epilog="PIN_EPILOG"),
    "unpin": Verb("Let a boot point be merged.", module="pin", epilog="UNPIN_EPILOG"),
    "mount": Verb("Read files of a boot point."),
    "verify": Verb("Compare with the digests."),
    "metrics": Verb("Print figures for Prometheus."),
    "vms": Verb("List the standbys found on a host."),
    "remove": Verb("Stop protecting a machine."),
    "history": Verb("List what was done."),
    "log": Verb("Print the log of a run."),
    "stats": Verb("Count a machine's cycles."),
    "host": Family(),
    "profile": Family(),
    "notify": Family(),
}


class _Loading(Mapping[str, Any]):
    """Commands by name, each made when it is first looked up. None can be added."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - as above
        if name not in self._made:
            self._made[name] = VERBS[name].load(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in VERBS

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class Verbs(TyperGroup):
    """The program, whose commands are loaded one by one."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(**settings)
        # Typer would let others be added; nobody does.
        self.commands = cast(MutableMapping[str, Any], _Loading())

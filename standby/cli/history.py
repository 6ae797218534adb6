"""`standby history`: what was done, when, why, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.history_output import (
    found_as_json,
    missing,
    print_csv,
    print_runs,
)
from standby.cli.options import ConfigOption, JsonOption
from standby.cli.output import print_json, print_note
from standby.cli.periods import LastOption, SinceOption, UntilOption, period
from standby.cli.work import looking
from standby.errors import FixRequest
from standby.model.records import RunFilter, RunOrder
from standby.model.run import RunKind, RunResult

if TYPE_CHECKING:
    pass

EPILOG = "Example: standby history web1 --result failed --last 7d"

ProfileFilter = Annotated[
    str | None, typer.Argument(metavar="[PROFILE]", help="Only its runs; it may be gone.")
]
KindOption = Annotated[
    list[RunKind] | None, typer.Option("--kind", help="Only these; may be given again.")
]
ResultOption = Annotated[
    list[RunResult] | None, typer.Option("--result", help="Only these; may be given again.")
]
SortOption = Annotated[RunOrder, typer.Option("--sort", help="By what; 50 on a page.")]
PageOption = Annotated[int, typer.Option("--page", min=1, help="Which page.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV, all pages, oldest first.")]


def history(  # noqa: PLR0913 - a parameter for each option
    context: typer.Context,
    profile: ProfileFilter = None,
    *,
    kind: KindOption = None,
    result: ResultOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    last: LastOption = None,
    sort: SortOption = RunOrder.NEWEST,
    page: PageOption = 1,
    as_csv: CsvOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs of this host: cycles, and what was done by hand. Asks no other host.

    A run whose manager died in the midst of it is "lost". What the history does not know is said.
    """
    from standby.app.history import LookBack  # noqa: PLC0415 - 0.5 s that --help does not need

    if as_csv and as_json:
        raise FixRequest("--csv and --json", "both were given", "one of them")
    with looking(context, config) as session, LookBack(session) as back:
        begin, end = period(since, until, last, session.clock.now())
        kinds, results = frozenset(kind or ()), frozenset(result or ())
        wanted = RunFilter(profile, kinds, results, begin, end)
        found = back.find(wanted, sort, page)
        if as_csv:
            print_csv(back.each(wanted))
        elif as_json:
            print_json(found_as_json(found))
        else:
            print_runs(found.page)
    if not as_json:
        for note in missing(found):
            print_note(note)

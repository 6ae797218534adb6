"""`standby show`: all there is to say about one standby."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from standby.cli.look_output import look_as_json, newest_and_age, state
from standby.cli.options import ConfigOption, JsonOption, StandbyArgument
from standby.cli.output import local, print_facts, print_json
from standby.cli.run_output import merge_lines
from standby.cli.work import looking
from standby.planning.replicate import checkpoint_owner
from standby.planning.space import readable

if TYPE_CHECKING:
    from standby.app.inspect import StandbyLook

EPILOG = "Example: standby show web1"


def show(
    context: typer.Context,
    standby: StandbyArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a standby: state, newest boot point, next merge, space, problems and their remedies."""
    from standby.app.inspect import look_at  # noqa: PLC0415 - 0.3 s that --help does not need
    from standby.app.places import locate  # noqa: PLC0415

    with looking(context, config) as session:
        look = look_at(session, locate(session, standby))
    if as_json:
        print_json(look_as_json(look))
    else:
        print_facts(facts(look))


def facts(look: StandbyLook) -> Iterator[tuple[str, str]]:
    """Say what is known of a standby, fact by fact; a remedy follows its problem."""
    manifest, profile = look.manifest, look.place.profile
    yield "standby", f"{manifest.standby} on {look.place.host.name}"
    yield "machine", f"{manifest.machine.name} on {profile.source_host.name}"
    yield "state", state(look)
    yield "newest boot point", newest_and_age(look)
    yield "boot points", f"{len(manifest.points)} of at most {look.merges.keep.limit}"
    yield "next merge", _next_merge(look)
    yield "head", _head(look)
    yield "domain", look.target.domain.value
    yield "directory", look.place.directory.path
    yield "space", f"{readable(look.stored)} taken, {readable(look.target.available)} free"
    if manifest.awaits is not None:
        yield "waits for", f"{manifest.awaits.medium}, since {local(manifest.awaits.since)}"
    for seed in look.target.unfinished:
        yield "interrupted copy", f"{seed.disk}: {readable(seed.stored)} kept, the next run goes on"
    yield "checkpoints", f"{checkpoint_owner(profile.name, manifest.token)}* on the source"
    for problem in look.problems:
        yield problem.severity.value, problem.text
        yield "", problem.remedy


def _next_merge(look: StandbyLook) -> str:
    due = list(merge_lines(look.merges))
    if due:
        return f"now: {'; '.join(due)}"
    later = list(merge_lines(look.next_merges))
    return f"after one more boot point: {later[0]}" if later else "none before more boot points"


def _head(look: StandbyLook) -> str:
    head = look.target.head
    stands_on = f", on {head.stands_on}" if head.stands_on else ""
    chosen = " (reverted to)" if look.manifest.reverted_to else ""
    return f"{head.use.value}{stands_on}{chosen}"

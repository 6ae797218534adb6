"""`standby show`: all there is to say about one standby."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from standby.cli.look_output import (
    UNKNOWN,
    look_as_json,
    newest_and_age,
    no_next_run,
    state,
)
from standby.cli.options import ConfigOption, JsonOption, StandbyArgument
from standby.cli.output import local, print_facts, print_json
from standby.cli.run_output import merge_lines
from standby.cli.stats import statistics_as_json, statistics_facts
from standby.cli.work import looking
from standby.model.amount import readable
from standby.planning.durations import readable_duration
from standby.planning.replicate import checkpoint_owner
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.health_page import HealthPage, Pending
    from standby.app.inspect import StandbyLook

_ERRORS_SHOWN = 5  # the last; standby stats tells more

EPILOG = "Example: standby show web1"


def show(
    context: typer.Context,
    standby: StandbyArgument,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a standby: state, health with reasons and remedies, lag, next run and merge, statistics.

    Its machine is asked too, for what changed since the newest boot point. What nobody knows
    is called unknown: statistics without a history, the next run without a daemon.
    """
    from standby.app.health_page import look_closely  # noqa: PLC0415 - 0.3 s not for --help
    from standby.app.knowing import knowing  # noqa: PLC0415
    from standby.app.places import locate  # noqa: PLC0415

    with looking(context, config) as session, knowing(session) as known:
        page = look_closely(session, locate(session, standby), known)
    if as_json:
        print_json(page_as_json(page))
    else:
        print_facts(page_facts(page))


def page_as_json(page: HealthPage) -> Plain:
    """Return all that is known of a standby for programs. Bytes, seconds, UTC."""
    statistics, pending = page.statistics, page.pending
    return {
        **look_as_json(page.look),
        "pending": {
            "bytes": pending.total,
            "disks": dict(pending.disks),
            "unknown": pending.unknown or None,
        },
        "statistics": statistics_as_json(statistics) if statistics else None,
    }


def page_facts(page: HealthPage) -> Iterator[tuple[str, str]]:
    """Say what is known of a standby, fact by fact; a remedy follows its problem."""
    yield from facts(page.look)
    yield "pending", _pending(page.pending)
    if page.statistics is None:
        yield "statistics", f"{UNKNOWN}, there is no history here"
    else:
        last = page.statistics.errors[-_ERRORS_SHOWN:]
        yield from statistics_facts(replace(page.statistics, errors=last))
    yield from problem_facts(page.look)


def facts(look: StandbyLook) -> Iterator[tuple[str, str]]:
    """Say what a look shows."""
    manifest, profile = look.manifest, look.place.profile
    yield "standby", f"{manifest.standby} on {look.place.host.name}"
    yield "machine", f"{manifest.machine.name} on {profile.source_host.name}"
    yield "state", state(look)
    yield "health", look.condition.health.value
    yield "newest boot point", newest_and_age(look)
    yield "may be behind", _most(look)
    yield "next run", local(look.next_run) if look.next_run else no_next_run(look)
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
    yield "checkpoints", f"{checkpoint_owner(profile.name, manifest)}* on the source"


def problem_facts(look: StandbyLook) -> Iterator[tuple[str, str]]:
    """Say what is wrong, and what to do about it."""
    for problem in look.problems:
        yield problem.severity.value, problem.text
        yield "", problem.remedy


def _most(look: StandbyLook) -> str:
    target = look.facts.target
    if target is None:
        return ""
    return readable_duration(target.most) + (", by its schedule" if target.derived else "")


def _pending(pending: Pending) -> str:
    if pending.unknown:
        return f"{UNKNOWN}: {pending.unknown}"
    changed = f"{readable(sum(pending.disks.values()))} changed since the newest boot point"
    untold = f"; {UNKNOWN} of {', '.join(pending.untold)}" if pending.untold else ""
    return changed + untold if pending.disks else untold.removeprefix("; ")


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

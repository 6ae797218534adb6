"""One standby as seen, in the words that `list`, `show` and `vms` share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from standby.cli.output import (
    NOTHING,
    local,
    print_json,
    print_note,
    print_table,
    readable_age,
    utc,
)
from standby.cli.points import point_as_json
from standby.errors import ReachHost
from standby.model.health import Problem, Severity
from standby.model.manifest import AwaitedSeed
from standby.model.observation import HeadUse
from standby.model.pause import Pause
from standby.planning.damage import damage
from standby.planning.durations import readable_duration
from standby.planning.retention import MergePlan
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.inspect import NotSeen, StandbyLook

_COLUMNS = (
    *("standby", "machine", "KVM host", "state", "health", "lag", "next run", "points"),
    "reasons",
)
UNKNOWN = "unknown"


def print_looks(looks: Sequence[StandbyLook | NotSeen], *, as_json: bool, nothing: str) -> None:
    """Print a line for each standby; `nothing` when there are none."""
    # The classes live behind the application, which --help does without.
    from standby.app.inspect import StandbyLook  # noqa: PLC0415

    if as_json:
        print_json(
            [
                look_as_json(it) if isinstance(it, StandbyLook) else not_seen_as_json(it)
                for it in looks
            ]
        )
    elif looks:
        print_table(
            "",
            _COLUMNS,
            [_row(it) if isinstance(it, StandbyLook) else _row_not_seen(it) for it in looks],
        )
    else:
        print_note(nothing)


def _row(look: StandbyLook) -> tuple[str, ...]:
    return (
        look.place.called,
        look.manifest.machine.name,
        look.place.host.name,
        state(look),
        look.condition.health.value,
        readable_age(look.age),
        next_run(look, look.at),
        f"{len(look.manifest.points)}/{look.merges.keep.limit}",
        worst(look.problems),
    )


def next_run(look: StandbyLook | NotSeen, now: datetime) -> str:
    """Say how far away the next run is; unknown when no daemon says so."""
    if look.next_run is None:
        return no_next_run(look)
    return f"in {readable_duration(look.next_run - now)}" if look.next_run > now else "due"


def no_next_run(look: StandbyLook | NotSeen) -> str:
    """Say why no moment can be told for the next run."""
    return "when resumed" if look.waits_for_resume else UNKNOWN


def _row_not_seen(seen: NotSeen) -> tuple[str, ...]:
    profile = seen.profile
    return (
        seen.called,
        profile.source.domain if profile else NOTHING,
        profile.target_host.name if profile else NOTHING,
        _state_not_seen(seen),
        seen.condition.health.value,
        UNKNOWN if seen.lag is None else readable_age(seen.lag),
        next_run(seen, seen.at),
        NOTHING,
        worst(seen.condition.problems) or str(seen.error),
    )


def _state_not_seen(seen: NotSeen) -> str:
    if seen.doing is not None:
        return seen.doing.text
    return "unreachable" if isinstance(seen.error, ReachHost) else UNKNOWN


def state(look: StandbyLook) -> str:
    """Return the standby's state in a few words."""
    text = look.doing.text if look.doing else look.state.value
    return f"{text}, runs" if look.target.head.use is HeadUse.RUNNING else text


def newest_and_age(look: StandbyLook) -> str:
    """Return the newest boot point with its local time and its age."""
    newest = look.manifest.newest
    if newest is None:
        return NOTHING
    spoilt = f"; SPOILT: {damage(newest)}" if newest.spoilt else ""
    return f"{newest.name} ({local(newest.name.moment)}), {readable_age(look.age)} ago{spoilt}"


def worst(problems: tuple[Problem, ...]) -> str:
    """Return the gravest problem in a line, and how many more there are."""
    grave = [problem for problem in problems if problem.severity is not Severity.NOTE]
    if not grave:
        return ""
    more = f" (and {len(grave) - 1} more)" if len(grave) > 1 else ""
    return f"{grave[0].severity.value}: {grave[0].text}{more}"


def look_as_json(look: StandbyLook) -> dict[str, Plain]:
    """Return what is known of a standby for programs. Bytes, seconds, UTC."""
    manifest, profile, target = look.manifest, look.place.profile, look.target
    newest = manifest.newest
    return {
        "standby": manifest.standby,
        "called": look.place.called,
        "profile": profile.name,
        "machine": {"name": manifest.machine.name, "uuid": manifest.machine.uuid},
        "source_host": profile.source_host.name,
        "kvm_host": look.place.host.name,
        "directory": look.place.directory.path,
        "state": look.state.value,
        "share": look.doing.share if look.doing else None,
        "then": look.doing.then.value if look.doing and look.doing.then else None,
        "health": look.condition.health.value,
        "domain": {
            "found": target.domain.value,
            "uuid": manifest.domain.uuid if manifest.domain else None,
        },
        "head": {
            "use": target.head.use.value,
            "stands_on": str(target.head.stands_on) if target.head.stands_on else None,
        },
        "reverted_to": str(manifest.reverted_to) if manifest.reverted_to else None,
        "newest": point_as_json(newest) if newest else None,
        "age_seconds": _seconds(look.age),
        "rpo_seconds": _seconds(look.facts.target.most if look.facts.target else None),
        "next_run": utc(look.next_run) if look.next_run else None,
        "paused": _pause_as_json(manifest.paused),
        "points": len(manifest.points),
        "limit": look.merges.keep.limit,
        "merges_due": _merges_as_json(look.merges),
        "merges_after_next_point": _merges_as_json(look.next_merges),
        "stored_bytes": look.stored,
        "available_bytes": target.available,
        "awaits": _awaited_as_json(manifest.awaits),
        "interrupted_seeds": [
            {"disk": seed.disk, "stored_bytes": seed.stored} for seed in target.unfinished
        ],
        "problems": [problem_as_json(it) for it in look.problems],
        "looked_at": utc(look.at),
    }


def not_seen_as_json(seen: NotSeen) -> Plain:
    """Return for programs why a standby could not be looked at."""
    profile = seen.profile
    return {
        "called": seen.called,
        "standby": profile.standby_name if profile else None,
        "kvm_host": profile.target_host.name if profile else None,
        "state": seen.doing.state.value if seen.doing else None,
        "health": seen.condition.health.value,
        "age_seconds": _seconds(seen.lag),
        "next_run": utc(seen.next_run) if seen.next_run else None,
        "problems": [problem_as_json(it) for it in seen.condition.problems],
        "error": {"kind": type(seen.error).__name__, "text": str(seen.error)},
    }


def problem_as_json(problem: Problem) -> Plain:
    """Return a problem for programs; its concern is the same word for as long as it lasts."""
    return {
        "concern": problem.concern.value,
        "severity": problem.severity.value,
        "text": problem.text,
        "remedy": problem.remedy,
    }


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())


def _pause_as_json(pause: Pause | None) -> Plain:
    if pause is None:
        return None
    return {
        "since": utc(pause.since),
        "until": utc(pause.until) if pause.until else None,
        "reason": pause.reason,
        "by": pause.by,
    }


def _awaited_as_json(awaited: AwaitedSeed | None) -> Plain:
    if awaited is None:
        return None
    return {
        "medium": awaited.medium,
        "since": utc(awaited.since),
        "checkpoint": awaited.checkpoint,
    }


def _merges_as_json(plan: MergePlan) -> Plain:
    return {
        "due": [
            {"older": str(it.older), "younger": str(it.younger), "cause": it.cause.value}
            for it in plan.merges
        ],
        "waiting": [
            {"older": str(it.older), "younger": str(it.younger), "obstacle": it.obstacle}
            for it in plan.deferred
        ],
    }

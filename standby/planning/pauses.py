"""Pauses: what they keep from being done, and what they do not. Moments are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from standby.errors import FixRequest, Paused, StopStandbyFirst
from standby.model.manifest import Manifest
from standby.model.pause import Pause
from standby.model.run import Cause
from standby.model.state import State


def begin_pause(manifest: Manifest, asked: Pause) -> Manifest:
    """Return the manifest with a pause as `asked`; one that holds already keeps its beginning.

    Raises FixRequest for a pause that is over as it begins, and in the midst of a failover.
    """
    now = asked.since
    refuse_past_pause(f"standby {manifest.standby}", asked.until, now)
    if manifest.failover in {State.FAILED_OVER, State.PREPARED}:
        raise FixRequest(
            f"standby {manifest.standby}",
            f"{manifest.failover.value}: nothing is replicated that could be paused",
        )
    running = manifest.paused
    since = running.since if running is not None and running.holds(now) else now
    return manifest.with_pause(Pause(min(since, now), asked.until, asked.reason, asked.by))


def refuse_past_pause(subject: str, until: datetime | None, now: datetime) -> None:
    """Raise FixRequest for a pause that is over as it begins."""
    if until is not None and until <= now:
        raise FixRequest(
            subject, f"a pause until {_shown(until)}, which has passed", "a time to come"
        )


def refuse_while_paused(manifest: Manifest, called: str, cause: Cause, now: datetime) -> None:
    """Raise Paused for a run that nobody asked for by hand; `called` is for commands."""
    pause = manifest.paused
    if pause is None or not pause.holds(now) or cause is Cause.HAND:
        return
    raise Paused(
        f"standby {manifest.standby}",
        described(pause),
        "a standby that is not paused",
        f"standby resume {called}; one run all the same: standby run {called}",
        until=pause.until,
    )


def refuse_while_failed_over(manifest: Manifest) -> None:
    """Raise StopStandbyFirst when the standby took the machine's place, or is about to."""
    if manifest.failover not in {State.FAILED_OVER, State.PREPARED}:
        return
    raise StopStandbyFirst(
        f"standby {manifest.standby}",
        manifest.failover.value,
        "a standby that follows its machine",
        "end the failover first",
    )


def pause_warning(manifest: Manifest, now: datetime) -> tuple[str, ...]:
    """Say that a run by hand does not end the pause; nothing when there is none."""
    pause = manifest.paused
    if pause is None or not pause.holds(now):
        return ()
    return (f"{described(pause)}; this run was asked for by hand, and the pause goes on",)


def described(pause: Pause) -> str:
    """Say in a line since when, until when, by whom and why."""
    until = f" until {_shown(pause.until)}" if pause.until else ""
    by = f" by {pause.by}" if pause.by else ""
    reason = f": {pause.reason}" if pause.reason else ""
    return f"paused since {_shown(pause.since)}{until}{by}{reason}"


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

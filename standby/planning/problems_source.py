"""What a look at the machine itself shows."""

from __future__ import annotations

from collections.abc import Iterator

from standby.model.amount import readable
from standby.model.health import Concern, Problem, Severity
from standby.model.observation import SourceObservation


def source_problems(source: SourceObservation, called: str) -> Iterator[Problem]:
    """Yield what is wrong with a machine that a cycle would find."""
    yield from _moving(source)
    yield from _many_changes(source, called)


def _moving(source: SourceObservation) -> Iterator[Problem]:
    if source.moving:
        yield Problem(
            Concern.MOVING,
            Severity.WARNING,
            f"the storage of {', '.join(source.moving)} is being moved",
            "cycles may fail until that has ended; the next may read the whole disk",
        )


def _many_changes(source: SourceObservation, called: str) -> Iterator[Problem]:
    newest = source.checkpoints[-1].name if source.checkpoints else ""
    pending = changed_since(source, newest)
    for disk in source.disks:
        changed = pending.get(disk.name)
        if changed is not None and 2 * changed > disk.size:
            yield Problem(
                Concern.CHANGES,
                Severity.WARNING,
                f"{readable(changed)} of disk {disk.name}, which has {readable(disk.size)}, "
                "changed since the newest boot point",
                f"the next cycle sends as much: standby run {called}",
            )


def changed_since(source: SourceObservation, checkpoint: str) -> dict[str, int]:
    """Return how many bytes of each disk changed since a checkpoint of ours.

    What cannot be told is left out.
    """
    tracked = next((it.disks for it in source.checkpoints if it.name == checkpoint), ())
    return {it.disk: it.changed for it in tracked if it.changed is not None and it.lost is None}

"""What a standby is, told from what lasts and from what is done to it now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from standby.model.health import Concern, Problem, Severity
from standby.model.point import Way
from standby.model.run import RunKind
from standby.model.state import State

MERGES: Final = frozenset({"merge", "finish merges"})
_MAY_BE_AN_ERROR: Final = frozenset({State.PROTECTED, State.WAITING_FOR_SEED, State.REVERSED})


def state_at_work(
    kind: RunKind, phase: str, lasting: State | None, way: Way | None = None
) -> State | None:
    """Return what a run makes of a standby while it runs; None for one that moves no data.

    `phase` is that of the cycle, `lasting` the state without the run, `way` how it brings the
    machine over; None when nobody knows.
    """
    if phase in MERGES:
        return State.MERGING
    if kind is RunKind.RESYNC or way is Way.RESYNC:
        return State.RESYNCING
    first = lasting is State.WAITING_FOR_SEED or (lasting is None and way is Way.SEED)
    if kind is RunKind.IMPORT_SEED or (kind.is_cycle and first):
        return State.SEEDING
    return State.REPLICATING if kind.is_cycle else None


def resting_state(lasting: State, problems: Iterable[Problem]) -> State:
    """Return what a standby is while nothing is done to it: an error when only a person helps."""
    hopeless = any(
        it.concern is Concern.FAILED_RUNS and it.severity is Severity.CRITICAL for it in problems
    )
    return State.ERROR if hopeless and lasting in _MAY_BE_AN_ERROR else lasting

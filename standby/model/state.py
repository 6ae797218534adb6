"""The states of a standby, in the words that every surface uses, and how they may follow."""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """What a standby is, or what is being done to it."""

    WAITING_FOR_SEED = "waiting for seed"
    SEEDING = "seeding"
    REPLICATING = "replicating"
    RESYNCING = "resyncing"
    MERGING = "merging"
    PROTECTED = "protected"
    PAUSED = "paused"
    FAILED_OVER = "failed over (unprotected)"
    PREPARED = "prepared for planned failover"
    REVERSED = "reversed"
    ERROR = "error"

    @property
    def is_lasting(self) -> bool:
        """Whether it outlives the run that led to it: then the manifest knows it."""
        return self not in {
            State.SEEDING, State.REPLICATING, State.RESYNCING, State.MERGING, State.ERROR
        }  # fmt: skip


_AT_WORK: Final = frozenset({State.REPLICATING, State.RESYNCING, State.MERGING})
_RESTING: Final = frozenset({State.PROTECTED, State.PAUSED, State.ERROR})

FOLLOWS: Final = {
    State.WAITING_FOR_SEED: frozenset(
        {State.SEEDING, State.PAUSED, State.ERROR, State.PROTECTED}
    ),  # protected at once when a seed is taken in from a medium
    State.SEEDING: frozenset({State.WAITING_FOR_SEED, State.MERGING, *_RESTING}),
    State.REPLICATING: frozenset({State.RESYNCING, State.MERGING, *_RESTING}),
    State.RESYNCING: frozenset({State.MERGING, *_RESTING}),
    State.MERGING: _RESTING | {State.REPLICATING, State.RESYNCING, State.SEEDING},
    State.PROTECTED: _AT_WORK
    | {State.PAUSED, State.FAILED_OVER, State.PREPARED, State.ERROR, State.WAITING_FOR_SEED},
    State.PAUSED: frozenset(
        {State.PROTECTED, State.WAITING_FOR_SEED, State.FAILED_OVER, State.ERROR, *_AT_WORK}
    ),  # a run by hand works on a paused standby too
    State.FAILED_OVER: frozenset({State.PROTECTED, State.REVERSED, State.ERROR}),
    State.PREPARED: frozenset({State.PROTECTED, State.FAILED_OVER, State.ERROR}),
    State.REVERSED: _AT_WORK | {State.PROTECTED, State.PAUSED, State.FAILED_OVER, State.ERROR},
    State.ERROR: frozenset(State) - {State.ERROR},
}
"""Which states may follow each. Property tests walk it; a surface that is told of another step
shows it nevertheless: the KVM host is the truth."""


def may_follow(state: State, following: State) -> bool:
    """Tell whether `following` may come right after `state`; staying is always allowed."""
    return following is state or following in FOLLOWS[state]

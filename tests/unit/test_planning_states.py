"""What a standby is, told from what lasts and from what is done to it now."""

from __future__ import annotations

import pytest

from standby.model.health import Concern, Problem, Severity
from standby.model.point import Way
from standby.model.run import RunKind
from standby.model.state import State
from standby.planning.states import resting_state, state_at_work


@pytest.mark.parametrize(
    ("kind", "phase", "lasting", "state"),
    [
        (RunKind.CYCLE, "transfer", State.PROTECTED, State.REPLICATING),
        (RunKind.CYCLE, "transfer", State.WAITING_FOR_SEED, State.SEEDING),
        (RunKind.CYCLE, "transfer", State.PAUSED, State.REPLICATING),
        (RunKind.CYCLE, "transfer", None, State.REPLICATING),
        (RunKind.CYCLE, "merge", State.PROTECTED, State.MERGING),
        (RunKind.RESYNC, "finish merges", State.PROTECTED, State.MERGING),
        (RunKind.RESYNC, "transfer", State.PROTECTED, State.RESYNCING),
        (RunKind.FULL_COPY, "", State.PROTECTED, State.REPLICATING),
        (RunKind.IMPORT_SEED, "", State.WAITING_FOR_SEED, State.SEEDING),
        (RunKind.VERIFY, "", State.PROTECTED, None),
        (RunKind.PAUSE, "", State.PROTECTED, None),
    ],
)
def test_a_run_makes_of_a_standby_what_it_does(
    kind: RunKind, phase: str, lasting: State | None, state: State | None
) -> None:
    assert state_at_work(kind, phase, lasting) is state


@pytest.mark.parametrize(
    ("way", "lasting", "state"),
    [
        (Way.RESYNC, State.PROTECTED, State.RESYNCING),
        (Way.INCREMENTAL, State.PROTECTED, State.REPLICATING),
        (Way.SEED, State.PROTECTED, State.REPLICATING),  # a full copy that somebody asked for
        (Way.SEED, State.WAITING_FOR_SEED, State.SEEDING),
        (Way.SEED, None, State.SEEDING),
    ],
)
def test_a_cycle_whose_history_was_lost_resyncs(
    way: Way, lasting: State | None, state: State
) -> None:
    assert state_at_work(RunKind.CYCLE, "transfer", lasting, way) is state


@pytest.mark.parametrize("kind", RunKind)
@pytest.mark.parametrize("lasting", [None, *State])
def test_what_is_at_work_never_lasts(kind: RunKind, lasting: State | None) -> None:
    state = state_at_work(kind, "transfer", lasting)
    assert state is None or not state.is_lasting


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("concern", [Concern.FAILED_RUNS, Concern.RPO])
@pytest.mark.parametrize("lasting", [state for state in State if state.is_lasting])
def test_a_standby_is_an_error_when_only_a_person_helps(
    lasting: State, concern: Concern, severity: Severity
) -> None:
    found = (Problem(concern, severity, "", ""),)
    hopeless = concern is Concern.FAILED_RUNS and severity is Severity.CRITICAL
    chosen = lasting in {State.PAUSED, State.FAILED_OVER, State.PREPARED}
    assert resting_state(lasting, found) is (State.ERROR if hopeless and not chosen else lasting)

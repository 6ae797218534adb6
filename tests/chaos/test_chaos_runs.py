"""Whatever strikes: every boot point stays what it was, and no full copy is ever sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from support_manager import ManagerHost

from tests.chaos.driver import Chaos
from tests.chaos.faults import mend_hosts
from tests.chaos.scenario import QUICK_SEEDS, quick_runs


@pytest.mark.system
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(QUICK_SEEDS))
def test_no_fault_loses_a_point_or_leads_to_a_full_copy(
    managers: ManagerHost, tmp_path: Path, seed: int
) -> None:
    mend_hosts(managers.lab)  # what failed before is not to blame
    chaos, runs = Chaos(managers.lab, managers, tmp_path), quick_runs(seed)
    try:
        for run in runs:
            print(f"seed {seed}, run {run}")  # pytest shows it when the run fails
            chaos.run(run)
    finally:
        chaos.close()
    assert chaos.tally.points >= len(runs)
    assert chaos.tally.struck

"""First copies that were interrupted: which go on, and which are given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from standby.model.plan import DiskPlan
from standby.model.seed import UnfinishedSeed


def going_on(plan: DiskPlan, unfinished: Sequence[UnfinishedSeed]) -> DiskPlan:
    """Return the plan of a first copy that goes on where an interrupted one of it ended.

    A disk of another size is another disk. Of several the newest goes on.
    """
    fitting = [it for it in unfinished if _is_of(it, plan)]
    if plan.below is not None or not fitting:
        return plan
    reason = f"{plan.reason}, going on with an interrupted one"
    return replace(plan, reason=reason, continues=fitting[-1])


def given_up(disks: Sequence[DiskPlan], unfinished: Sequence[UnfinishedSeed]) -> tuple[str, ...]:
    """Return the files of interrupted first copies that no disk goes on with."""
    kept = {plan.continues for plan in disks}
    return tuple(file for seed in unfinished if seed not in kept for file in seed.files)


def _is_of(seed: UnfinishedSeed, plan: DiskPlan) -> bool:
    return (seed.disk, seed.size) == (plan.disk.name, plan.disk.size)

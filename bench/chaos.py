"""How often the fault suite struck, and what it found lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from bench.run import CHECKOUT, Benchmark, Measured

_RUNS = os.environ.get("BENCH_CHAOS_RUNS", "60")


@cache
def _tally() -> Mapping[str, float]:
    """Run it once for all figures; its seed is new each time, and printed."""
    argv = [sys.executable, "-m", "tests.chaos", "--runs", _RUNS]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "tests/system")}
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, flush=True)
    tally: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    if done.returncode and not tally["lost_points"] and not tally["full_copies"]:
        raise RuntimeError("the fault suite broke off; see above")
    return tally


def _figure(name: str, work: str, key: str, goal: str | None) -> Benchmark:
    def measure(_: Path) -> Measured:
        return Measured(_tally()[key])

    return Benchmark(name, work, "", "", goal, measure, "chaos")


BENCHMARKS = (
    _figure("chaos_runs", "random cycles struck by random faults", "runs", None),
    _figure("chaos_lost_points", "boot points that changed", "lost_points", "value <= 0"),
    _figure("chaos_full_copies", "cycles that sent too much", "full_copies", "value <= 0"),
)

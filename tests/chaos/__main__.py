"""Run the fault suite: python -m tests.chaos --runs 1000 --seed 7 [--first 0] [--quick]."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
import traceback
from pathlib import Path

from support_manager import ManagerHost

from lab import Lab
from tests.chaos.driver import Chaos
from tests.chaos.scenario import SLOW, draw

_STORAGE_BYTES = 2 << 30
_ANEW_AFTER = 50  # runs; then another machine, so that all begins small again


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="printed; the same runs again")
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument(
        "--quick", action="store_true", help="without what takes half a minute each"
    )
    asked = parser.parse_args()
    seed = secrets.randbelow(1 << 31) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    lab = Lab(f"c{os.getpid()}")
    lab.up(storage_bytes=_STORAGE_BYTES, with_parent=os.getpid())
    managers = ManagerHost(lab)
    try:
        with tempfile.TemporaryDirectory(prefix="chaos-") as place:
            return _run(managers, Path(place), seed, asked)
    finally:
        managers.close()
        lab.down()


def _run(managers: ManagerHost, place: Path, seed: int, asked: argparse.Namespace) -> int:
    without = SLOW if asked.quick else frozenset()
    chaos, status = Chaos(managers.lab, managers, place), 0
    for number in range(asked.first, asked.first + asked.runs):
        run, begun = draw(seed, number, without=without), time.monotonic()
        try:
            chaos.run(run)
        except Exception:  # noqa: BLE001 - whatever went wrong ends the suite, with the way back
            traceback.print_exc()
            print(f"failed: run {run}; again: --seed {seed} --runs {number + 1}", flush=True)
            status = 1
            break
        print(f"{run}: {time.monotonic() - begun:.1f} s", flush=True)
        if (number + 1) % _ANEW_AFTER == 0:
            chaos.close()
            chaos = Chaos(managers.lab, managers, place, chaos.tally)
    print(chaos.tally.as_json(seed), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())

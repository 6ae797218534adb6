"""Run the benchmarks: python -m bench [--only NAME,…]."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from itertools import groupby

from bench import chains, chaos, cycles, digests, growth, history, rpo, run, scheduler, transfer
from bench.run import Benchmark

ALL: tuple[Benchmark, ...] = (
    *transfer.BENCHMARKS,
    *digests.BENCHMARKS,
    *cycles.BENCHMARKS,
    *chains.BENCHMARKS,
    *growth.BENCHMARKS,
    *chaos.BENCHMARKS,
    *scheduler.BENCHMARKS,
    *rpo.BENCHMARKS,
    *history.BENCHMARKS,
)


def _chosen(names: str | None) -> list[Benchmark]:
    if not names:
        return list(ALL)
    known = {benchmark.name: benchmark for benchmark in ALL}
    wanted = names.split(",")
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in wanted]


def _each_by_itself(benchmarks: list[Benchmark]) -> list[str]:
    """Measure each in a process of its own, so that none disturbs another; return what failed."""
    failed = []
    for _, figures in groupby(benchmarks, key=lambda it: it.measurement):
        begun = time.monotonic()
        names = ",".join(figure.name for figure in figures)
        if subprocess.run([sys.executable, "-m", "bench", "--only", names], check=False).returncode:
            failed.append(names)
        print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", help="run only these")
    chosen = _chosen(parser.parse_args().only)
    begun = time.monotonic()
    if len({benchmark.measurement for benchmark in chosen}) == 1:
        run.run(chosen, ALL)
    elif failed := _each_by_itself(chosen):
        sys.exit(f"failed: {', '.join(failed)}")
    print(f"{(time.monotonic() - begun) / 60:.1f} min", flush=True)


if __name__ == "__main__":
    main()

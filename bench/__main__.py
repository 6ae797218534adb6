"""Run the benchmarks: python -m bench [--only NAME,…]."""

from __future__ import annotations

import argparse
import sys

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


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", help="run only these")
    run.run(_chosen(parser.parse_args().only), ALL)


if __name__ == "__main__":
    main()

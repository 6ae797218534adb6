"""A daemon with a thousand profiles whose cycles are simulated: how late, at what cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from bench.run import CHECKOUT, Benchmark, Measured

PROFILES = 1000
_SOURCES, _KVM_HOSTS = 10, 5
_SECONDS = int(os.environ.get("BENCH_SCHEDULER_SECONDS", "600"))

PROFILE = """\
source: {{type: libvirt, host: source{source}, domain: machine{number}, consistency: crash}}
target: {{host: kvm{kvm}, storage: /srv/standby}}
schedule: {{every: 5m}}
"""


@cache
def _found(mode: str) -> dict[str, float]:
    """Let a daemon of its own process run; return what it found."""
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        root = write_configuration(Path(place) / "configuration")
        argv = [sys.executable, "-m", "bench.scheduler_driver", mode, str(root), str(_SECONDS)]
        environment = {
            **os.environ,
            "STANDBY_STATE": str(Path(place) / "state"),
            "PYTHONPATH": str(CHECKOUT),
        }
        done = subprocess.run(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        found: dict[str, float] = json.loads(done.stdout)
    print(f"  {mode}: {found}", flush=True)
    return found


def write_configuration(root: Path) -> Path:
    """Write a thousand profiles of machines on several hosts."""
    for folder in ("profiles", "hosts"):
        (root / folder).mkdir(parents=True)
    for kind, count in (("source", _SOURCES), ("kvm", _KVM_HOSTS)):
        for number in range(count):
            (root / f"hosts/{kind}{number}.yaml").write_text(f"address: root@{kind}{number}\n")
    for number in range(PROFILES):
        text = PROFILE.format(number=number, source=number % _SOURCES, kvm=number % _KVM_HOSTS)
        (root / f"profiles/machine{number:04}.yaml").write_text(text)
    return root


def _of(mode: str, what: str) -> Callable[[Path], Measured]:
    def measure(_: Path) -> Measured:
        return Measured(_found(mode)[what])

    return measure


_REAL = f"{PROFILES} profiles, a simulated cycle of 200 ms every 5 minutes, for {_SECONDS} s: "
_DAY = f"the same for a day of a simulated clock, {PROFILES * 288} runs: "

BENCHMARKS = (
    Benchmark(
        "scheduler_lateness_p99",
        _REAL + "from due to begun, 99 % are below",
        "",
        "s",
        "value <= 1.0",
        _of("real", "lateness_p99"), "real",
    ),
    Benchmark(
        "scheduler_lateness_p50", _REAL + "half are below", "", "s", None,
        _of("real", "lateness_p50"), "real",
    ),
    Benchmark(
        "scheduler_cpu", _REAL + "share of a core", "", "cores", "value <= 0.05",
        _of("real", "cpu"), "real",
    ),
    Benchmark(
        "scheduler_rss", _REAL + "the most memory", "", "MiB", "value <= 300",
        _of("real", "rss"), "real",
    ),
    Benchmark(
        "scheduler_day_lateness_p99", _DAY + "from due to begun", "", "s", "value <= 1.0",
        _of("day", "lateness_p99"), "day",
    ),
    Benchmark(
        "scheduler_day_cpu", _DAY + "CPU time over the day", "", "cores", "value <= 0.05",
        _of("day", "cpu"), "day",
    ),
)  # fmt: skip

"""The RPO that a daemon achieves on the lab: one VM that is written to all the time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import yaml

from bench.run import CHECKOUT, Benchmark, Measured
from bench.scheduler_driver import percentile
from bench.site import GIB, MIB, PYTHON, Site, site
from lab import BlockGuest
from lab.entering import HostProcess
from lab.waiting import wait_until
from standby.model.manifest import Manifest
from standby.target.manifest_format import read_manifest

_SECONDS = int(os.environ.get("BENCH_RPO_SECONDS", "600"))
_DISK = 4 * GIB
_LIMIT = 22
_RATE = 10 * MIB
_LOOK_S = 0.1


@cache
def _found() -> dict[str, float]:
    """Sample the age of the newest boot point ten times a second, and count the points."""
    with site("manager") as here:
        guest = here.guest(_DISK, host="source")
        name = _protect(here, guest)
        manifest = here.lab.path("kvm", Path(f"/srv/standby/{name}-standby/standby.json"))
        with _writing(here, guest), _serving(here):
            wait_until(lambda: _points(manifest) > 1, "the first cycles", 300, 0.5)
            ages, most = _sampled(manifest)
    found = {"p50": percentile(ages, 0.5), "p99": percentile(ages, 0.99), "max": max(ages)}
    print(f"  over {_SECONDS} s: {found}, at most {most} boot points of {_LIMIT}", flush=True)
    return {**found, "points": most}


def _sampled(manifest: Path) -> tuple[list[float], int]:
    ages, most = [], 0
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        read = _read(manifest)
        newest = read.newest
        if newest is not None:
            seen = max(newest.true_at, newest.name.moment)
            ages.append((datetime.now(UTC) - seen).total_seconds())
        most = max(most, len(read.points))
        time.sleep(_LOOK_S)
    return ages, most


def _read(manifest: Path) -> Manifest:
    return read_manifest(manifest.read_text(), "the manifest")


def _points(manifest: Path) -> int:
    return len(_read(manifest).points) if manifest.exists() else 0


def _protect(here: Site, guest: BlockGuest) -> str:
    """Ask for a cycle every 5 s, and for tiers that thin its points out."""
    name = here.protect(guest, limit=_LIMIT)
    file = here.lab.path(here.where, here.root / f"profiles/{name}.yaml")
    profile = yaml.safe_load(file.read_text())
    profile["schedule"] = {"every": "5s"}
    profile["boot_points"]["keep"] = {"all": "1m", "hourly": 4, "daily": 2}
    file.write_text(yaml.safe_dump(profile))
    return name


@contextmanager
def _writing(here: Site, guest: BlockGuest) -> Iterator[None]:
    """Let the guest write all the time, through its own block layer."""
    entrance = here.lab.entrance("source", env={"PYTHONPATH": str(CHECKOUT)})
    argv = [PYTHON, "-m", "bench.rpo_writer", guest.name, str(_DISK), str(_RATE)]
    writer = HostProcess(entrance, argv, stdout=subprocess.DEVNULL, stderr=None)
    try:
        yield
        if writer.poll() is not None:
            raise RuntimeError("the writer ended")
    finally:
        writer.kill()
        writer.wait()


@contextmanager
def _serving(here: Site) -> Iterator[None]:
    with here.serving() as log:
        yield
    if kept := os.environ.get("BENCH_RPO_LOG"):
        Path(kept).write_text(log.read_text())


def rpo_p99(_: Path) -> Measured:
    return Measured(_found()["p99"])


def rpo_p50(_: Path) -> Measured:
    return Measured(_found()["p50"])


def rpo_max(_: Path) -> Measured:
    return Measured(_found()["max"])


def points(_: Path) -> Measured:
    return Measured(_found()["points"])


_WORK = f"{_RATE // MIB} MiB/s of random writes, every: 5s, tiers, {_SECONDS} s"

BENCHMARKS = (
    Benchmark(
        "rpo_5s_p99", f"age of the newest point, 99 % are below: {_WORK}", "", "s",
        "value <= 10", rpo_p99, "rpo",
    ),
    Benchmark("rpo_5s_p50", f"age of the newest point, half are below: {_WORK}", "", "s", None,
              rpo_p50, "rpo"),
    Benchmark("rpo_5s_max", f"age of the newest point, the oldest: {_WORK}", "", "s", None,
              rpo_max, "rpo"),
    Benchmark("rpo_5s_points", f"the most boot points at any moment: {_WORK}", "", "points",
              f"value <= {_LIMIT + 1}", points, "rpo"),
)  # fmt: skip

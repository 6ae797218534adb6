"""Limits and progress, as somebody who watches a copy sees them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

import pytest

from standby.model.extent import NbdEndpoint
from standby.model.window import DailyWindow, RateByDay
from standby.transfer import (
    CopyResult,
    DiskCopy,
    Everything,
    Pending,
    RateLimit,
    ZeroPolicy,
    copy_disks,
    pending,
)
from tests.integration.nbd_servers import MIB, nbdkit

RATE = 20 * MIB


@contextmanager
def ends(path: Path, size: int, name: str = "") -> Iterator[tuple[NbdEndpoint, NbdEndpoint]]:
    """Yield a source of random data and a target that forgets it."""
    with (
        nbdkit(path / f"s{name}.sock", "random", str(size)) as source,
        nbdkit(path / f"t{name}.sock", "null", str(size)) as target,
    ):
        yield source.endpoint, target.endpoint


def full(disk: str, pair: tuple[NbdEndpoint, NbdEndpoint], size: int | None = None) -> DiskCopy:
    expected = None if size is None else Pending(size, 0)
    return DiskCopy(disk, *pair, Everything(), ZeroPolicy.WRITE, expected)


def seconds_at(limiter: RateLimit, copies: list[DiskCopy]) -> tuple[float, tuple[CopyResult, ...]]:
    begun = time.monotonic()
    results = copy_disks(copies, limiter=limiter)
    return time.monotonic() - begun, results


def test_a_copy_takes_the_time_that_its_limit_gives_it(tmp_path: Path) -> None:
    """Two disks share one limit."""
    with ends(tmp_path, 2 * RATE) as one, ends(tmp_path, RATE, "b") as other:
        seconds, results = seconds_at(RateLimit(RATE), [full("vda", one), full("vdb", other)])
    assert sum(result.data_bytes for result in results) == 3 * RATE
    assert 3 * 0.93 <= seconds <= 3 * 1.1  # the first pieces go at once, the flush comes after


@pytest.mark.long
def test_a_limit_holds_within_five_percent_over_ten_seconds(tmp_path: Path) -> None:
    with ends(tmp_path, 11 * RATE) as pair:
        moments: list[tuple[float, int]] = []
        copy_disks(
            [full("vda", pair)],
            limiter=RateLimit(RATE),
            progress=lambda _disk, done, _total: moments.append((time.monotonic(), done)),
        )
    last = next(i for i, (moment, _) in enumerate(moments) if moment >= moments[0][0] + 10)
    seconds = moments[last][0] - moments[0][0]
    assert moments[last][1] - moments[0][1] == pytest.approx(RATE * seconds, rel=0.05)


def test_progress_rises_to_the_total_a_few_times_a_second_in_the_callers_thread(
    tmp_path: Path,
) -> None:
    size = 2 * RATE
    seen: list[tuple[str, int, int]] = []
    threads: set[threading.Thread] = set()

    def note(disk: str, done: int, total: int) -> None:
        threads.add(threading.current_thread())
        seen.append((disk, done, total))

    with ends(tmp_path, size) as pair:
        expected = pending("vda", pair[0], Everything())
        copy = full("vda", pair, expected.total_bytes)
        copy_disks([copy], limiter=RateLimit(RATE), progress=note)
    done = [bytes_done for _, bytes_done, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == ("vda", size, size)
    assert {(disk, total) for disk, _, total in seen} == {("vda", size)}
    assert 5 <= len(seen) <= 15
    assert threads == {threading.current_thread()}


def test_progress_of_a_disk_that_was_not_surveyed_ends_at_what_was_done(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with ends(tmp_path, MIB) as pair:
        copy_disks(
            [full("vda", pair)], progress=lambda _disk, done, total: seen.append((done, total))
        )
    assert seen[-1] == (MIB, MIB)


def test_a_copy_under_way_follows_the_clock_into_a_part_of_the_day_without_a_limit(
    tmp_path: Path,
) -> None:
    size = 20 * RATE  # twenty seconds at the rate of the busy hours
    clock = [datetime.fromisoformat("2026-11-26T17:59:59+01:00")]
    done_by_day = 0

    def note(_disk: str, done: int, _total: int) -> None:
        nonlocal done_by_day
        if clock[0].hour == 17 and done >= RATE:
            done_by_day = done
            clock[0] += timedelta(seconds=1)

    busy = RateByDay(None, ((DailyWindow(time_of_day(8), time_of_day(18)), RATE),))
    limiter = RateLimit(busy, local_time=lambda: clock[0])
    with ends(tmp_path, size) as pair:
        begun = time.monotonic()
        copy_disks([full("vda", pair)], limiter=limiter, progress=note)
    assert RATE <= done_by_day < 3 * RATE  # it was held back before
    assert time.monotonic() - begun < 10


def test_reading_the_source_has_a_limit_of_its_own(tmp_path: Path) -> None:
    with ends(tmp_path, 2 * RATE) as pair:
        begun = time.monotonic()
        copy_disks([full("vda", pair)], read_limiter=RateLimit(RATE))
        assert time.monotonic() - begun >= 2 * 0.93

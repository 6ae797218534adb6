"""Progress: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console
from rich.progress import Progress

from standby.cli.progress import Bars, Lines, progress_display

MIB = 1 << 20


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _phases_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "standby")


def test_what_is_quick_gets_no_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    lines = Lines(30.0, clock)
    for done in range(10):
        clock.now += 2
        lines("vda", done * MIB, 10 * MIB)
    assert caplog.messages == []


def test_what_is_slow_gets_a_line_with_rate_and_time_left(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lines = Lines(30.0, clock)
    lines("vda", 10 * MIB, 100 * MIB)
    clock.now += 30
    lines("vda", 40 * MIB, 100 * MIB)
    assert caplog.messages == ["vda: 40 % of 100.0 MiB, 1.0 MiB/s, 60 s left"]


def test_each_line_tells_the_rate_since_the_one_before(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lines = Lines(30.0, clock)
    for done in (0, 30, 90, 90):
        lines("vda", done * MIB, 120 * MIB)
        clock.now += 30
    assert caplog.messages == [
        "vda: 25 % of 120.0 MiB, 1.0 MiB/s, 90 s left",
        "vda: 75 % of 120.0 MiB, 2.0 MiB/s, 15 s left",
        "vda: 75 % of 120.0 MiB, 0 B/s, no progress",
    ]


def test_disks_are_told_apart(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    lines = Lines(30.0, clock)
    lines("vda", 0, MIB)
    clock.now += 20
    lines("vdb", 0, MIB)
    clock.now += 20
    lines("vda", MIB, MIB)
    lines("vdb", MIB, MIB)
    assert [message.partition(":")[0] for message in caplog.messages] == ["vda"]


def test_an_empty_disk_is_no_error(clock: Clock) -> None:
    lines = Lines(30.0, clock)
    lines("vda", 0, 0)
    clock.now += 30
    lines("vda", 0, 0)


def test_where_nobody_looks_lines_are_written() -> None:
    with progress_display() as report:
        assert isinstance(report, Lines)


def test_a_bar_for_each_disk_with_bytes_rate_and_time_left() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with Progress(console=console) as shown:
        bars = Bars(shown)
        bars("vda", 1 * MIB, 4 * MIB)
        bars("vdb", 1 * MIB, 2 * MIB)
        bars("vda", 4 * MIB, 4 * MIB)
        tasks = {task.description: (task.completed, task.total) for task in shown.tasks}
    assert tasks == {"vda": (4 * MIB, 4 * MIB), "vdb": (1 * MIB, 2 * MIB)}

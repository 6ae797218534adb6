"""The fault suite's own arithmetic: what it draws, and what it lets the product send."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.model import BLOCK, differing
from tests.chaos.scenario import QUICK_SEEDS, SLOW, Fault, draw, quick_runs


def file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (b"", b"", 0),
        (b"a" * BLOCK, b"a" * BLOCK, 0),
        (b"a" * BLOCK, b"a" * (BLOCK - 1) + b"b", BLOCK),
        (b"a" * (BLOCK + 512), b"a" * BLOCK + b"b" * 512, 512),
        (b"a" * 512, b"a" * 512 + bytes(3 * BLOCK), 0),
        (b"a" * BLOCK, b"a" * BLOCK + b"b" * 512, 512),
        (b"a" * 3 * BLOCK, b"b" + b"a" * (2 * BLOCK - 1) + bytes(BLOCK), 2 * BLOCK),
    ],
)
def test_only_blocks_that_differ_may_be_sent(
    tmp_path: Path, before: bytes, now: bytes, expected: int
) -> None:
    old, new = file(tmp_path / "old", before), file(tmp_path / "new", now)
    assert differing({"vda": old}, {"vda": new}) == expected


def test_a_disk_that_was_not_there_may_be_sent_whole(tmp_path: Path) -> None:
    assert differing({}, {"vdb": file(tmp_path / "vdb", bytes(1000))}) == 1000


def test_a_run_is_the_same_each_time_it_is_drawn() -> None:
    first = [draw(7, number) for number in range(50)]
    assert [draw(7, number) for number in reversed(range(50))] == first[::-1]
    assert [draw(8, number) for number in range(50)] != first


def test_every_fault_is_drawn_and_what_is_left_out_is_not() -> None:
    drawn = {draw(1, number).fault for number in range(2000)}
    assert drawn == set(Fault)
    assert Counter(
        run.fault for seed in range(QUICK_SEEDS) for run in quick_runs(seed)
    ) == dict.fromkeys(set(Fault) - SLOW, 2)
    quick = {draw(1, number, without=SLOW).fault for number in range(2000)}
    assert quick == set(Fault) - SLOW

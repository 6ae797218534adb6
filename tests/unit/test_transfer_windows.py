"""Windows hand a disk out whole, once, to any number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from standby.transfer.blocks import Range
from standby.transfer.job import BLOCK
from standby.transfer.windows import MIB, Windows

LARGEST = 256 * MIB


def take_all(windows: Windows) -> list[Range]:
    return list(iter(windows.take, None))


@given(st.integers(1, 64 * 1024**4), st.sampled_from([64 * MIB, LARGEST, 2048 * MIB]))
def test_windows_cover_the_disk_in_order_in_whole_blocks(size: int, largest: int) -> None:
    size %= 20_000 * largest  # keeps the list short
    taken = take_all(Windows(size, largest))
    ends = [0, *(end for _, end in taken)]
    assert [start for start, _ in taken] == ends[:-1]
    assert ends[-1] == size
    assert all(start % BLOCK == 0 and 0 < end - start <= largest for start, end in taken)


def test_a_large_disk_has_enough_windows_to_share_it_evenly() -> None:
    assert len(take_all(Windows(8 * 1024**3, 2048 * MIB))) >= 64


def test_threads_never_get_the_same_window() -> None:
    windows = Windows(20_000 * MIB, 64 * MIB)
    with ThreadPoolExecutor(8) as threads:
        parts = [threads.submit(take_all, windows) for _ in range(8)]
        taken = sorted(window for part in parts for window in part.result())
    assert taken == take_all(Windows(20_000 * MIB, 64 * MIB))

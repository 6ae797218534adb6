"""A digest of a week of many runs is summed up while they are read: few are held at a time."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta

import pytest

from standby.history import History
from standby.model.records import RunFilter
from standby.model.run import Run, RunResult
from standby.planning.digests import digest_of
from tests.unit.history_runs import BEGIN, ended

RUNS = 12_000
PAGE = 1_000
MOST = 6 << 20  # bytes; all of them take three times as much


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A machine that ran every minute, failing now and then."""
    made = History.open(tmp_path_factory.mktemp("history") / "history.db")
    for begin in range(0, RUNS, PAGE):
        made.end(*(ended(number, _result(number)) for number in range(begin, begin + PAGE)))
    yield made
    made.close()


def _result(number: int) -> RunResult:
    return RunResult.FAILED if number % 100 == 99 else RunResult.PUBLISHED


def test_a_digest_holds_a_page_of_runs_at_most(history: History) -> None:
    since = BEGIN - timedelta(minutes=1)
    gc.collect()
    tracemalloc.start()
    digest = digest_of("web1", history.each(RunFilter("web1", since=since)), None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (digest.good, digest.failed) == (RUNS * 99 // 100, RUNS // 100)
    assert digest.newest == BEGIN + timedelta(minutes=RUNS - 2)
    assert digest.failure
    assert peak < MOST


def test_runs_are_summed_up_whatever_their_order() -> None:
    runs = [ended(number, _result(number), sent=7) for number in range(400)]
    assert _summed(runs) == _summed(runs[::-1]) == _summed(runs[200:] + runs[:200])


def _summed(runs: list[Run]) -> object:
    return digest_of("web1", iter(runs), None)

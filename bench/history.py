"""The history with a million runs in it: what a person waits for who looks back."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from bench.run import Benchmark, Measured
from standby.history import History
from standby.history.database import Database, Use
from standby.history.tables import microseconds
from standby.model.records import ALL_RUNS, PAGE_SIZE, RunFilter
from standby.model.run import RunResult

_RUNS: Final = 1_000_000
_PROFILES: Final = 1_000  # each has a run every 5 minutes
_APART_US: Final = 300 * 1_000_000 // _PROFILES
_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_FILL: Final = """
INSERT INTO runs (id, profile, kind, cause, result, begun, ended, source_host, kvm_host, way,
                  reason, point, merged, read, sent, stored, changed, phases)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT :runs)
SELECT printf('%08x', i), 'machine' || (i % :profiles), 'cycle', 'schedule',
       CASE WHEN i % 97 THEN 'published' ELSE 'failed' END,
       :begin + i * :apart, :begin + i * :apart + 2000000 + i % 999999, 'hv' || (i % 40),
       'kvm' || (i % 20), 'incremental', 'changed since the point before', 'V20260101_000000',
       'V20260101_000000', i % 99999999, i % 9999999, i % 9999999, i % 9999,
       '[["observe",12,0.2],["capture",200012,0.1],["survey",300012,0.01],["transfer",310012,1.5],'
       || '["publish",1810012,0.1],["forget",1910012,0.03],["head",1940012,0.03]]'
FROM n
"""


def newest(place: Path) -> Measured:
    """Find the newest 50 runs of one profile among a million."""
    history = _filled(place)
    profiles = [f"machine{number}" for number in range(7, _PROFILES, 10)]
    times = [_milliseconds(partial(_newest_of, history, it)) for it in profiles]
    _print_others(history)
    return Measured(statistics.median(times))


def any_page(place: Path) -> Measured:
    """Find the page in the midst of a million runs of all profiles."""
    history = _filled(place)
    middle = _RUNS // PAGE_SIZE // 2
    pages = range(middle, middle + 10)
    asked = [partial(history.runs, ALL_RUNS, number=it) for it in pages]
    return Measured(statistics.median(map(_milliseconds, asked)))


def _filled(place: Path) -> History:
    path = place / "history.db"
    database = Database(path, lambda: _BEGIN)

    def fill(connection: Connection) -> None:
        told = {"runs": _RUNS, "profiles": _PROFILES, "apart": _APART_US}
        connection.execute(text(_FILL), {**told, "begin": microseconds(_BEGIN)})

    database.run(Use.WRITE, fill)
    database.close()
    return History.open(path)


def _newest_of(history: History, profile: str) -> None:
    page = history.runs(RunFilter(profile))
    if len(page.runs) != PAGE_SIZE or page.runs[0].profile != profile:
        message = f"not the newest runs of {profile}"
        raise RuntimeError(message)


def _print_others(history: History) -> None:
    failed = RunFilter(results=frozenset({RunResult.FAILED}))
    for what, wanted in (("of all profiles", ALL_RUNS), ("that failed", failed)):
        asked = [partial(history.runs, wanted)] * 9
        spent = statistics.median(map(_milliseconds, asked))
        print(f"  the newest 50 runs {what}: {spent:.3g} ms")
    size = history.path.stat().st_size
    print(f"  {size / _RUNS:.0f} bytes for each run")


def _milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


BENCHMARKS = (
    Benchmark(
        "history_newest_50",
        "the newest 50 runs of one profile, found among a million",
        "",
        "ms",
        "value <= 20",
        newest,
    ),
    Benchmark(
        "history_any_page",
        "the 10,000th page of a million runs, 50 on each",
        "",
        "ms",
        None,
        any_page,
    ),
)

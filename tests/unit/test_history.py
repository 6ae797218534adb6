"""The history: what is kept comes back as it was, and is found by what people ask for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from history_runs import BEGIN, begun, ended
from hypothesis import given, settings
from hypothesis import strategies as st

from standby.errors import FixRequest
from standby.history import History
from standby.model.records import Gap, RunFilter, RunOrder
from standby.model.run import Run, RunKind, RunPhase, RunResult


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = History.open(tmp_path / "history.db")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    opened = History.open(tmp_path_factory.mktemp("history") / "history.db")
    yield opened
    opened.close()


def ids(history: History, wanted: RunFilter, order: RunOrder = RunOrder.NEWEST) -> list[int]:
    return [int(run.id) for run in history.runs(wanted, order).runs]


@pytest.mark.parametrize("result", RunResult)
def test_a_run_comes_back_as_it_was(history: History, result: RunResult) -> None:
    run = ended(1, result)
    history.end(run)
    assert history.run(run.id) == run
    assert history.runs().runs == (run,)


def test_a_run_is_there_from_its_beginning_to_its_end(history: History) -> None:
    history.begin(begun(1))
    assert history.run("00000001").result is RunResult.RUNNING
    phase = RunPhase("observe", BEGIN, 1.0)
    history.progress(replace(begun(1), phases=(phase,)))
    assert history.run("00000001").phases == (phase,)
    history.end(ended(1))
    assert history.runs().runs == (ended(1),)


def test_the_end_of_a_run_whose_beginning_nobody_kept_is_kept(history: History) -> None:
    history.progress(begun(1))
    history.end(ended(1))
    assert history.run("00000001") == ended(1)


def test_a_run_whose_id_is_taken_gets_another(history: History) -> None:
    first, second = begun(1), replace(begun(1), profile="web2")
    assert history.begin(first).id == first.id
    other = history.begin(second)
    assert other.id != first.id
    assert history.run(first.id).profile == "web1"
    assert history.run(other.id) == replace(second, id=other.id)


def test_runs_are_found_by_profile_kind_result_and_time(history: History) -> None:
    for number, result in enumerate(RunResult):
        history.end(ended(number, result))
        history.end(ended(100 + number, result, profile="web2", kind=RunKind.VERIFY))
    last = len(RunResult) - 1
    assert ids(history, RunFilter(profile="web1")) == list(range(last, -1, -1))
    assert len(ids(history, RunFilter(kinds=frozenset({RunKind.VERIFY})))) == last + 1
    bad = frozenset({RunResult.FAILED, RunResult.LOST})
    assert len(ids(history, RunFilter(results=bad))) == 4
    assert ids(history, RunFilter("web1", since=BEGIN + timedelta(minutes=last))) == [last]
    assert ids(history, RunFilter("web1", until=BEGIN + timedelta(minutes=1))) == [0]


def test_runs_are_sorted_as_asked(history: History) -> None:
    history.end(ended(1, seconds=9, sent=1))
    history.end(ended(2, seconds=1, sent=9))
    history.end(ended(3, seconds=5, sent=5))
    everything = RunFilter()
    assert ids(history, everything, RunOrder.NEWEST) == [3, 2, 1]
    assert ids(history, everything, RunOrder.OLDEST) == [1, 2, 3]
    assert ids(history, everything, RunOrder.LONGEST) == [1, 3, 2]
    assert ids(history, everything, RunOrder.LARGEST) == [2, 3, 1]


@pytest.mark.parametrize("order", RunOrder)
def test_pages_show_every_run_once_also_those_that_began_together(
    history: History, order: RunOrder
) -> None:
    together = [replace(ended(number), begun=BEGIN) for number in range(120)]
    history.end(*together)
    pages = [history.runs(RunFilter(), order, number) for number in (1, 2, 3, 4)]
    assert [len(page.runs) for page in pages] == [50, 50, 20, 0]
    assert [page.more for page in pages] == [True, True, False, False]
    assert {run.id for page in pages for run in page.runs} == {run.id for run in together}


def test_all_runs_are_walked_in_order_however_many_began_together(history: History) -> None:
    second = timedelta(seconds=1)
    history.end(*(replace(ended(n), begun=BEGIN + n // 1500 * second) for n in range(2100)))
    walked = [run.id for run in history.each()]
    assert walked == [f"{number:08d}" for number in range(2100)]


def test_the_beginning_of_an_id_is_enough_when_it_is_the_only_one(history: History) -> None:
    for name in ("abc00000", "abd00000", "00000000"):
        history.end(replace(ended(0), id=name))
    assert history.run("abc").id == "abc00000"
    assert history.run(" ABD ").id == "abd00000"
    with pytest.raises(FixRequest, match="several: ab"):
        history.run("ab")
    with pytest.raises(FixRequest, match="standby history"):
        history.run("zz")


@pytest.mark.parametrize("text", ["", "%", "_", "web-1", "../x", "123456789", "é"])
def test_what_is_no_id_finds_nothing(history: History, text: str) -> None:
    history.end(ended(1))
    with pytest.raises(FixRequest):
        history.run(text)


def test_the_last_run_of_a_profile(history: History) -> None:
    assert history.last(RunFilter("web1")) is None
    for run in (ended(2), ended(1), ended(3, profile="web2")):
        history.end(run)
    assert history.last(RunFilter("web1")) == ended(2)


def test_runs_of_the_dead_are_lost_and_others_are_not(history: History) -> None:
    history.begin(begun(1), "dead")
    history.progress(replace(begun(1), phases=(RunPhase("observe", BEGIN, 90),)))
    history.begin(begun(2), "alive")
    history.end(ended(3))
    lost = history.lost(lambda owner: owner == "alive")
    assert [run.id for run in lost] == ["00000001"]
    assert history.run("00000001").result is RunResult.LOST
    assert history.run("00000001").ended == BEGIN + timedelta(seconds=90)
    assert history.run("00000002").result is RunResult.RUNNING
    assert history.run("00000003") == ended(3)
    assert history.lost(lambda owner: owner == "alive") == ()


def test_whoever_tells_of_lost_runs_gets_each_of_them_once(history: History) -> None:
    for number in (1, 2):
        history.begin(begun(number), "dead")
    history.lost(lambda _: False)  # somebody only looked
    assert [run.id for run in history.take_untold()] == ["00000001", "00000002"]
    assert history.take_untold() == ()
    assert history.run("00000001").result is RunResult.LOST


def test_a_lost_run_that_a_good_one_followed_is_no_news(history: History) -> None:
    history.begin(begun(1), "dead")
    history.lost(lambda _: False)
    history.end(ended(2, profile="web2"), ended(3, RunResult.CANCELLED))
    history.end(ended(4, kind=RunKind.VERIFY))
    assert len(history.take_untold()) == 1
    history.begin(begun(5), "dead")
    history.lost(lambda _: False)
    history.end(ended(6))
    assert history.take_untold() == ()


def test_a_run_that_ends_after_all_is_not_lost(history: History) -> None:
    history.begin(begun(1), "dead")
    history.lost(lambda _: False)
    history.end(ended(1))
    assert history.run("00000001") == ended(1)


def test_a_run_that_ends_while_its_recorder_is_looked_for_is_not_lost(history: History) -> None:
    history.begin(begun(1), "ends now")

    def is_alive(_: str) -> bool:
        history.end(ended(1))
        return False

    history.lost(is_alive)
    assert history.run("00000001") == ended(1)


def test_old_runs_are_forgotten_and_those_under_way_stay(history: History) -> None:
    history.begin(begun(0), "alive")
    for number in range(1, 6):
        history.end(ended(number))
    history.miss(Gap(None, BEGIN, 1, "an old one"))
    assert history.prune(BEGIN + timedelta(minutes=3)) == ("00000001", "00000002")
    assert history.prune(BEGIN + timedelta(minutes=3)) == ()
    assert ids(history, RunFilter()) == [5, 4, 3, 0]
    assert history.gaps() == ()


def test_statistics_can_be_made_to_count_anew(history: History) -> None:
    assert history.reset_of("web1") is None
    history.reset("web1", BEGIN)
    history.reset("web1", BEGIN + timedelta(days=1))
    history.reset("web2", BEGIN)
    assert history.reset_of("web1") == BEGIN + timedelta(days=1)


def test_what_is_not_known_is_known(history: History) -> None:
    day = timedelta(days=1)
    always = Gap(None, BEGIN, None, "before")
    later = Gap(BEGIN + day, BEGIN + 2 * day, 7, "the disk was full")
    history.miss(later)
    history.miss(always)
    assert history.gaps() == (always, later)
    assert history.gaps(since=BEGIN + timedelta(hours=1)) == (later,)
    assert history.gaps(until=BEGIN + day) == (always,)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)


@settings(deadline=None, max_examples=40)
@given(reason=texts, profile=texts, seconds=st.floats(0, 1e9), sent=st.integers(0, 2**63 - 1))
def test_whatever_a_run_says_comes_back(
    shared: History, reason: str, profile: str, seconds: float, sent: int
) -> None:
    run = ended(1, RunResult.FAILED, sent=sent)
    assert run.failure is not None
    failure = replace(run.failure, found=reason, subject=profile)
    phases = (RunPhase(reason, BEGIN - timedelta(days=1), round(seconds, 6)),)
    run = replace(run, reason=reason, profile=profile, failure=failure, phases=phases)
    shared.end(run)
    assert shared.run(run.id) == run


def test_text_that_no_database_takes_is_kept_as_far_as_it_can_be(history: History) -> None:
    run = ended(1, RunResult.FAILED)
    assert run.failure is not None
    failure = replace(run.failure, found="file \udcff\0 is gone")
    history.end(replace(run, reason="\ud800", failure=failure), ended(2))
    kept = history.run("00000001")
    assert kept.failure is not None
    assert (kept.reason, kept.failure.found) == ("?", "file ?? is gone")
    assert history.run("00000002") == ended(2)


def test_two_that_have_it_open_see_what_the_other_wrote(history: History) -> None:
    other = History.open(history.path)
    history.begin(begun(1))
    assert other.run("00000001") == begun(1)
    other.end(ended(1))
    assert history.run("00000001") == ended(1)
    other.close()


def test_threads_may_use_one_history(history: History) -> None:
    def keep(number: int) -> Run:
        history.begin(begun(number))
        history.end(ended(number))
        return history.run(f"{number:08d}")

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(keep, range(100))) == [ended(number) for number in range(100)]

"""Whose turn it is to be looked at, and what is told between two looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from chain_world import START, observed
from cli_world import manifest, place
from health_world import run
from hypothesis import given
from hypothesis import strategies as st

from standby.app import observatory as observing
from standby.app.inspect import NotSeen, StandbyLook, judge
from standby.app.live import BrokenProfile, Live
from standby.app.observatory import REST_S, STALE_S, Observatory, Rota, Sight
from standby.app.places import Place
from standby.app.session import Session
from standby.errors import ReachHost, StandbyError
from standby.model.health import Concern, Health
from standby.model.run import Run, RunResult
from standby.profile import Profile

MINUTE = timedelta(minutes=1)


class TestRota:
    def test_who_was_never_looked_at_is_due_at_once(self) -> None:
        assert Rota().due(["b", "a"], 0) == ["a", "b"]

    def test_after_a_run_it_is_due_when_it_has_rested(self) -> None:
        rota = Rota(looked={"a": 0.0}, wanted={"a"})
        assert rota.due(["a"], REST_S - 1) == []
        assert rota.due(["a"], REST_S) == ["a"]

    def test_without_a_run_it_is_due_when_it_is_stale(self) -> None:
        rota = Rota(looked={"a": 0.0})
        assert rota.due(["a"], STALE_S - 1) == []
        assert rota.due(["a"], STALE_S) == ["a"]

    def test_a_run_that_ends_while_somebody_looks_is_looked_at_again(self) -> None:
        rota = Rota(wanted={"a"})
        rota.look_begins("a", 0)
        assert rota.due(["a"], REST_S) == []
        rota.wanted.add("a")
        assert rota.due(["a"], REST_S) == ["a"]

    @given(st.dictionaries(st.text(max_size=3), st.floats(0, 1000)))
    def test_the_longest_unseen_comes_first(self, looked: dict[str, float]) -> None:
        due = Rota(looked).due([*looked, "never"], 10_000)
        assert due[0] == "never" or "never" in looked
        seen = [looked[name] for name in due if name in looked]
        assert seen == sorted(seen)


@dataclass
class Clock:
    moment: datetime = START + timedelta(hours=1, minutes=1)

    def now(self) -> datetime:
        return self.moment


@dataclass
class World:
    """Some profiles, a clock, and KVM hosts that answer or do not."""

    place: Place
    clock: Clock = field(default_factory=Clock)
    gone: set[str] = field(default_factory=set)
    unreachable: bool = False
    looks: list[str] = field(default_factory=list)

    def names(self) -> frozenset[str]:
        return frozenset({"web1", "web2"} - self.gone)

    def profile(self, name: str) -> Profile:
        if name in self.gone:
            raise KeyError(name)
        return replace(self.place.profile, name=name)

    def look_at(self, session: Session, where: Place) -> StandbyLook:
        del session
        self.looks.append(where.called)
        if self.unreachable:
            raise ReachHost("kvm1", "no answer")
        return judge(where, observed(manifest(2)), self.clock.now())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(place(tmp_path, 3))

    def place_of(session: Session, profile: Profile) -> Place:
        del session
        return replace(made.place, called=profile.name, profile=profile)

    monkeypatch.setattr(observing, "look_at", made.look_at)
    monkeypatch.setattr(observing, "place_of", place_of)
    return made


def observatory(world: World, tmp_path: Path, runs: Sequence[Run] = ()) -> Observatory:
    session = Session(tmp_path)
    session.clock = world.clock  # type: ignore[assignment]
    return Observatory(session, world, lambda _: runs)


def lag(sight: Sight | None) -> timedelta | None:
    assert isinstance(sight, StandbyLook)
    return sight.facts.lag(sight.at)


def test_before_the_first_look_nothing_is_said(world: World, tmp_path: Path) -> None:
    watched = observatory(world, tmp_path)
    assert watched.sight("web1") is None
    assert watched.sights() == ()
    assert isinstance(watched.look("web1"), StandbyLook)
    assert [cast(StandbyLook, it).place.called for it in watched.sights()] == ["web1"]


def test_what_was_seen_is_judged_by_the_clock_of_now(world: World, tmp_path: Path) -> None:
    watched = observatory(world, tmp_path)
    watched.look("web1")
    world.clock.moment += 30 * MINUTE
    assert lag(watched.sight("web1")) == 31 * MINUTE
    assert world.looks == ["web1"]


def test_runs_since_the_look_tell_how_old_the_newest_state_is(world: World, tmp_path: Path) -> None:
    watched = observatory(world, tmp_path)
    watched.look("web1")
    world.clock.moment += 30 * MINUTE
    good = replace(run(0), begun=world.clock.now() - MINUTE, ended=world.clock.now())
    watched.ended(good)
    assert lag(watched.sight("web1")) == MINUTE
    failed = replace(
        run(0, RunResult.FAILED), id="f", begun=world.clock.now(), ended=world.clock.now()
    )
    watched.ended(failed)
    sight = watched.sight("web1")
    assert lag(sight) == MINUTE
    assert Concern.FAILED_RUNS in {it.concern for it in cast(StandbyLook, sight).problems}


def test_whoever_tells_of_a_run_does_not_wait_for_the_history(world: World, tmp_path: Path) -> None:
    asked: list[str] = []
    world.clock.moment += 90 * MINUTE

    def earlier(name: str) -> Sequence[Run]:
        asked.append(name)
        watched.ended(replace(run(0), id="meanwhile"))  # nobody is kept out while it is read
        return [replace(run(0), id="old"), replace(run(0), id="meanwhile")]

    session = Session(tmp_path)
    session.clock = world.clock  # type: ignore[assignment]
    watched = Observatory(session, world, earlier)
    watched.ended(replace(run(0), id="new"))
    assert asked == []
    sight = cast(StandbyLook, watched.look("web1"))
    assert [it.id for it in sight.runs or ()] == ["meanwhile", "new", "old"]
    watched.look("web1")
    assert asked == ["web1"]


def test_a_run_that_was_under_way_when_somebody_looked_counts(world: World, tmp_path: Path) -> None:
    watched = observatory(world, tmp_path)
    watched.look("web1")
    looked = world.clock.now()
    ended = looked + MINUTE / 2
    watched.ended(replace(run(0), begun=looked - MINUTE / 2, ended=ended))
    world.clock.moment = looked + MINUTE
    assert lag(watched.sight("web1")) == 1.5 * MINUTE


def test_runs_before_the_look_say_nothing_against_it(world: World, tmp_path: Path) -> None:
    """The KVM host is the truth: the point that such a run made may be gone."""
    ended = world.clock.now() - timedelta(seconds=1)
    earlier = replace(run(0), begun=world.clock.now() - MINUTE / 2, ended=ended)
    watched = observatory(world, tmp_path, (earlier,))
    watched.look("web1")
    assert lag(watched.sight("web1")) == MINUTE


def test_a_run_is_counted_once_though_the_history_has_it_too(world: World, tmp_path: Path) -> None:
    world.clock.moment += 90 * MINUTE
    ended = run(0, RunResult.FAILED)
    watched = observatory(world, tmp_path, (ended,))
    watched.ended(ended)
    sight = watched.look("web1")
    assert cast(StandbyLook, sight).runs == (ended,)


def test_a_host_that_does_not_answer_is_a_sight_too(world: World, tmp_path: Path) -> None:
    watched = observatory(world, tmp_path)
    told: list[Sight] = []
    watched.seen.append(told.append)
    watched.look("web1")
    world.unreachable = True
    watched.look("web1")
    first, second = told
    assert isinstance(first, StandbyLook)
    assert isinstance(second, NotSeen)
    assert second.condition.health is Health.UNKNOWN


def test_a_profile_that_was_never_right_is_a_sight_too(world: World, tmp_path: Path) -> None:
    watched = observatory(world, tmp_path)
    watched.look("web1")
    broken = (
        BrokenProfile("web1", "web1.yaml:3: x", keeps_older=True),
        BrokenProfile("web9", "web9.yaml:1: y", keeps_older=False),
    )
    live = Live(START, 1, tmp_path, START, broken=broken)
    seen, unread = watched.sights(live)
    assert isinstance(seen, StandbyLook)
    assert isinstance(unread, NotSeen)
    assert unread.called == "web9"
    assert unread.condition.health is Health.CRITICAL
    assert "web9.yaml:1: y" in str(unread.error)


def test_one_host_that_does_not_answer_is_asked_once_for_all_its_standbys(
    world: World, tmp_path: Path
) -> None:
    watched = observatory(world, tmp_path)
    world.unreachable = True
    (names,) = watched._due().values()
    watched._look_at("kvm1", names)
    assert world.looks == ["web1"]
    errors = [cast(NotSeen, it).error for it in watched.sights()]
    assert all(isinstance(it, StandbyError) for it in errors)
    assert len(errors) == 2
    assert watched._due() == {}, "they are looked at again at once"


def test_a_profile_that_was_removed_is_forgotten(world: World, tmp_path: Path) -> None:
    watched = observatory(world, tmp_path)
    watched.look("web1")
    world.gone = {"web1"}
    assert watched.sights() == ()
    assert watched.sight("web1") is None
    watched._due()
    world.gone = set()
    assert watched.sight("web1") is None


def test_nobody_looks_twice_at_one_host_at_a_time(world: World, tmp_path: Path) -> None:
    watched = observatory(world, tmp_path)
    assert list(watched._due()) == [world.place.profile.target_host.name]
    assert watched._due() == {}

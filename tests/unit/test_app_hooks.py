"""Which scripts run when, what they are told, and what their failures mean."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from standby.app.hooks import ProfileHooks
from standby.cycle.report import Journal, Phase
from standby.errors import (
    Cancelled,
    CaptureLost,
    FreeSpace,
    Overtaken,
    ReachHost,
    RepairScript,
    StandbyError,
    TryLater,
)
from standby.host.scripts import Script, ScriptEnding
from standby.model.hook import Hook, HookMoment, HookPlace, OnHookFailure
from standby.model.machine import MachineIdentity
from standby.model.names import PointName
from standby.model.plan import CapturePlan, CyclePlan, HeadMove
from standby.model.point import BootPoint, Consistency, Way

BEFORE, AFTER = HookMoment.BEFORE_CAPTURE, HookMoment.AFTER_CAPTURE
PUBLISHED, FAILED = HookMoment.AFTER_PUBLISH, HookMoment.AFTER_FAILURE
POINT = PointName.at(datetime(2026, 11, 22, 3, 56, tzinfo=UTC))
GOOD = ScriptEnding(0, "", 0, late=False, unwanted=False)
BAD = ScriptEnding(3, "one\nno such database", 0, late=False, unwanted=False)


@dataclass
class Place:
    """Somewhere that scripts run; `fails` ends badly, `stopped` is a wish to stop."""

    fails: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    ran: list[str] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)
    stopped: bool = False

    def run(self, script: Script, wanted: Callable[[], bool]) -> ScriptEnding:
        self.ran.append(script.command[0])
        self.told.append(dict(script.environment))
        if script.command[0] in self.unreachable:
            raise ReachHost("hv1", "no answer")
        if not wanted():
            return replace(GOOD, unwanted=True)
        return BAD if script.command[0] in self.fails else GOOD


def hook(name: str, moment: HookMoment, on_failure: OnHookFailure = OnHookFailure.ABORT) -> Hook:
    return Hook(moment, HookPlace.MANAGER, (name,), timedelta(seconds=5), on_failure)


def hooks(
    place: Place, *of: Hook, phase: Callable[..., AbstractContextManager[None]]
) -> ProfileHooks:
    return ProfileHooks(
        of,
        {HookPlace.MANAGER: place.run, HookPlace.GUEST: lambda *_: None},
        {"STANDBY_PROFILE": "web1", "STANDBY_RUN": "k3f"},
        phase,
        lambda: not place.stopped,
    )


@pytest.fixture
def journal() -> Journal:
    return Journal("web1", lambda _: None)


@pytest.fixture
def plan() -> CyclePlan:
    capture = CapturePlan((), "standby-x", "standby-x-1", None, Consistency.CRASH)
    machine = MachineIdentity("web1", "u")
    nothing: tuple[()] = ()
    return CyclePlan(
        machine, POINT, Way.INCREMENTAL, "", capture, nothing, nothing, nothing, HeadMove.MOVE
    )


PAIR = (hook("before", BEFORE), hook("after", AFTER))


def test_scripts_surround_the_capture_and_are_told_of_what(
    journal: Journal, plan: CyclePlan
) -> None:
    place = Place()
    around = hooks(place, *PAIR, phase=journal.phase)
    with around.around_capture(plan):
        assert place.ran == ["before"]
    assert place.ran == ["before", "after"]
    assert place.told[0] == {
        "STANDBY_PROFILE": "web1",
        "STANDBY_RUN": "k3f",
        "STANDBY_POINT": "V20261122_035600",
        "STANDBY_WAY": "incremental",
        "STANDBY_MOMENT": "before_capture",
        "STANDBY_ERROR": "",
        "STANDBY_ERROR_TYPE": "",
    }
    assert [time.phase for time in journal.phases] == [Phase.SCRIPTS] * 2


@pytest.mark.parametrize("error", [CaptureLost("capture", "lost\non the way"), KeyboardInterrupt()])
def test_what_was_prepared_is_undone_though_the_capture_failed(
    journal: Journal, plan: CyclePlan, error: BaseException
) -> None:
    place = Place(fails=("after",))
    with (
        pytest.raises(type(error)) as raised,
        hooks(place, *PAIR, phase=journal.phase).around_capture(plan),
    ):
        raise error
    assert raised.value is error, "the capture's own error counts for more than the script's"
    assert place.ran == ["before", "after"]
    assert place.told[1]["STANDBY_ERROR_TYPE"] == type(error).__name__
    assert "\n" not in place.told[1]["STANDBY_ERROR"]


def test_a_script_before_the_capture_that_fails_ends_the_run_and_is_undone(
    journal: Journal, plan: CyclePlan
) -> None:
    place = Place(fails=("first",))
    listed = (hook("first", BEFORE), hook("second", BEFORE), hook("after", AFTER))
    with (
        pytest.raises(RepairScript, match="status 3: no such database") as raised,
        hooks(place, *listed, phase=journal.phase).around_capture(plan),
    ):
        pytest.fail("the capture began")
    assert place.ran == ["first", "after"]
    assert "before_capture" in raised.value.subject


def test_a_script_that_may_fail_lets_the_run_go_on(
    journal: Journal, plan: CyclePlan, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(fails=("first",), unreachable=("second",))
    listed = (
        hook("first", BEFORE, OnHookFailure.CONTINUE),
        hook("second", BEFORE, OnHookFailure.CONTINUE),
        *PAIR,
    )
    with hooks(place, *listed, phase=journal.phase).around_capture(plan):
        assert place.ran == ["first", "second", "before"]
    assert [
        "no such database" in r.message for r in caplog.records if r.levelno > logging.INFO
    ] == [
        True,
        False,
    ]


def test_after_a_capture_every_script_has_its_turn(
    journal: Journal, plan: CyclePlan, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(fails=("one", "two"))
    listed = (hook("one", AFTER), hook("two", AFTER), hook("three", AFTER))
    with (
        pytest.raises(RepairScript, match="one"),
        hooks(place, *listed, phase=journal.phase).around_capture(plan),
    ):
        pass
    assert place.ran == ["one", "two", "three"]
    assert any("on manager: two" in record.message for record in caplog.records)


def test_who_stops_a_run_stops_its_scripts_but_not_what_undoes_them(
    journal: Journal, plan: CyclePlan
) -> None:
    place = Place(stopped=True)
    with (
        pytest.raises(Cancelled),
        hooks(place, *PAIR, phase=journal.phase).around_capture(plan),
    ):
        pytest.fail("the capture began")
    assert place.ran == ["after"]


def test_a_wish_to_stop_is_no_failure_that_may_be_passed_over(
    journal: Journal, plan: CyclePlan
) -> None:
    place = Place()

    def stops(script: Script, wanted: Callable[[], bool]) -> ScriptEnding:
        del script, wanted
        return replace(GOOD, unwanted=True)

    around = hooks(place, hook("x", BEFORE, OnHookFailure.CONTINUE), phase=journal.phase)
    around.places = {HookPlace.MANAGER: stops}
    with pytest.raises(Cancelled), around.around_capture(plan):
        pytest.fail("the capture began")


def test_a_machine_that_does_not_run_needs_no_scripts_in_it(
    journal: Journal, plan: CyclePlan
) -> None:
    inside = replace(hook("sync", BEFORE), place=HookPlace.GUEST)
    with hooks(Place(), inside, phase=journal.phase).around_capture(plan):
        pass


def test_after_a_publication_the_point_is_named(journal: Journal, plan: CyclePlan) -> None:
    place = Place(fails=("tell",))
    around = hooks(place, hook("tell", PUBLISHED), phase=journal.phase)
    with around.around_capture(plan):
        pass
    point = BootPoint(POINT, Way.SEED, "", Consistency.CRASH, (), 0, POINT.moment)
    with pytest.raises(RepairScript):
        around.after_publish(point)
    assert place.told[0]["STANDBY_POINT"] == str(POINT)


def test_a_failed_run_is_told_with_its_reason_and_type(journal: Journal) -> None:
    place = Place(fails=("cry",))
    full = FreeSpace("storage", "full")
    around = hooks(place, hook("cry", FAILED), phase=journal.phase)
    with pytest.raises(FreeSpace) as raised, around.around_run():
        raise full
    assert raised.value is full
    assert place.told[0]["STANDBY_ERROR"] == "storage: full"
    assert place.told[0]["STANDBY_ERROR_TYPE"] == "FreeSpace"
    assert place.told[0]["STANDBY_POINT"] == "", "it is there, though empty: set -u is no trap"


@pytest.mark.parametrize(
    "error", [Cancelled("x", "stopped"), TryLater("x", "busy"), Overtaken("x", "by another")]
)
def test_who_stops_or_comes_too_early_did_not_fail(journal: Journal, error: StandbyError) -> None:
    place = Place()
    with (
        pytest.raises(type(error)),
        hooks(place, hook("cry", FAILED), phase=journal.phase).around_run(),
    ):
        raise error
    assert place.ran == []


def test_what_a_script_prints_and_leaves_is_in_the_log(
    journal: Journal, plan: CyclePlan, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    around = hooks(Place(), hook("talk", BEFORE), phase=journal.phase)
    told = ScriptEnding(0, "hello\nworld", 2, late=False, unwanted=False)
    around.places = {HookPlace.MANAGER: lambda *_: told}
    with around.around_capture(plan):
        pass
    text = caplog.text
    assert "hello\nworld" in text
    assert "2 processes" in text


def test_a_run_without_scripts_has_no_phase_of_them(journal: Journal, plan: CyclePlan) -> None:
    with hooks(Place(), phase=journal.phase).around_capture(plan):
        pass
    assert journal.phases == []

"""What is wrong with a standby, and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from chain_world import EMPTY, START, hourly_points, observed, point

from standby.model.health import Concern, Problem, Severity
from standby.model.keep import Keep
from standby.model.manifest import DefinedDomain, Manifest
from standby.model.observation import (
    DomainFound,
    HeadObservation,
    HeadUse,
    TargetObservation,
    User,
)
from standby.model.point import REMADE, Delta
from standby.model.spoilt import SpoiltDisk
from standby.planning.health import gravest_first
from standby.planning.obstacles import obstacles
from standby.planning.problems_store import store_problems
from standby.planning.retention import plan_merges

LATER = START + timedelta(days=9)


def manifest(count: int) -> Manifest:
    return replace(EMPTY, points=hourly_points(count))


def found(target: TargetObservation, limit: int = 22) -> tuple[Problem, ...]:
    plan = plan_merges(target.manifest.points, Keep(limit), LATER, obstacles(target))
    return gravest_first(store_problems(target, plan, "web"))


def only(target: TargetObservation, limit: int = 22) -> Problem:
    (problem,) = found(target, limit)
    return problem


def test_a_dormant_standby_within_its_limit_has_no_problem() -> None:
    assert found(observed(manifest(3))) == ()


def test_a_standby_without_points_waits_for_its_first_seed() -> None:
    assert only(observed(EMPTY, HeadObservation(HeadUse.ABSENT))) == Problem(
        Concern.SEED, Severity.WARNING, "waiting for its first seed", "standby run web"
    )


def test_a_domain_without_any_boot_point_has_lost_them() -> None:
    problem = only(observed(EMPTY, HeadObservation(HeadUse.ABSENT), domain=DomainFound.OURS))
    assert problem.severity is Severity.CRITICAL
    assert problem.remedy.endswith("standby run web --full")


def test_a_foreign_domain_is_critical_and_left_alone() -> None:
    problem = only(observed(manifest(3), domain=DomainFound.FOREIGN))
    assert problem.severity is Severity.CRITICAL
    assert "not ours" in problem.text


def test_a_domain_that_vanished_is_defined_again_by_the_next_cycle() -> None:
    problem = only(observed(manifest(3), domain=DomainFound.ABSENT))
    assert problem.severity is Severity.WARNING
    assert problem.remedy.endswith("standby run web")


def test_a_tpm_that_could_not_get_its_state_is_a_warning_with_the_reason() -> None:
    domain = DefinedDomain("uuid", "digest", due=True, lacks_tpm="/var/lib: Permission denied")
    problem = only(observed(replace(manifest(3), domain=domain)))
    assert problem.severity is Severity.WARNING
    assert "/var/lib: Permission denied" in problem.text


def test_a_manifest_that_was_made_anew_is_told_of_until_its_points_are_unpinned() -> None:
    points = tuple(replace(it, reason=REMADE, pinned=True) for it in hourly_points(3))
    problem = only(observed(replace(EMPTY, points=points)))
    assert problem.concern is Concern.DAMAGE
    assert "3 boot points stay pinned" in problem.text
    assert "pause" in problem.text
    unpinned = tuple(replace(it, pinned=False) for it in points)
    assert found(observed(replace(EMPTY, points=unpinned))) == ()


def test_a_running_standby_is_named_with_its_point() -> None:
    target = observed(manifest(3))
    running = replace(target, head=replace(target.head, use=HeadUse.RUNNING))
    problem = only(running)
    assert str(target.head.stands_on) in problem.text
    assert "virsh shutdown web" in problem.remedy


def test_a_head_that_was_run_is_said_to_be_set_aside() -> None:
    target = observed(manifest(3))
    problem = only(replace(target, head=replace(target.head, use=HeadUse.RAN)))
    assert "sets that head aside" in problem.text


def test_images_of_somebodys_own_are_named_with_the_way_back() -> None:
    target = observed(manifest(3))
    problem = only(replace(target, head=replace(target.head, use=HeadUse.REPLACED)))
    assert problem.severity is Severity.WARNING
    assert "follows no new points" in problem.text
    assert "virsh undefine web --snapshots-metadata" in problem.remedy


def test_a_revert_is_noted_with_the_way_back() -> None:
    points = manifest(3)
    problem = only(observed(replace(points, reverted_to=points.points[0].name)))
    assert problem.severity is Severity.NOTE
    assert problem.remedy == "standby revert web latest"


def test_a_chain_above_its_limit_is_a_warning_that_names_what_holds_merges_up() -> None:
    target = observed(manifest(4))
    running = replace(target, head=replace(target.head, use=HeadUse.RUNNING))
    texts = {p.text: p for p in found(running, limit=3)}
    problem = texts["4 boot points, above the limit of 3"]
    assert problem.severity is Severity.WARNING
    assert "the standby, which runs" in problem.remedy


def test_a_chain_above_its_limit_with_nothing_in_the_way_is_merged_by_the_next_cycle() -> None:
    assert "next cycle" in only(observed(manifest(4)), limit=3).remedy


@pytest.mark.parametrize(
    ("use", "severity"),
    [(HeadUse.RUNNING, Severity.CRITICAL), (HeadUse.DORMANT, Severity.WARNING)],
)
def test_the_hard_cap_is_critical_when_nothing_can_be_merged(
    use: HeadUse, severity: Severity
) -> None:
    target = observed(manifest(1 + 16))
    target = replace(target, head=replace(target.head, use=use))
    problem = next(p for p in found(target, limit=1) if "hard cap of 17" in p.text)
    assert problem.severity is severity


def test_an_interrupted_merge_is_named() -> None:
    points = (point(START, given_up=True), *hourly_points(3)[1:])
    problem = only(observed(replace(EMPTY, points=points)))
    assert "V20261122_035600" in problem.text
    assert problem.severity is Severity.WARNING


def test_users_of_the_files_are_named() -> None:
    points = manifest(3)
    mount = User("mount of V20261122_035600", points.points[0].name)
    assert only(observed(points, users=(mount,))).severity is Severity.NOTE
    unknown = only(observed(points, users=(User("copy.qcow2", None),)))
    assert unknown.severity is Severity.WARNING
    assert "all merges wait" in unknown.text


def test_the_gravest_problem_comes_first() -> None:
    target = observed(manifest(4), domain=DomainFound.FOREIGN)
    target = replace(
        target, manifest=replace(target.manifest, reverted_to=target.manifest.points[0].name)
    )
    severities = [p.severity for p in found(target, limit=3)]
    assert severities == [Severity.CRITICAL, Severity.WARNING, Severity.NOTE]


def spoilt_points(*spoilt: int) -> Manifest:
    mark = (SpoiltDisk("vda", ((0, 65536),)),)
    points = hourly_points(3)
    return replace(
        EMPTY,
        points=tuple(replace(p, spoilt=mark if n in spoilt else ()) for n, p in enumerate(points)),
    )


def test_a_spoilt_newest_point_is_critical_and_the_newest_good_one_is_named() -> None:
    chain = spoilt_points(1, 2)
    critical, warning = found(observed(chain))
    assert critical.severity is Severity.CRITICAL
    assert str(chain.points[2].name) in critical.text
    assert "64.0 KiB of vda" in critical.text
    assert f"standby revert web {chain.points[0].name}" in critical.remedy
    assert warning.severity is Severity.WARNING
    assert str(chain.points[1].name) in warning.text
    assert "none is good" in found(observed(spoilt_points(0, 1, 2)))[0].remedy


def test_a_head_on_a_spoilt_point_is_critical() -> None:
    chain = spoilt_points(0)
    (problem,) = found(observed(chain))
    assert problem.severity is Severity.WARNING
    reverted = replace(chain, reverted_to=chain.points[0].name)
    head = HeadObservation(HeadUse.DORMANT, chain.points[0].name)
    assert found(observed(reverted, head))[0].severity is Severity.CRITICAL


def of_one_disk(count: int) -> Manifest:
    deltas = (Delta("vda", f"deltas/vda.{n:04}.qcow2", 1 << 20, 1) for n in range(1, count + 1))
    points = zip(hourly_points(count), deltas, strict=True)
    return replace(EMPTY, points=tuple(replace(p, deltas=(d,)) for p, d in points))


def test_points_whose_files_are_gone_are_told_from_those_that_can_still_be_started() -> None:
    names = [str(it.name) for it in of_one_disk(3).points]
    target = replace(observed(of_one_disk(3)), missing=("deltas/vda.0002.qcow2",))
    problem = only(target)
    assert problem.severity is Severity.CRITICAL
    assert problem.text == f"deltas/vda.0002.qcow2 gone: {names[1]}, {names[2]} cannot be started"
    assert problem.remedy.endswith(f"standby revert web {names[0]}")


def test_a_table_that_is_gone_keeps_no_point_from_being_started() -> None:
    target = replace(observed(of_one_disk(3)), missing=("deltas/vda.0002.digests",))
    problem = only(target)
    assert problem.severity is Severity.WARNING
    assert problem.text.startswith("gone: deltas/vda.0002.digests; ")


@pytest.mark.parametrize("kind", ["qcow2", "digests"])
@pytest.mark.parametrize("number", [1, 2])
def test_no_point_is_given_up_for_a_pair_whose_files_are_not_all_there(
    kind: str, number: int
) -> None:
    target = replace(observed(of_one_disk(3)), missing=(f"deltas/vda.{number:04}.{kind}",))
    plan = plan_merges(target.manifest.points, Keep(2), LATER, obstacles(target))
    first = target.manifest.points[0].name
    assert first not in [merge.older for merge in plan.merges]
    assert next(it.obstacle for it in plan.deferred if it.older == first).endswith("is gone")

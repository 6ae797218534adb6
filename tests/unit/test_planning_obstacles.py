"""Who stands in the way of a merge, as seen on the KVM host."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chain_world import EMPTY, hourly_points, observed

from standby.model.observation import HeadObservation, HeadUse, User
from standby.model.point import Delta
from standby.model.spoilt import SpoiltDisk
from standby.planning.obstacles import Protected, Protection, obstacles, why_not

POINTS = hourly_points(3)
OLDEST, MIDDLE, NEWEST = (p.name for p in POINTS)
MANIFEST = replace(EMPTY, points=POINTS)


def test_a_dormant_head_protects_the_point_it_stands_on() -> None:
    found = obstacles(observed(MANIFEST))
    assert found.protected == (Protected(NEWEST, Protection.HEAD),)
    assert found.users == ()


def test_the_point_reverted_to_is_protected_even_before_the_head_has_moved() -> None:
    found = obstacles(observed(replace(MANIFEST, reverted_to=OLDEST)))
    assert Protected(OLDEST, Protection.REVERTED_TO) in found.protected


def test_the_newest_proven_point_is_protected() -> None:
    found = obstacles(observed(MANIFEST), newest_proven=MIDDLE)
    assert Protected(MIDDLE, Protection.PROVEN) in found.protected


@pytest.mark.parametrize("use", [HeadUse.RUNNING, HeadUse.RAN, HeadUse.REPLACED])
def test_a_head_that_runs_or_ran_is_a_user_of_its_point(use: HeadUse) -> None:
    found = obstacles(observed(MANIFEST, HeadObservation(use, MIDDLE)))
    assert [user.stands_on for user in found.users] == [MIDDLE]
    assert found.protected == ()


@pytest.mark.parametrize("use", [HeadUse.RUNNING, HeadUse.RAN, HeadUse.DORMANT])
def test_a_head_that_stands_nowhere_known_is_an_unknown_user(use: HeadUse) -> None:
    found = obstacles(observed(MANIFEST, HeadObservation(use)))
    assert [user.stands_on for user in found.users] == [None]


def test_no_head_stands_in_nobodys_way() -> None:
    found = obstacles(observed(MANIFEST, HeadObservation(HeadUse.ABSENT)))
    assert (found.protected, found.users) == ((), ())


def test_whoever_else_was_seen_is_a_user() -> None:
    kept = User("kept/V20261122_035600/vda.qcow2", OLDEST)
    assert kept in obstacles(observed(MANIFEST, users=(kept,))).users


def test_once_moved_the_head_protects_the_newest_point_alone() -> None:
    lagging = obstacles(
        observed(replace(MANIFEST, reverted_to=OLDEST), HeadObservation(HeadUse.DORMANT, MIDDLE))
    )
    assert set(lagging.following(NEWEST).protected) == {
        Protected(OLDEST, Protection.REVERTED_TO),
        Protected(NEWEST, Protection.HEAD),
    }


def test_the_newest_good_point_is_kept_while_all_newer_ones_are_spoilt() -> None:
    mark = (SpoiltDisk("vda", ((0, 65536),)),)
    spoilt = (POINTS[0], *(replace(p, spoilt=mark) for p in POINTS[1:]))
    assert (
        Protected(OLDEST, Protection.LAST_GOOD)
        in obstacles(observed(replace(MANIFEST, points=spoilt))).protected
    )
    healed = (*spoilt[:2], POINTS[2])
    found = obstacles(observed(replace(MANIFEST, points=healed)))
    assert {it.why for it in found.protected} == {Protection.HEAD}


def test_a_disk_that_nothing_vouches_for_is_not_merged() -> None:
    deltas = (Delta("vda", "deltas/vda.0001.qcow2", 65536, 0),)
    whole = tuple(replace(p, deltas=deltas) for p in POINTS)
    lost = replace(whole[1], spoilt=(SpoiltDisk("vda", ((0, 65536),)),))
    hindrance = obstacles(observed(MANIFEST))
    assert why_not(0, whole, hindrance) is None
    for place in (0, 1):
        reason = why_not(place, (whole[0], lost, whole[2]), hindrance)
        assert reason is not None
        assert "vda" in reason

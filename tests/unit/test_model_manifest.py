"""How a manifest may change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from chain_world import EMPTY, START, point

from standby.errors import FixRequest, RepairStore
from standby.model.manifest import FAILOVERS, Manifest
from standby.model.names import PointName
from standby.model.pause import Pause
from standby.model.point import Base, BootPoint, Delta, Standing
from standby.model.state import State, may_follow

HOUR = timedelta(hours=1)


def delta(number: int, disk: str = "vda", base: Base = Base.BELOW) -> Delta:
    return Delta(disk, f"deltas/{disk}.{number:04}.qcow2", 1 << 30, number * 100, base)


def files(*deltas: Delta) -> set[str]:
    """Every delta has its image and, beside it, its digests."""
    return {name for delta in deltas for name in (delta.file, delta.digests)}


def chain(*disk_sets: tuple[Delta, ...]) -> Manifest:
    points = tuple(point(START + n * HOUR, deltas=deltas) for n, deltas in enumerate(disk_sets))
    return replace(EMPTY, points=points, next_delta=50)


def names(manifest: Manifest) -> list[PointName]:
    return [p.name for p in manifest.points]


def merging(manifest: Manifest, place: int) -> Manifest:
    older = names(manifest)[place]
    return manifest.giving_up(older).merged(older, {})


THREE = chain((delta(1),), (delta(2),), (delta(3),))
OLDEST, MIDDLE, NEWEST = names(THREE)


class TestPublishing:
    def test_a_new_point_becomes_the_newest(self) -> None:
        new = point(START + 3 * HOUR)
        assert THREE.with_point(new).newest is new

    @pytest.mark.parametrize("moment", [START + 2 * HOUR, START])
    def test_a_point_that_is_not_newer_is_refused(self, moment: object) -> None:
        with pytest.raises(RepairStore, match="not newer"):
            THREE.with_point(point(moment))  # type: ignore[arg-type]

    def test_the_first_point_ends_the_wait_for_a_seed(self) -> None:
        empty = EMPTY
        assert empty.role is State.WAITING_FOR_SEED
        assert empty.newest is None
        assert empty.with_point(point()).role is State.PROTECTED

    def test_a_stamp_says_that_the_newest_is_still_true(self) -> None:
        later = START + 9 * HOUR
        stamped = THREE.stamped(later)
        assert [p.true_at for p in stamped.points] == [START, START + HOUR, later]

    def test_a_stamp_never_goes_back(self) -> None:
        assert THREE.stamped(START) == THREE

    def test_nothing_can_be_stamped_before_the_seed(self) -> None:
        empty = EMPTY
        assert empty.stamped(START) == empty

    def test_delta_numbers_and_generations_only_grow(self) -> None:
        assert THREE.with_delta_numbers_used(2).next_delta == 52
        assert THREE.taken_over().generation == THREE.generation + 1


class TestGivingUp:
    def test_marks_the_point_and_leaves_the_others(self) -> None:
        marked = THREE.giving_up(OLDEST)
        assert [p.standing for p in marked.points] == [
            Standing.GIVEN_UP,
            Standing.WHOLE,
            Standing.WHOLE,
        ]
        assert names(THREE.giving_up(OLDEST)) == names(THREE)
        assert [p.name for p in marked.whole_points] == [MIDDLE, NEWEST]

    def test_may_be_said_again_when_the_merge_is_done_again(self) -> None:
        assert THREE.giving_up(OLDEST).giving_up(OLDEST) == THREE.giving_up(OLDEST)

    def test_refuses_the_newest_point(self) -> None:
        with pytest.raises(RepairStore, match="nothing stands on it"):
            THREE.giving_up(NEWEST)

    def test_refuses_a_pinned_point(self) -> None:
        with pytest.raises(RepairStore, match="pinned"):
            THREE.with_pin(OLDEST).giving_up(OLDEST)

    def test_refuses_the_point_reverted_to(self) -> None:
        with pytest.raises(RepairStore, match="reverted to"):
            THREE.reverted(OLDEST).giving_up(OLDEST)

    def test_refuses_a_point_whose_younger_neighbour_is_given_up(self) -> None:
        with pytest.raises(RepairStore, match="given up"):
            THREE.giving_up(MIDDLE).giving_up(OLDEST)

    def test_refuses_a_point_that_does_not_exist(self) -> None:
        with pytest.raises(RepairStore, match="has no boot point"):
            THREE.giving_up(PointName.at(START - HOUR))


class TestMerging:
    def test_the_younger_survives_with_the_files_of_the_older(self) -> None:
        merged = THREE.giving_up(OLDEST).merged(OLDEST, {"vda": 777})
        assert names(merged) == [MIDDLE, NEWEST]
        heir = merged.points[0]
        assert heir.deltas == (replace(delta(1), stored=777),)
        assert replace(heir, deltas=(delta(2),)) == THREE.points[1]
        assert merged.points[1] == THREE.points[2]

    def test_the_file_of_the_younger_is_no_longer_named(self) -> None:
        assert THREE.files() - merging(THREE, 0).files() == files(delta(2))

    def test_stored_bytes_stay_as_they_were_when_nobody_measured(self) -> None:
        assert merging(THREE, 0).points[0].deltas[0].stored == delta(1).stored

    def test_needs_the_mark_first(self) -> None:
        with pytest.raises(RepairStore, match="not given up"):
            THREE.merged(OLDEST, {})

    def test_refuses_a_survivor_that_is_given_up_itself(self) -> None:
        both = replace(
            THREE,
            points=tuple(
                replace(p, standing=Standing.GIVEN_UP) if p.name != NEWEST else p
                for p in THREE.points
            ),
        )
        with pytest.raises(RepairStore, match="given up"):
            both.merged(OLDEST, {})
        with pytest.raises(RepairStore, match="given up"):
            both.commits(OLDEST)

    def test_names_the_files_it_writes_from_and_to(self) -> None:
        assert THREE.commits(OLDEST) == ((delta(2), delta(1)),)


class TestDisksThatComeAndGo:
    """Disk vdb of a point stands on the vdb directly below it, or on nothing."""

    def test_a_chain_starts_anew_after_a_point_without_the_disk(self) -> None:
        manifest = chain((delta(1), delta(2, "vdb")), (delta(3),), (delta(4), delta(5, "vdb")))
        newest = names(manifest)[-1]
        assert manifest.chain_of("vdb", newest) == (delta(5, "vdb"),)
        assert manifest.chain_of("vda", newest) == (delta(1), delta(3), delta(4))
        assert manifest.chain_of("vdb", names(manifest)[1]) == ()

    def test_merging_that_point_away_does_not_put_the_second_life_on_the_first(self) -> None:
        manifest = chain((delta(1), delta(2, "vdb")), (delta(3),), (delta(4), delta(5, "vdb")))
        merged = merging(manifest, 1)
        newest = names(merged)[-1]
        assert [d.file for d in merged.chain_of("vdb", newest)] == [delta(5, "vdb").file]
        oldest = names(merged)[0]
        assert [younger.disk for younger, _ in merged.commits(oldest)] == ["vda"]
        last = merging(merged, 0)
        assert delta(5, "vdb").file in last.files()
        assert delta(2, "vdb").file not in last.files()

    def test_a_second_life_that_inherits_a_first_copy_still_stands_on_nothing(self) -> None:
        manifest = chain(
            (delta(1), delta(2, "vdb")),
            (delta(3), delta(4, "vdb", Base.NOTHING)),
            (delta(5), delta(6, "vdb")),
        )
        merged = merging(manifest, 1)
        newest = names(merged)[-1]
        assert [d.file for d in merged.chain_of("vdb", newest)] == [delta(4, "vdb").file]

    def test_a_disk_that_was_removed_goes_with_the_last_point_that_had_it(self) -> None:
        merged = merging(chain((delta(1), delta(2, "vdb")), (delta(3),)), 0)
        assert merged.files() == files(delta(1))

    def test_a_disk_that_was_added_keeps_its_file(self) -> None:
        manifest = chain((delta(1),), (delta(3), delta(4, "vdb")))
        assert merging(manifest, 0).files() == files(delta(1), delta(4, "vdb"))
        assert [y.disk for y, _ in manifest.commits(names(manifest)[0])] == ["vda"]


class TestPinsAndReverts:
    def test_a_pin_is_put_on_and_taken_off(self) -> None:
        pinned = THREE.with_pin(MIDDLE)
        assert [p.pinned for p in pinned.points] == [False, True, False]
        assert pinned.without_pin(MIDDLE) == THREE

    def test_a_revert_holds_until_latest(self) -> None:
        reverted = THREE.reverted(OLDEST)
        assert reverted.reverted_to == OLDEST
        assert reverted.points == THREE.points
        assert reverted.reverted(None) == THREE

    def test_a_given_up_point_can_neither_be_pinned_nor_reverted_to(self) -> None:
        marked = THREE.giving_up(OLDEST)
        with pytest.raises(FixRequest, match="given up"):
            marked.with_pin(OLDEST)
        with pytest.raises(FixRequest, match="given up"):
            marked.reverted(OLDEST)

    def test_a_point_that_does_not_exist_can_neither_be_pinned_nor_reverted_to(self) -> None:
        missing = PointName.at(START - HOUR)
        with pytest.raises(RepairStore):
            THREE.with_pin(missing)
        with pytest.raises(RepairStore):
            THREE.reverted(missing)


def test_neighbours_are_found_by_name() -> None:
    assert THREE.younger_neighbour(OLDEST).name == MIDDLE
    found: BootPoint = THREE.point(NEWEST)
    assert found is THREE.points[2]


class TestStates:
    PAUSE = Pause(START, START + 5 * HOUR, "the array is rebuilt", "eve@manager")

    def test_a_pause_is_a_state_until_it_ends_by_itself(self) -> None:
        paused = THREE.with_pause(self.PAUSE)
        assert paused.state_at(START + 4 * HOUR) is State.PAUSED
        assert paused.state_at(START + 5 * HOUR) is State.PROTECTED
        assert paused.role is State.PAUSED  # who reads the file has no clock
        assert paused.with_pause(None) == THREE

    def test_a_pause_without_an_end_lasts(self) -> None:
        paused = EMPTY.with_pause(replace(self.PAUSE, until=None))
        assert paused.state_at(START + 90_000 * HOUR) is State.PAUSED
        assert paused.with_pause(None).state_at(START) is State.WAITING_FOR_SEED

    def test_a_new_point_does_not_end_a_pause(self) -> None:
        paused = THREE.with_pause(self.PAUSE)
        assert paused.with_point(point(START + 3 * HOUR)).paused == self.PAUSE

    @pytest.mark.parametrize("state", State)
    @pytest.mark.parametrize("before", [THREE, EMPTY, THREE.with_pause(PAUSE)])
    def test_a_failover_goes_its_steps_and_no_others(self, before: Manifest, state: State) -> None:
        allowed = state in FAILOVERS and may_follow(before.state_at(START), state)
        if allowed:
            assert before.in_failover(state, START).failover is state
        else:
            with pytest.raises(FixRequest, match="no step"):
                before.in_failover(state, START)

    def test_after_a_failover_the_standby_follows_its_machine_again(self) -> None:
        prepared = THREE.in_failover(State.PREPARED, START)
        assert prepared.state_at(START) is State.PREPARED
        over = prepared.in_failover(State.FAILED_OVER, START)
        assert over.with_pause(self.PAUSE).state_at(START) is State.FAILED_OVER
        assert over.in_failover(None, START) == THREE
        turned = over.in_failover(State.REVERSED, START)
        assert turned.state_at(START) is State.REVERSED
        assert turned.with_pause(self.PAUSE).state_at(START) is State.PAUSED

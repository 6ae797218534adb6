"""Room for a cycle and for a merge."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from chain_world import EMPTY, START, point
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import Retry
from standby.model.extent import Extent, ExtentKind
from standby.model.keep import Keep
from standby.model.manifest import Manifest
from standby.model.point import Base, Delta
from standby.planning.retention import plan_merges
from standby.planning.space import (
    CLUSTER,
    Allocation,
    DiskWrite,
    allocated_by,
    bytes_for_disk,
    bytes_for_merge,
    bytes_for_merges,
    cycle_space,
    merge_space,
    readable,
)

MIB = 1024**2
GIB = 1024**3
DATA, ZERO = ExtentKind.DATA, ExtentKind.ZERO


class TestExtents:
    @pytest.mark.parametrize(
        ("extents", "clusters"),
        [
            ([], 0),
            ([Extent(0, 1, DATA)], 1),
            ([Extent(0, CLUSTER, DATA)], 1),
            ([Extent(CLUSTER - 1, 2, DATA)], 2),
            ([Extent(0, 512, DATA), Extent(4096, 512, DATA)], 1),
            ([Extent(0, 4 * CLUSTER, ZERO)], 0),
            ([Extent(512, 4 * CLUSTER, ZERO)], 2),
            ([Extent(512, 512, ZERO)], 1),
            ([Extent(512, CLUSTER - 512, ZERO)], 1),
            ([Extent(0, 512, DATA), Extent(512, CLUSTER, ZERO)], 2),
            ([Extent(0, 512, ZERO), Extent(512, CLUSTER, DATA)], 2),
        ],
    )
    def test_a_part_of_a_cluster_costs_the_whole_and_whole_zero_clusters_nothing(
        self, extents: list[Extent], clusters: int
    ) -> None:
        assert allocated_by(extents) == clusters * CLUSTER

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2 * CLUSTER),
                st.integers(1, 3 * CLUSTER),
                st.sampled_from(ExtentKind),
            ),
            max_size=8,
        )
    )
    def test_each_cluster_is_counted_once(self, parts: list[tuple[int, int, ExtentKind]]) -> None:
        extents, position = [], 0
        for gap, length, kind in parts:
            extents.append(Extent(position + gap, length, kind))
            position += gap + length
        touched = set()
        for extent in extents:
            for cluster in range(extent.start // CLUSTER, -(-extent.end // CLUSTER)):
                first, end = cluster * CLUSTER, (cluster + 1) * CLUSTER
                whole = extent.start <= first and end <= extent.end
                if extent.kind is DATA or not whole:
                    touched.add(cluster)
        assert allocated_by(extents) == len(touched) * CLUSTER


class TestDisks:
    @pytest.mark.parametrize("size", [1, CLUSTER, 100 * MIB, 10 * GIB, 2048 * GIB])
    def test_a_full_disk_needs_no_less_than_qemu_measures_and_hardly_more(self, size: int) -> None:
        command = ["qemu-img", "measure", "--output=json", "-O", "qcow2", "--size", str(size)]
        done = subprocess.run(command, capture_output=True, check=True)
        measured = json.loads(done.stdout)["fully-allocated"]
        needed = bytes_for_disk(DiskWrite("vda", size, size))
        assert measured <= needed <= measured * 1.001 + 8 * CLUSTER

    def test_what_is_really_written_stays_within_it(self, tmp_path: Path) -> None:
        image = str(tmp_path / "delta.qcow2")
        writes = [n * 512 * MIB // 3 + 1000 for n in range(16)]  # far apart: many tables
        commands = [part for n in writes for part in ("-c", f"write {n} 3000")]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "4G"], check=True)
        subprocess.run(["qemu-io", image, *commands], check=True, stdout=subprocess.DEVNULL)
        data = allocated_by([Extent(n, 3000, DATA) for n in writes])
        assert Path(image).stat().st_size <= bytes_for_disk(DiskWrite("vda", 4 * GIB, data))

    def test_a_preallocated_disk_needs_its_whole_size(self) -> None:
        write = DiskWrite("vda", 10 * GIB, 0, Allocation.FULL)
        assert 10 * GIB < bytes_for_disk(write) < 10.01 * GIB
        assert bytes_for_disk(replace(write, allocation=Allocation.THIN)) < 3 * MIB

    def test_no_more_is_written_than_the_disk_holds(self) -> None:
        assert bytes_for_disk(DiskWrite("vda", GIB, 5 * GIB)) < 1.01 * GIB


class TestCycles:
    def test_there_is_room(self) -> None:
        assert cycle_space("/srv", [DiskWrite("vda", GIB, MIB)], 100 * MIB, 10 * MIB) is None

    def test_the_reserve_stays_free(self) -> None:
        write = DiskWrite("vda", GIB, MIB)
        just_enough = bytes_for_disk(write) + 10 * MIB
        assert cycle_space("/srv", [write], just_enough, 10 * MIB) is None
        assert cycle_space("/srv", [write], just_enough - 1, 10 * MIB)

    def test_the_error_has_the_numbers_and_may_be_tried_again(self) -> None:
        writes = [DiskWrite("vda", GIB, 600 * MIB), DiskWrite("vdb", GIB, 600 * MIB)]
        error = cycle_space("kvm1:/srv", writes, GIB, 100 * MIB)
        assert error
        assert str(error) == (
            "storage kvm1:/srv: 1.0 GiB free (expected: 1.2 GiB for the new boot point and "
            "100.0 MiB in reserve); free 277.0 MiB there, or lower the limit of boot points"
        )
        assert error.needed_bytes == sum(map(bytes_for_disk, writes)) + 100 * MIB
        assert error.available_bytes == GIB
        assert error.retry is Retry.LATER


def manifest(*stored: int) -> Manifest:
    points = tuple(
        point(
            START + timedelta(hours=n),
            deltas=(Delta("vda", f"deltas/vda.{n:04}.qcow2", GIB, size),),
        )
        for n, size in enumerate(stored)
    )
    return replace(EMPTY, points=points)


class TestMerges:
    def test_a_merge_needs_room_for_the_younger_delta(self) -> None:
        older, younger = manifest(900 * MIB, 50 * MIB).points
        assert 50 * MIB <= bytes_for_merge(older, younger) < 51 * MIB
        assert merge_space("/srv", older, younger, 51 * MIB) is None
        error = merge_space("/srv", older, younger, 40 * MIB)
        assert error
        assert error.available_bytes == 40 * MIB
        assert error.needed_bytes == bytes_for_merge(older, younger)

    def test_a_disk_that_is_not_written_needs_none(self) -> None:
        older, younger = manifest(1, 50 * MIB).points
        (delta,) = younger.deltas
        anew = replace(younger, deltas=(replace(delta, base=Base.NOTHING),))
        assert bytes_for_merge(older, anew) == 0
        other = replace(younger, deltas=(replace(delta, disk="vdb"),))
        assert bytes_for_merge(older, other) == 0

    def test_merges_one_after_the_other_need_room_for_the_largest(self) -> None:
        points = manifest(GIB, 10 * MIB, 70 * MIB, 20 * MIB).points
        plan = plan_merges(points, Keep(1), START)
        assert bytes_for_merges(points, plan.merges) == bytes_for_merge(points[1], points[2])
        assert bytes_for_merges(points, ()) == 0

    def test_a_younger_delta_that_took_another_over_counts_both(self) -> None:
        points = manifest(GIB, 10 * MIB, 70 * MIB, 20 * MIB).points
        merges = plan_merges(points, Keep(1), START).merges
        upwards = (merges[1], replace(merges[0], younger=points[2].name))
        assert bytes_for_merges(points, upwards) == bytes_for_merge(points[0], points[1]) + 70 * MIB


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1010 * 1024, "1010.0 KiB"),
        (5 * GIB // 4, "1.2 GiB"),
        (3000 * 1024**5, "3000.0 PiB"),
    ],
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert readable(size) == text

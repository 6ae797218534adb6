"""Which interrupted first copies go on, and what first copies begin from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from standby.errors import FixProfile, TryLater, UseOtherImage
from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.model.machine import MachineIdentity
from standby.model.manifest import AwaitedSeed, Manifest
from standby.model.plan import DiskPlan
from standby.model.point import Way
from standby.model.seed import ImageFound, SeedImages, SeedOrigin, UnfinishedSeed
from standby.planning.seeds import (
    given_up,
    going_on,
    refuse_while_waiting,
    require_fit,
    with_images,
)

SIZE = 1 << 30


def plan(
    name: str = "vda", size: int = SIZE, below: str | None = None, way: Way = Way.SEED
) -> DiskPlan:
    disk = SourceDisk(name, f"/vms/{name}", ImageFormat.QCOW2, DiskStorage.FILE, size)
    return DiskPlan(disk, way, "first copy", below, 3)


def left(
    name: str = "vda",
    size: int = SIZE,
    generation: int = 1,
    origin: SeedOrigin = SeedOrigin.NOTHING,
    below: str | None = None,
) -> UnfinishedSeed:
    image = f"incoming/{generation}.{origin.value}-{size}.{name}.0001"
    return UnfinishedSeed(name, size, 1, origin, f"{image}.qcow2", f"{image}.digests", 4096, below)


def test_a_first_copy_goes_on_with_the_newest_of_its_disk_and_size_and_says_so() -> None:
    older, newest, other, resized = left(), left(generation=2), left("vdb"), left(size=SIZE * 2)
    (planned,) = going_on([plan()], (older, newest, other, resized))
    assert planned.continues == newest
    assert "going on" in planned.reason
    useless = given_up([planned], (older, newest, other, resized))
    assert set(useless) == {*older.files, *other.files, *resized.files}


def test_a_disk_that_stands_on_a_boot_point_goes_on_with_nothing() -> None:
    (planned,) = going_on([plan(below="deltas/vda.0001.qcow2")], (left(),))
    assert planned.continues is None
    assert given_up([planned], (left(),)) == left().files


def test_a_resync_goes_on_only_on_the_boot_point_that_it_stands_on() -> None:
    below = "deltas/vda.0002.qcow2"
    resync = left(origin=SeedOrigin.RESYNC, below=below)
    (planned,) = going_on([plan(below=below, way=Way.RESYNC)], (resync, left()))
    assert planned.continues == resync
    for other in (
        plan(below="deltas/vda.0003.qcow2", way=Way.RESYNC),  # merged meanwhile
        plan(below=below, way=Way.INCREMENTAL),
        plan(below=below),  # a full copy
        plan(),
    ):
        (planned,) = going_on([other], (resync,))
        assert planned.continues is None
        assert given_up([planned], (resync,)) == resync.files


def test_an_image_is_preferred_to_what_began_without_it_which_stays_until_it_is_copied() -> None:
    images = SeedImages(only="/srv/old.raw")
    (planned,) = going_on(with_images([plan()], images), (left(),))
    assert (planned.image, planned.continues) == ("/srv/old.raw", None)
    assert given_up([planned], (left(),)) == ()
    copied = left(generation=2, origin=SeedOrigin.IMAGE)
    (planned,) = going_on(with_images([plan()], images), (left(), copied))
    assert planned.continues == copied
    assert "/srv/old.raw" in planned.reason
    assert given_up([planned], (left(), copied)) == left().files


def test_images_are_of_first_copies_only() -> None:
    (planned,) = with_images([plan(below="deltas/vda.0001.qcow2")], SeedImages(only="/srv/old.raw"))
    assert planned.image is None


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (SeedImages(only="/srv/old.raw"), "2 disks"),
        (SeedImages({"vdc": "/srv/old.raw"}), "no disk vdc"),
    ],
)
def test_images_of_nobody_knows_which_disk_are_refused(images: SeedImages, said: str) -> None:
    with pytest.raises(FixProfile, match=said):
        with_images([plan(), plan("vdb")], images)


@pytest.mark.parametrize("size", [1, SIZE - 1, SIZE])
def test_a_smaller_image_will_do(size: int) -> None:
    require_fit(plan(), ImageFound("/srv/old.raw", ImageFormat.RAW, size, 0))


def test_a_larger_image_is_refused() -> None:
    with pytest.raises(UseOtherImage, match=str(SIZE + 512)):
        require_fit(plan(), ImageFound("/srv/old.raw", ImageFormat.RAW, SIZE + 512, 0))


def test_whoever_waits_is_told_what_for_and_how_to_give_up() -> None:
    manifest = Manifest("web-standby", MachineIdentity("web", "uuid"), "token")
    refuse_while_waiting(manifest, "web")
    since = datetime(2026, 11, 22, 3, 56, tzinfo=UTC)
    waiting = manifest.waiting(AwaitedSeed("/media/usb on north", since, "checkpoint"))
    with pytest.raises(TryLater) as caught:
        refuse_while_waiting(waiting, "web")
    for words in ("/media/usb on north", "2026-11-22 03:56 UTC", "import-seed web --give-up"):
        assert words in str(caught.value)


def test_a_resync_on_a_spoilt_point_begins_anew() -> None:
    below = "deltas/vda.0001.qcow2"
    resync = replace(left(), origin=SeedOrigin.RESYNC, below=below)
    on_spoilt = replace(plan(below=below, way=Way.RESYNC), again=((0, 65536),))
    (planned,) = going_on([on_spoilt], (resync,))
    assert planned.continues is None

"""A first copy that begins from an image on the KVM host: exact, and only what differs is sent."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest
import yaml
from support import KIB, MIB, Protect, Protection, run
from support_manager import ManagerHost
from support_messages import Stop, StopAt
from support_traces import expect_no_traces

from lab.waiting import wait_until
from standby.cycle.report import Phase
from standby.errors import FixProfile, TryLater, UseOtherImage
from standby.model.point import Way

DIRECTORY = Path("/srv/standby/restored")


def image_of(protection: Protection, kind: str, disk: str = "vda", size: str = "") -> Path:
    """Put an image of a disk, as it is now, on the KVM host."""
    copy, path = protection.copy()[disk], DIRECTORY / f"{protection.name}-{disk}.{kind}"
    inside = protection.lab.path("kvm", path)
    inside.parent.mkdir(exist_ok=True)
    run("qemu-img", "convert", "-f", "raw", "-O", kind, str(copy), str(inside))
    if size:
        run("qemu-img", "resize", "-q", "--shrink", "-f", kind, str(inside), size)
    return path


def seed_from(protection: Protection, images: Path | dict[str, str]) -> None:
    """Name the images in the profile."""
    profile = yaml.safe_load(protection.profile_file.read_text())
    profile["target"]["seed_from"] = images if isinstance(images, dict) else str(images)
    protection.profile_file.write_text(yaml.safe_dump(profile))


def opened(protection: Protection, image: Path) -> bool:
    """Tell whether somebody has an image open for writing."""
    script = 'grep ":$(stat -c %i "$1") " /proc/locks || true'  # takes no lock itself
    return bool(protection.lab.exec("kvm", ["sh", "-c", script, "look", str(image)]).strip())


def digest(protection: Protection, path: Path) -> str:
    return hashlib.sha256(protection.lab.path("kvm", path).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("kind", "size"),
    [("raw", "6M"), *(pytest.param(kind, "", marks=pytest.mark.long) for kind in ("qcow2", "raw"))],
)
def test_only_what_differs_from_the_image_is_sent_and_the_image_stays(
    protect: Protect, kind: str, size: str
) -> None:
    protection = protect(24 * MIB)
    protection.write("vda", "write -P 0x11 0 6M")
    image = image_of(protection, kind, size=size)
    before = digest(protection, image)
    seed_from(protection, image)
    # Other data, data that is a hole now, and data where the image has a hole or nothing.
    protection.write("vda", "write -P 0x21 1M 64k", "discard 2M 1M", "write -P 0x22 20M 64k")
    report = protection.cycle()
    assert (report.way, report.data) == (Way.SEED, 2 * 64 * KIB)
    assert str(image) in report.reason
    protection.expect_exact()
    protection.expect_head_on(str(report.point))
    assert digest(protection, image) == before
    protection.lab.path("kvm", image).unlink()  # nothing stands on it
    protection.write("vda", "write -P 0x31 3M 64k")
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_one_of_two_disks_begins_from_an_image(protect: Protect) -> None:
    protection = protect(8 * MIB, 8 * MIB)
    protection.write("vda", "write -P 0x11 0 4M")
    protection.write("vdb", "write -P 0x12 0 4M")
    seed_from(protection, {"vdb": str(image_of(protection, "raw", "vdb"))})
    report = protection.cycle()
    assert report.data == 4 * MIB
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.parametrize("phase", [Phase.CAPTURE, Phase.PUBLISH])
@pytest.mark.long
def test_a_manager_killed_after_copying_the_image_goes_on_with_the_copy(
    protect: Protect, phase: Phase
) -> None:
    protection = protect(8 * MIB)
    protection.write("vda", "write -P 0x11 0 4M")
    image = image_of(protection, "qcow2")
    seed_from(protection, image)
    protection.write("vda", "write -P 0x21 1M 64k")
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, phase))
        assert manager.reaches()
        manager.kill()
    protection.lab.path("kvm", image).unlink()  # it was copied already
    protection.write("vda", "write -P 0x11 1M 64k", "write -P 0x22 6M 64k")
    assert protection.cycle_when_free().data <= 2 * 64 * KIB
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_manager_killed_while_it_copies_the_image_begins_with_it_anew(protect: Protect) -> None:
    protection = protect(8 * MIB)
    protection.write("vda", "write -P 0x11 0 4M")
    seed_from(protection, image_of(protection, "qcow2"))
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PROGRESS))
        assert manager.reaches()
        manager.kill()
    assert protection.cycle_when_free().data == 0
    protection.expect_exact()
    expect_no_traces(protection)


def test_images_that_will_not_do_are_refused_by_name(
    protect: Protect, managers: ManagerHost
) -> None:
    protection = protect(8 * MIB, 8 * MIB)
    lab, missing = protection.lab, DIRECTORY / "missing.raw"
    good = image_of(protection, "qcow2")
    large = image_of(protection, "raw", "vdb", size="16M")
    overlay = DIRECTORY / "overlay.qcow2"
    stands = ("-q", "-f", "qcow2", "-F", "qcow2", "-b", str(good))
    lab.exec("kvm", ["qemu-img", "create", *stands, str(overlay)])
    wrong: list[tuple[Path | dict[str, str], type[Exception], str]] = [
        (good, FixProfile, "2 disks"),
        ({"vdc": str(good)}, FixProfile, "no disk vdc"),
        ({"vda": str(missing)}, UseOtherImage, "no such file"),
        ({"vda": str(good), "vdb": str(large)}, UseOtherImage, "16777216"),
        ({"vda": str(overlay)}, UseOtherImage, "another file"),
    ]
    for images, error, words in wrong:
        seed_from(protection, images)
        with pytest.raises(error, match=words):
            managers.run(protection.name)
    seed_from(protection, {"vda": str(good)})
    with lab.popen("kvm", ["qemu-io", "-f", "qcow2", "-c", "sleep 60000", str(good)]) as writer:
        try:
            locked = partial(opened, protection, good)
            wait_until(locked, "an image to be opened", 10)
            with pytest.raises(TryLater, match="open"):
                managers.run(protection.name)
        finally:
            writer.kill()
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)

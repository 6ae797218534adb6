"""What a look at a standby's directory says, whatever names it finds there."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from standby.errors import RepairStore
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.point import BootPoint, Consistency, Delta, Way
from standby.target import layout, programs
from standby.target.listing import Listing, manifest_of, parse_listing
from standby.target.manifest_format import write_manifest
from standby.target.users import Images, parse_images, unexpected_users

NAME = PointName(datetime(2026, 11, 22, 3, 56, tzinfo=UTC))
POINT = BootPoint(
    NAME,
    Way.SEED,
    "first copy",
    Consistency.CRASH,
    (Delta("vda", "deltas/vda.0001.qcow2", 1 << 20, 4096),),
    0,
    NAME.moment,
)
MANIFEST = Manifest("web", MachineIdentity("web", "uuid"), "token", 3, points=(POINT,))
ODD_NAMES = [
    "with blanks and  more",
    "-rf",
    "new\nline",
    "x\n== manifest\n{}",
    "f 8 deltas\nf 8 deltas/vda.0009.qcow2",
    "\x0b\x0c\x1c\x85\u2028",
    b"not utf-8 \xff".decode("utf-8", "surrogateescape"),
    "$(touch injected)",
    "'\"`",
]


def observed(directory: Path) -> Listing:
    argv = ["sh", "-c", programs.OBSERVE, "observe", str(directory)]
    done = subprocess.run(argv, capture_output=True, check=True)
    return parse_listing(done.stdout.decode("utf-8", "surrogateescape"), "the store")


def images_of(directory: Path) -> Images:
    argv = ["sh", "-c", programs.READ_HEADERS, "headers", str(directory)]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert not done.stderr
    images = parse_images(done.stdout, str(directory))
    assert images is not None
    return images


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The directory of a standby with one point."""
    directory = tmp_path / "web"
    make = ["sh", "-c", programs.MAKE_DIRECTORY, "make", str(directory)]
    subprocess.run(make, check=True)
    (directory / "standby.json").write_text(write_manifest(MANIFEST))
    (directory / "deltas/vda.0001.qcow2").write_bytes(b"x")
    (directory / f"points/{NAME}").mkdir()
    return directory


def with_programs(monkeypatch: pytest.MonkeyPatch, place: Path, **programs_: str) -> None:
    """Let the host's programs of these names be other ones."""
    place.mkdir()
    for name, text in programs_.items():
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    "wrong",
    [
        "echo 'find: ./deltas: Input/output error' >&2; exit 1",
        "echo 'find: ./a: No such file or directory' >&2; echo 'find: ./b: x' >&2; exit 1",
        "kill -KILL $$",
    ],
)
def test_a_listing_that_is_cut_short_is_refused(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    part = f"printf 'd 8 deltas\\0'; {wrong}"
    with_programs(monkeypatch, tmp_path / "bin", find=part)
    with pytest.raises(RepairStore, match="not all of it can be read"):
        observed(store)


def test_a_manifest_that_cannot_be_read_is_not_taken_for_none(store: Path) -> None:
    (store / "standby.json").unlink()
    (store / "standby.json").mkdir()  # cat(1) fails on it, as it does on a bad disk
    with pytest.raises(subprocess.CalledProcessError) as caught:
        observed(store)
    assert caught.value.returncode == 74


def test_what_comes_and_goes_during_a_look_is_no_failure(store: Path) -> None:
    busy = (
        "while :; do mkdir -p heads/a/b; for n in 1 2 3 4 5 6 7 8; do : > run/$n; : > heads/a/$n;"
        " done; rm -rf run/* heads/a; done"
    )
    with subprocess.Popen(["sh", "-c", busy], cwd=store, stderr=subprocess.DEVNULL) as other:
        try:
            for _ in range(150):
                assert manifest_of(observed(store), "the manifest") == MANIFEST
        finally:
            other.kill()


def test_a_host_without_findmnt_tells_how_a_network_storage_is_mounted(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = 'case "$*" in *%T*) echo nfs;; *) exec /usr/bin/stat "$@";; esac'
    with_programs(monkeypatch, tmp_path / "bin", stat=kind, findmnt="exit 127")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    options = {line.rpartition(" ")[2] for line in mounts}
    assert observed(store).mounted_with in options


def test_a_look_shows_what_is_there_and_the_manifest_as_it_is(store: Path) -> None:
    listing = observed(store)
    assert manifest_of(listing, "the manifest") == MANIFEST
    assert listing.manifest == (store / "standby.json").read_text()
    assert "deltas/vda.0001.qcow2" in listing.files
    assert listing.available > 0
    assert listing.filesystem
    assert listing.debris(MANIFEST) == ()


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("folder", ["", "deltas", "kept", "points", "heads", "run"])
def test_no_name_of_a_file_can_pass_for_anything_else(store: Path, folder: str, name: str) -> None:
    target = store / folder / name.replace("/", "_")
    target.write_bytes(b"x")
    listing = observed(store)
    assert manifest_of(listing, "the manifest") == MANIFEST
    assert listing.debris(MANIFEST) == ()
    assert len(listing.files) == 3
    images = images_of(store)
    assert unexpected_users(images, MANIFEST, "") == ()
    assert not (store / "injected").exists()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_image_of_any_name_that_stands_on_a_point_is_found(store: Path, name: str) -> None:
    delta = store / "deltas/vda.0001.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2"]
    delta.unlink()
    subprocess.run([*create, str(delta), "1M"], check=True)
    image = store / "kept" / name.replace("/", "_")
    subprocess.run([*create, "-F", "qcow2", "-b", str(delta), "--", str(image)], check=True)
    (user,) = unexpected_users(images_of(store), MANIFEST, "")
    assert user.stands_on == NAME


def test_images_are_found_wherever_they_lie_in_the_store(store: Path) -> None:
    create = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2"]
    (store / "mine").mkdir()
    for place, backing in (
        ("copy.img", "deltas/vda.0001.qcow2"),
        ("mine/disk", "../deltas/vda.0001.qcow2"),
        ("deltas/other.qcow2", "vda.0001.qcow2"),
    ):
        subprocess.run([*create, "-b", backing, str(store / place), "1M"], check=True)
    users = unexpected_users(images_of(store), MANIFEST, "")
    assert {user.what: user.stands_on for user in users} == dict.fromkeys(
        ("copy.img", "mine/disk", "deltas/other.qcow2"), NAME
    )


def test_an_image_on_something_unknown_is_a_user_of_nobody_knows_what(store: Path) -> None:
    create = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2"]
    backing = 'json:{"driver": "file", "filename": "deltas/vda.0001.qcow2"}'
    for name, below in (("a", "/elsewhere/x.qcow2"), ("b", backing)):
        subprocess.run([*create, "-b", below, str(store / "kept" / name), "1M"], check=True)
    users = unexpected_users(images_of(store), MANIFEST, "")
    assert [user.stands_on for user in users] == [None, None]


def test_debris_is_ours_and_nothing_else(store: Path) -> None:
    ours = {
        "incoming/4.vda.0002.qcow2",
        "incoming/anything",
        "deltas/vda.0002.qcow2",
        "deltas/vda.0002.digests",
        "points/V20261122_040000/machine.xml",
        "heads/V20261122_035600.7/vda.qcow2",
    }
    theirs = {
        "deltas/notes.txt",
        "deltas/vda.qcow2",
        "points/notes/why.txt",
        "points/V20269999_999999/impossible",
        "heads/V20269999_999999.1/vda.qcow2",
        "kept/V20261122_035600.7/vda.qcow2",
        "mine/x",
    }
    for path in ours | theirs:
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_bytes(b"x")
    listing = observed(store)
    assert set(listing.debris(MANIFEST)) == {
        "incoming/4.vda.0002.qcow2",
        "incoming/anything",
        "deltas/vda.0002.qcow2",
        "deltas/vda.0002.digests",
        "points/V20261122_040000",
        "heads/V20261122_035600.7",
    }


def test_the_head_in_use_is_not_debris(store: Path) -> None:
    (store / "heads/V20261122_035600.7").mkdir()
    (store / "head").symlink_to("heads/V20261122_035600.7")
    assert observed(store).debris(MANIFEST) == ()
    assert observed(store).head_exists


def test_a_listing_cut_short_is_not_believed() -> None:
    whole = (
        "== files\nf 8 standby.json\n== head\n\n== fresh\n== now\n== available\n 1\n"
        "== type\next2/ext3\n== options\n== clock\n1795319760\n== manifest\n"
    )
    assert parse_listing(whole, "x").available == 1
    for cut in range(len(whole) - len("== manifest\n")):
        with pytest.raises(RepairStore):
            parse_listing(whole[:cut], "x")


def test_what_points_consist_of_and_is_gone_is_named(store: Path) -> None:
    delta = Delta("vda", "deltas/vda.0001.qcow2", 1 << 20, 1)
    manifest = replace(MANIFEST, points=(replace(MANIFEST.points[0], deltas=(delta,)),))
    assert observed(store).missing(manifest) == ("deltas/vda.0001.digests",)
    (store / "deltas/vda.0001.digests").symlink_to("elsewhere")  # somebody moved it
    assert observed(store).missing(manifest) == ()
    (store / "deltas/vda.0001.qcow2").unlink()
    assert observed(store).missing(manifest) == ("deltas/vda.0001.qcow2",)


def test_numbers_of_heads_are_never_used_twice(store: Path) -> None:
    (store / "heads/V20261122_035600.7").mkdir()
    (store / "kept/V20261122_035500.12").mkdir()
    assert observed(store).next_head_number() == 13


def test_headers_that_claim_too_much_are_refused() -> None:
    lies = b"QFI\xfb" + (3).to_bytes(4) + (5000).to_bytes(8) + (10).to_bytes(4) + bytes(12)
    listed = b"%d ./kept/x\0\0" % len(lies)
    with pytest.raises(RepairStore):
        parse_images(listed + lies + listed, "/store")


@pytest.mark.parametrize("later", [b"9 ./a\0\0", b"10 ./b\0\0", b"10 ./a\0001 ./b\0\0", b"\0", b""])
def test_headers_of_files_that_changed_while_they_were_read_are_not_believed(later: bytes) -> None:
    assert parse_images(b"10 ./a\0\0" + bytes(10) + later, "/store") is None


def test_headers_of_a_file_that_shrank_while_it_was_read_are_not_believed() -> None:
    for left in range(10):
        assert parse_images(b"10 ./a\0\0" + bytes(left) + b"%d ./a\0\0" % left, "/store") is None


def test_a_file_that_grows_behind_its_header_is_believed() -> None:
    printed = b"4096 ./a\0\0" + bytes(4096) + b"8192 ./a\0\0"
    images = parse_images(printed, "/store")
    assert images is not None
    assert images.stands_on == {"a": None}


def test_an_empty_store_has_no_images() -> None:
    assert parse_images(b"", "/store") == Images({})


@pytest.mark.parametrize(
    ("directory", "point"),
    [
        ("points/V20261122_035600", NAME),
        ("points/V20269999_999999", None),
        ("points/deeper/V20261122_035600", None),
        ("V20261122_035600", None),
    ],
)
def test_only_our_own_directories_are_taken_for_points(
    directory: str, point: PointName | None
) -> None:
    assert layout.point_of_directory(directory) == point


def test_a_manifest_of_another_generation_is_read_for_what_it_is(store: Path) -> None:
    (store / "standby.json").write_text(write_manifest(replace(MANIFEST, generation=9)))
    found = manifest_of(observed(store), "x")
    assert found is not None
    assert found.generation == 9


@pytest.mark.parametrize("gone", ["deltas/vda.0001.qcow2", f"points/{NAME}"])
def test_a_manifest_that_was_lost_is_not_taken_for_one_that_never_was(
    store: Path, gone: str
) -> None:
    (store / "standby.json").write_text("")  # as a crash leaves it
    subprocess.run(["rm", "-r", store / gone], check=True)
    with pytest.raises(RepairStore, match="no manifest, but what belongs to boot points"):
        manifest_of(observed(store), "the manifest")


def test_a_directory_without_anything_of_boot_points_never_had_a_manifest(store: Path) -> None:
    for gone in ("standby.json", "deltas/vda.0001.qcow2", f"points/{NAME}"):
        subprocess.run(["rm", "-r", store / gone], check=True)
    assert manifest_of(observed(store), "the manifest") is None

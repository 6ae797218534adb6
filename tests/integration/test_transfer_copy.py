"""The copy engine gives the target exactly what the source holds, and moves no more than that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from standby.errors import AskForResync, FixRequest, RepairStore, TransferFailed, UseOtherStorage
from standby.model.extent import NbdEndpoint
from standby.transfer import (
    BLOCK,
    Changed,
    CopyResult,
    DiskCopy,
    Everything,
    Pending,
    Scope,
    ZeroPolicy,
    copy_disks,
    pending,
)
from tests.integration.nbd_servers import (
    KIB,
    MIB,
    Server,
    add_bitmap,
    content,
    create,
    nbdkit,
    qemu_io,
    qemu_nbd,
    run,
    storage_daemon,
)

CHANGED = Changed("qemu:dirty-bitmap:b")


def copy_one(source: Server, target: Server, scope: Scope, zeroes: ZeroPolicy) -> CopyResult:
    (result,) = copy_disks([DiskCopy("vda", source.endpoint, target.endpoint, scope, zeroes)])
    return result


def full_copy(disk: str, source: Server, target: Server) -> DiskCopy:
    return DiskCopy(disk, source.endpoint, target.endpoint, Everything(), ZeroPolicy.WRITE)


def seed(source: Path, target: Path, zeroes: ZeroPolicy = ZeroPolicy.LEAVE_OUT) -> CopyResult:
    with qemu_nbd(source) as reader, storage_daemon(target, writable=True) as writer:
        return copy_one(reader, writer, Everything(), zeroes)


def increment(source: Path, target: Path) -> CopyResult:
    with qemu_nbd(source, bitmap="b") as reader, storage_daemon(target, writable=True) as writer:
        return copy_one(reader, writer, CHANGED, ZeroPolicy.WRITE)


def survey(source: Path) -> Pending:
    with qemu_nbd(source, bitmap="b") as reader:
        return pending("vda", reader.endpoint, CHANGED)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """8 MiB of data, tracked from now on by the bitmap b."""
    path = create(tmp_path / "source.qcow2", 8 * MIB)
    qemu_io(path, "write -P 0x11 0 8M")
    add_bitmap(path, "b")
    return path


@pytest.fixture
def base(tmp_path: Path, filled: Path) -> Path:
    """The target's older point: the source as it was before the bitmap."""
    path = create(tmp_path / "base.qcow2", 8 * MIB)
    seed(filled, path)
    return path


@pytest.mark.parametrize(
    "change",
    ["write -z 1M 1M", "write -z -u 1M 1M", "discard 1M 1M", "write -P 0 1M 1M"],
    ids=["zeroed", "zeroed and unmapped", "discarded", "zero bytes written"],
)
def test_what_changed_and_is_zero_now_hides_the_older_data(
    tmp_path: Path, filled: Path, base: Path, change: str
) -> None:
    overlay = create(tmp_path / "overlay.qcow2", 8 * MIB, backing=base)
    qemu_io(filled, change)
    result = increment(filled, overlay)
    assert content(overlay) == content(filled)
    assert content(overlay)[MIB : 2 * MIB] == bytes(MIB)
    assert (result.data_bytes, result.zero_bytes) == (0, MIB)


def test_a_zeroed_range_stays_thin_on_the_target(tmp_path: Path, filled: Path, base: Path) -> None:
    overlay = create(tmp_path / "overlay.qcow2", 8 * MIB, backing=base)
    qemu_io(filled, "discard 0 8M")
    increment(filled, overlay)
    assert content(overlay) == bytes(8 * MIB)
    assert overlay.stat().st_blocks * 512 < MIB


def test_only_what_changed_is_moved(tmp_path: Path, filled: Path, base: Path) -> None:
    overlay = create(tmp_path / "overlay.qcow2", 8 * MIB, backing=base)
    qemu_io(filled, "write -P 0x22 2M 64k", "write -P 0x33 5M 1k", "write -z 6M 128k")
    assert survey(filled) == Pending(2 * BLOCK, 2 * BLOCK)
    result = increment(filled, overlay)
    assert content(overlay) == content(filled)
    assert (result.disk, result.data_bytes, result.zero_bytes) == ("vda", 2 * BLOCK, 2 * BLOCK)


def test_no_change_moves_nothing(tmp_path: Path, filled: Path, base: Path) -> None:
    overlay = create(tmp_path / "overlay.qcow2", 8 * MIB, backing=base)
    assert survey(filled) == Pending(0, 0)
    result = increment(filled, overlay)
    assert (result.data_bytes, result.zero_bytes) == (0, 0)
    assert content(overlay) == content(filled)


def test_a_tracker_that_is_not_there_is_an_error_and_never_a_full_copy(
    tmp_path: Path, filled: Path
) -> None:
    target = create(tmp_path / "target.qcow2", 8 * MIB)
    with qemu_nbd(filled) as reader, storage_daemon(target, writable=True) as writer:
        with pytest.raises(AskForResync, match="qemu:dirty-bitmap:b"):
            copy_one(reader, writer, CHANGED, ZeroPolicy.WRITE)
        with pytest.raises(AskForResync, match="qemu:dirty-bitmap:b"):
            pending("vda", reader.endpoint, CHANGED)
    assert content(target) == bytes(8 * MIB)


def test_zeroes_may_be_left_out_only_of_the_first_seed() -> None:
    nowhere = NbdEndpoint("/nowhere", "")
    with pytest.raises(FixRequest):
        DiskCopy("vda", nowhere, nowhere, CHANGED, ZeroPolicy.LEAVE_OUT)


def test_a_seed_leaves_holes_and_stored_zeroes_out(tmp_path: Path) -> None:
    source = create(tmp_path / "source.qcow2", 64 * MIB)
    qemu_io(source, "write -P 0x11 1M 2M", "write -P 0 3M 1M", "write -z 8M 1M")
    target = create(tmp_path / "target.qcow2", 64 * MIB)
    result = seed(source, target)
    assert content(target) == content(source)
    assert (result.data_bytes, result.zero_bytes) == (2 * MIB, 0)
    assert target.stat().st_blocks * 512 < 3 * MIB


def test_a_full_copy_over_older_data_writes_the_zeroes(tmp_path: Path, base: Path) -> None:
    source = create(tmp_path / "new.qcow2", 8 * MIB)
    qemu_io(source, "write -P 0x44 1M 1M")
    overlay = create(tmp_path / "overlay.qcow2", 8 * MIB, backing=base)
    result = seed(source, overlay, ZeroPolicy.WRITE)
    assert content(overlay) == content(source)
    assert (result.data_bytes, result.zero_bytes) == (MIB, 7 * MIB)


def test_a_disk_of_many_windows_is_copied_whole(tmp_path: Path) -> None:
    """What lies across windows is moved once, over whichever connection."""
    size = 300 * MIB + 512
    source = create(tmp_path / "source.qcow2", size)
    places = range(0, 300, 30)
    qemu_io(source, *(f"write -P {at % 250 + 1} {at}M 5M" for at in places))
    base = create(tmp_path / "base.qcow2", size)
    assert seed(source, base).data_bytes == 50 * MIB
    run("qemu-img", "compare", source, base)
    add_bitmap(source, "b")
    qemu_io(source, *(f"write -P {at % 250 + 2} {at + 3}M 10M" for at in places))
    qemu_io(source, "write -z 64M 128M", "write -P 9 314572800 512")
    overlay = create(tmp_path / "overlay.qcow2", size, backing=base)
    result = increment(source, overlay)
    run("qemu-img", "compare", source, overlay)
    assert result.data_bytes + result.zero_bytes == survey(source).total_bytes


@pytest.mark.parametrize("alone", ["source", "target", "both"])
def test_a_server_may_take_one_client_only(tmp_path: Path, filled: Path, alone: str) -> None:
    target = create(tmp_path / "target.qcow2", 8 * MIB)
    one, many = ("-e", "1"), ("-e", "8")
    with (
        qemu_nbd(filled, options=many if alone == "target" else one) as reader,
        qemu_nbd(target, writable=True, options=many if alone == "source" else one) as writer,
    ):
        copy_one(reader, writer, Everything(), ZeroPolicy.LEAVE_OUT)
    assert content(target) == content(filled)


@pytest.mark.parametrize("granularity", [512, 4 * KIB, 32 * KIB, 64 * KIB, 256 * KIB, 2 * MIB])
@pytest.mark.parametrize("cluster", [512, 4 * KIB, 64 * KIB, 2 * MIB])
def test_trackers_and_images_of_any_granularity_are_combined(
    tmp_path: Path, granularity: int, cluster: int
) -> None:
    size = 8 * MIB
    source = create(tmp_path / "source.qcow2", size, options=f"cluster_size={cluster}")
    qemu_io(source, "write -P 0x11 0 5M")
    base = create(tmp_path / "base.qcow2", size)
    seed(source, base)
    add_bitmap(source, "b", granularity)
    qemu_io(
        source,
        "write -P 0x22 64k 512",  # first sector of a block
        "write -P 0x23 196096 512",  # last sector of a block
        "write -P 0x24 262143 2",  # across a boundary
        "write -z 1M 4k",  # part of a block becomes zero
        "write -z 1150k 300k",
        "write -P 0x25 4094k 4k",
        "discard 3M 1M",
        "write -P 0x26 6M 1k",  # where nothing was
        "write -z 8188k 4k",  # the last bytes
    )
    overlay = create(tmp_path / "overlay.qcow2", size, backing=base)
    increment(source, overlay)
    assert content(overlay) == content(source)


@pytest.mark.parametrize("size", [512, 64 * KIB - 512, 64 * KIB + 512, MIB + 66048, 5 * MIB + 512])
def test_a_disk_may_end_inside_a_block(tmp_path: Path, size: int) -> None:
    source = create(tmp_path / "source.qcow2", size)
    qemu_io(source, f"write -P 0x11 0 {size}")
    base = create(tmp_path / "base.qcow2", size)
    assert seed(source, base).data_bytes == size
    assert content(base) == content(source)
    add_bitmap(source, "b")
    qemu_io(source, f"write -z {size - 512} 512")
    overlay = create(tmp_path / "overlay.qcow2", size, backing=base)
    increment(source, overlay)
    assert content(overlay) == content(source)


def test_a_disk_need_not_be_whole_sectors(tmp_path: Path) -> None:
    raw = tmp_path / "source.raw"
    raw.write_bytes(os.urandom(3 * BLOCK + 1001))
    target = create(tmp_path / "target.qcow2", 4 * BLOCK)
    socket = tmp_path / "source.sock"
    with nbdkit(socket, "file", raw) as reader, storage_daemon(target, writable=True) as writer:
        result = copy_one(reader, writer, Everything(), ZeroPolicy.WRITE)
    assert result.data_bytes == 3 * BLOCK + 1001
    assert content(target)[: 3 * BLOCK + 1001] == raw.read_bytes()
    assert not any(content(target)[3 * BLOCK + 1001 :])


def test_a_target_may_be_larger(tmp_path: Path, filled: Path) -> None:
    target = create(tmp_path / "target.qcow2", 9 * MIB)
    seed(filled, target)
    assert content(target) == content(filled) + bytes(MIB)


def test_a_target_that_is_too_small_is_refused(tmp_path: Path, filled: Path) -> None:
    target = create(tmp_path / "target.qcow2", 8 * MIB - 512)
    with pytest.raises(RepairStore, match=r"8388096 bytes.*at least 8388608 bytes"):
        seed(filled, target)


def test_a_source_that_cannot_tell_allocation_is_all_data(tmp_path: Path) -> None:
    target = create(tmp_path / "target.qcow2", 8 * MIB)
    options = ("--filter=noextents", "pattern", "8M")
    socket = tmp_path / "source.sock"
    with nbdkit(socket, *options) as reader, storage_daemon(target, writable=True) as writer:
        assert pending("vda", reader.endpoint, Everything()) == Pending(8 * MIB, 0)
        assert copy_one(reader, writer, Everything(), ZeroPolicy.WRITE).data_bytes == 8 * MIB
    assert content(target)[-8:] == (8 * MIB - 8).to_bytes(8, "big")


def test_a_hole_that_is_not_said_to_be_zero_is_data(tmp_path: Path) -> None:
    extents = tmp_path / "extents"
    extents.write_text("0 4M hole\n4M 4M hole,zero\n")
    argv = ("--filter=extentlist", "pattern", "8M", f"extentlist={extents}")
    with nbdkit(tmp_path / "source.sock", *argv) as reader:
        assert pending("vda", reader.endpoint, Everything()) == Pending(4 * MIB, 4 * MIB)


TERSE = """
import nbdkit
API_VERSION = 2
def open(readonly): return 1
def get_size(handle): return 8 << 20
def can_extents(handle): return True
def pread(handle, buffer, offset, flags): buffer[:] = b"x" * len(buffer)
def extents(handle, count, offset, flags):
    length = 3000 - offset % 3000
    hole = nbdkit.EXTENT_HOLE | nbdkit.EXTENT_ZERO
    return [(offset, length, hole if offset // 3000 % 50 else 0)]
"""


def test_a_server_may_answer_with_less_than_it_was_asked_about(tmp_path: Path) -> None:
    """One short extent at a time, at odd places: 3,000 bytes of data in each 150,000."""
    plugin = tmp_path / "terse.py"
    plugin.write_text(TERSE)
    with nbdkit(tmp_path / "source.sock", "python", plugin) as reader:
        found = pending("vda", reader.endpoint, Everything())
    blocks = {at // BLOCK for start in range(0, 8 * MIB, 150_000) for at in (start, start + 2999)}
    assert found == Pending(len(blocks) * BLOCK, 8 * MIB - len(blocks) * BLOCK)


@pytest.mark.parametrize("lacking", [("--filter=nozero",), ("-r",)])
def test_a_target_that_cannot_zero_or_write_is_refused(
    tmp_path: Path, filled: Path, lacking: Sequence[str]
) -> None:
    with (
        qemu_nbd(filled) as reader,
        nbdkit(tmp_path / "target.sock", *lacking, "memory", "8M") as writer,
        pytest.raises(UseOtherStorage),
    ):
        copy_one(reader, writer, Everything(), ZeroPolicy.WRITE)


@pytest.mark.parametrize(
    ("minimum", "maximum"), [(1, 64 * KIB), (512, 64 * KIB), (4096, 128 * KIB), (65536, 32 * MIB)]
)
def test_the_block_sizes_of_both_servers_are_kept(
    tmp_path: Path, minimum: int, maximum: int
) -> None:
    size = 4 * MIB + 64 * KIB
    raw = tmp_path / "source.raw"
    raw.write_bytes(os.urandom(size))
    copied = tmp_path / "target.raw"
    copied.write_bytes(bytes(size))
    policy = [
        "--filter=blocksize-policy",
        "blocksize-error-policy=error",
        f"blocksize-minimum={minimum}",
        f"blocksize-preferred={max(minimum, 4096)}",
        f"blocksize-maximum={maximum}",
    ]
    with (
        nbdkit(tmp_path / "s.sock", "file", raw, *policy) as reader,
        nbdkit(tmp_path / "t.sock", "file", copied, *policy) as writer,
    ):
        copy_one(reader, writer, Everything(), ZeroPolicy.WRITE)
    assert copied.read_bytes() == raw.read_bytes()


def test_the_last_write_is_padded_to_what_the_target_can_write(tmp_path: Path) -> None:
    """The pad is zeroes, though the buffer held another part of the disk before."""
    size = 40 * MIB + 1536
    raw = tmp_path / "source.raw"
    raw.write_bytes(os.urandom(size))
    copied = tmp_path / "target.raw"
    copied.write_bytes(b"x" * (40 * MIB + 4096))
    policy = ["--filter=blocksize-policy", "blocksize-error-policy=error"]
    policy += ["blocksize-minimum=4096", "blocksize-maximum=32M", "blocksize-preferred=4096"]
    with (
        nbdkit(tmp_path / "s.sock", "file", raw) as reader,
        nbdkit(tmp_path / "t.sock", "file", copied, *policy) as writer,
    ):
        assert copy_one(reader, writer, Everything(), ZeroPolicy.WRITE).data_bytes == size
    assert copied.read_bytes() == raw.read_bytes() + bytes(4096 - 1536)


def test_several_disks_are_copied_in_one_call(tmp_path: Path, filled: Path) -> None:
    other = create(tmp_path / "other.qcow2", 3 * MIB)
    qemu_io(other, "write -P 0x77 1M 1M")
    targets = [create(tmp_path / f"t{i}.qcow2", size * MIB) for i, size in enumerate((8, 3))]
    with (
        qemu_nbd(filled) as first,
        qemu_nbd(other) as second,
        storage_daemon(targets[0], writable=True) as first_target,
        storage_daemon(targets[1], writable=True) as second_target,
    ):
        everything, leave = Everything(), ZeroPolicy.LEAVE_OUT
        results = copy_disks(
            [
                DiskCopy("vda", first.endpoint, first_target.endpoint, everything, leave),
                DiskCopy("vdb", second.endpoint, second_target.endpoint, everything, leave),
            ]
        )
    assert [(r.disk, r.data_bytes) for r in results] == [("vda", 8 * MIB), ("vdb", MIB)]
    assert content(targets[0]) == content(filled)
    assert content(targets[1]) == content(other)


def test_every_disk_is_looked_at_before_any_is_written(tmp_path: Path, filled: Path) -> None:
    targets = [create(tmp_path / f"t{number}.qcow2", 8 * MIB) for number in range(2)]
    with (
        qemu_nbd(filled) as reader,
        storage_daemon(targets[0], writable=True) as first,
        storage_daemon(targets[1], writable=True) as second,
        pytest.raises(AskForResync, match="disk vdb"),
    ):
        copy_disks(
            [
                full_copy("vda", reader, first),
                replace(full_copy("vdb", reader, second), scope=CHANGED),
            ]
        )
    assert content(targets[0]) == bytes(8 * MIB)


def test_an_export_that_does_not_exist_is_named(tmp_path: Path, filled: Path) -> None:
    target = create(tmp_path / "target.qcow2", 8 * MIB)
    with qemu_nbd(filled) as reader, storage_daemon(target, writable=True) as writer:
        wrong = NbdEndpoint(writer.endpoint.socket, "vdz")
        with pytest.raises(TransferFailed, match="target"):
            copy_disks([DiskCopy("vda", reader.endpoint, wrong, Everything(), ZeroPolicy.WRITE)])


def test_the_target_is_an_image_without_faults(tmp_path: Path, filled: Path, base: Path) -> None:
    overlay = create(tmp_path / "overlay.qcow2", 8 * MIB, backing=base)
    qemu_io(filled, "write -P 0x22 2M 300k", "discard 4M 100k")
    increment(filled, overlay)
    run("qemu-img", "check", overlay)
    run("qemu-img", "compare", filled, overlay)

"""Whatever goes wrong, the copy engine ends soon, says where, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from standby.errors import Cancelled, CaptureLost, StandbyError, TransferFailed
from standby.model.extent import NbdEndpoint
from standby.transfer import (
    CopyResult,
    DiskCopy,
    Everything,
    RateLimit,
    ZeroPolicy,
    copy_disks,
    pending,
)
from standby.transfer.connection import Role
from standby.transfer.feed import BUFFERS, REQUEST
from standby.transfer.lines import Lines
from standby.transfer.poller import Patience
from tests.integration.nbd_servers import (
    KIB,
    MIB,
    Server,
    create,
    nbdkit,
    open_files,
    qemu_nbd,
    serving,
    storage_daemon,
)

SIZE = 96 * MIB  # three times what is in flight at a time
NOWHERE = NbdEndpoint("/nonexistent/nbd.sock", "")


def full_copy(source: NbdEndpoint, target: NbdEndpoint, disk: str = "vda") -> DiskCopy:
    return DiskCopy(disk, source, target, Everything(), ZeroPolicy.WRITE)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test of this file may leave a file, a socket or a thread open."""
    files, threads = open_files(), threading.active_count()
    yield
    assert open_files() == files
    assert threading.active_count() == threads


@contextmanager
def random_source(path: Path, *options: str) -> Iterator[Server]:
    """Data of which no block resembles another, without a file behind it."""
    filters = [option for option in options if option.startswith("--")]
    settings = [option for option in options if option not in filters]
    argv = [*filters, "random", str(SIZE), *settings]
    with nbdkit(path / "source.sock", *argv) as server:
        yield server


@contextmanager
def qcow2_target(path: Path, name: str = "target", size: int = SIZE) -> Iterator[Server]:
    with storage_daemon(create(path / f"{name}.qcow2", size), writable=True) as server:
        yield server


class Midway:
    """A progress callback that does something once, when a quarter of a disk is written.

    As much again as is in flight is read by then, and what is written until somebody tells.
    """

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    def __call__(self, _disk: str, done: int, total: int) -> None:
        if self._act is not None and done * 4 >= total:
            act, self._act = self._act, None
            act()


def slow() -> RateLimit:
    """A limit at which a copy takes a second and a half: there is a midway to act at."""
    return RateLimit(SIZE * 2 // 3)


def test_the_source_dies_midway(tmp_path: Path) -> None:
    with (
        random_source(tmp_path) as source,
        qcow2_target(tmp_path) as target,
        pytest.raises(TransferFailed, match="disk vda, source") as raised,
    ):
        copy_disks(
            [full_copy(source.endpoint, target.endpoint)],
            limiter=slow(),
            progress=Midway(source.kill),
        )
    assert raised.value.disk == "vda"
    assert raised.value.errno in {errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE, errno.ESHUTDOWN}


def test_the_target_dies_midway(tmp_path: Path) -> None:
    with (
        random_source(tmp_path) as source,
        qcow2_target(tmp_path) as target,
        pytest.raises(TransferFailed, match="disk vda, target"),
    ):
        copy_disks(
            [full_copy(source.endpoint, target.endpoint)],
            limiter=slow(),
            progress=Midway(target.kill),
        )


def test_a_failed_read_is_named_with_its_place(tmp_path: Path) -> None:
    faults = ("--filter=error", "error-pread=EIO", "error-pread-rate=100%")
    with (
        random_source(tmp_path, *faults) as source,
        qcow2_target(tmp_path) as target,
        pytest.raises(TransferFailed, match=r"source.*read.*Input/output error") as raised,
    ):
        copy_disks([full_copy(source.endpoint, target.endpoint)])
    assert (raised.value.disk, raised.value.errno) == ("vda", errno.EIO)
    assert raised.value.offset is not None
    assert raised.value.length


def test_a_failed_block_status_is_an_error(tmp_path: Path) -> None:
    """A server that offers allocation and cannot tell it is broken: nothing is guessed."""
    faults = ("error-extents=EIO", "error-extents-rate=100%")
    with (
        nbdkit(tmp_path / "s.sock", "--filter=error", "memory", str(SIZE), *faults) as source,
        pytest.raises(TransferFailed, match=r"source.*block status.*Input/output error"),
    ):
        pending("vda", source.endpoint, Everything())


def test_a_failed_write_is_named_with_its_place(tmp_path: Path) -> None:
    """The storage takes nothing from its middle on."""
    half = SIZE // 2
    broken = f"pwrite=[ $4 -lt {half} ] || {{ echo EIO broken >&2; exit 1; }}; cat > /dev/null"
    argv = ("eval", f"get_size=echo {SIZE}", "pread=head -c $3 /dev/zero", "can_write=exit 0")
    argv += ("can_zero=exit 0", "zero=exit 0", "can_flush=exit 0", "flush=exit 0", broken)
    with (
        random_source(tmp_path) as source,
        nbdkit(tmp_path / "t.sock", *argv) as target,
        pytest.raises(TransferFailed, match=r"target.*write.*Input/output error") as raised,
    ):
        copy_disks([full_copy(source.endpoint, target.endpoint)])
    assert raised.value.offset is not None
    # Writes that were sent later may be served earlier: at most what is in flight.
    assert half <= raised.value.offset <= half + BUFFERS * REQUEST


def test_a_failed_write_of_zeroes_is_an_error(tmp_path: Path) -> None:
    faults = ("error-zero=EIO", "error-zero-rate=100%")
    with (
        nbdkit(tmp_path / "s.sock", "memory", str(SIZE)) as source,
        nbdkit(tmp_path / "t.sock", "--filter=error", "memory", str(SIZE), *faults) as target,
        pytest.raises(TransferFailed, match=r"target.*write-zeroes"),
    ):
        copy_disks([full_copy(source.endpoint, target.endpoint)])


def test_a_failed_flush_is_an_error(tmp_path: Path) -> None:
    """The data was written, but nobody may say that it is safe."""
    argv = ("eval", f"get_size=echo {SIZE}", "pread=head -c $3 /dev/zero", "can_write=exit 0")
    argv += ("pwrite=cat > /dev/null", "can_zero=exit 0", "zero=exit 0", "can_flush=exit 0")
    with (
        nbdkit(tmp_path / "s.sock", "memory", str(SIZE)) as source,
        nbdkit(tmp_path / "t.sock", *argv, "flush=echo EIO lost >&2; exit 1") as target,
        pytest.raises(TransferFailed, match=r"target.*flush.*Input/output error"),
    ):
        copy_disks([full_copy(source.endpoint, target.endpoint)])


def test_a_full_storage_on_the_kvm_host_is_named(tmp_path: Path) -> None:
    """The image lies on a small file system that only the server sees, and that ends with it."""
    storage = tmp_path / "storage"
    storage.mkdir()
    socket = tmp_path / "target.sock"
    script = (
        'mount -t tmpfs -o size=4m none "$1" && qemu-img create -q -f qcow2 "$1/t.qcow2" "$2"'
        ' && exec qemu-nbd -t -f qcow2 -k "$3" "$1/t.qcow2"'
    )
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    with (
        random_source(tmp_path) as source,
        serving([*argv, storage, str(SIZE), socket], socket) as target,
        pytest.raises(TransferFailed, match=r"target.*No space left on device") as raised,
    ):
        copy_disks([full_copy(source.endpoint, target.endpoint)])
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.remedy


def test_when_one_disk_fails_the_others_stop(tmp_path: Path) -> None:
    with (
        random_source(tmp_path) as healthy,
        qcow2_target(tmp_path) as target,
        qcow2_target(tmp_path, "other") as other,
        nbdkit(tmp_path / "bad.sock", "random", str(SIZE)) as dying,
    ):
        begun = time.monotonic()
        with pytest.raises(TransferFailed, match="disk vdb, source"):
            copy_disks(
                [
                    full_copy(healthy.endpoint, target.endpoint, "vda"),
                    full_copy(dying.endpoint, other.endpoint, "vdb"),
                ],
                limiter=slow(),
                progress=Midway(dying.kill),
            )
        assert time.monotonic() - begun < 5


def hang_both(source: Server, target: Server) -> None:
    source.hang()
    target.hang()


def test_cancel_takes_effect_at_once_though_both_servers_hang(tmp_path: Path) -> None:
    cancel = threading.Event()
    with random_source(tmp_path) as source, qcow2_target(tmp_path) as target:
        midway = Midway(lambda: hang_both(source, target))
        asked: list[float] = []
        timer = threading.Timer(1.5, lambda: (asked.append(time.monotonic()), cancel.set()))
        timer.start()
        with pytest.raises(Cancelled):
            copy_disks(
                [full_copy(source.endpoint, target.endpoint)],
                limiter=slow(),
                progress=midway,
                cancel=cancel,
            )
        assert time.monotonic() - asked[0] < 0.5
        timer.join()


def test_cancel_during_a_copy_stops_it(tmp_path: Path) -> None:
    cancel = threading.Event()
    with (
        random_source(tmp_path) as source,
        qcow2_target(tmp_path) as target,
        pytest.raises(Cancelled),
    ):
        copy_disks(
            [full_copy(source.endpoint, target.endpoint)],
            limiter=RateLimit(MIB),
            progress=lambda *_: cancel.set(),
            cancel=cancel,
        )


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_what_was_moved_is_told_also_of_a_copy_that_ends_badly(tmp_path: Path, end: str) -> None:
    cancel = threading.Event()
    told: list[CopyResult] = []
    with random_source(tmp_path) as source, qcow2_target(tmp_path) as target:
        ends_it = cancel.set if end == "cancelled" else source.kill
        with pytest.raises(Cancelled if end == "cancelled" else TransferFailed):
            copy_disks(
                [full_copy(source.endpoint, target.endpoint)],
                limiter=slow(),
                progress=Midway(ends_it),
                told=told.extend,
                cancel=cancel,
            )
    assert 0 < told[-1].data_bytes <= told[-1].read_bytes < SIZE


@pytest.mark.parametrize("who", ["source", "target"])
@pytest.mark.parametrize("when", ["at once", "midway"])
def test_a_server_that_hangs_is_given_up(tmp_path: Path, who: str, when: str) -> None:
    with random_source(tmp_path) as source, qcow2_target(tmp_path) as target:
        hanging = source if who == "source" else target
        if when == "at once":
            hanging.hang()
        with pytest.raises(TransferFailed, match=f"{who}: no byte moved") as raised:
            copy_disks(
                [full_copy(source.endpoint, target.endpoint)],
                limiter=slow(),
                progress=Midway(hanging.hang),
                stall_limit=0.5,
            )
    assert raised.value.errno == errno.ETIMEDOUT


def test_a_slow_copy_is_not_taken_for_one_that_hangs(tmp_path: Path) -> None:
    options = ("--filter=noparallel", "--filter=delay", "rdelay=60ms")
    with random_source(tmp_path, *options) as source, qcow2_target(tmp_path) as target:
        (result,) = copy_disks([full_copy(source.endpoint, target.endpoint)], stall_limit=1.5)
    assert result.data_bytes == SIZE
    assert result.seconds > 1.5


def test_a_survey_of_a_server_that_hangs_is_given_up(tmp_path: Path) -> None:
    with random_source(tmp_path) as source:
        source.hang()
        with pytest.raises(TransferFailed, match="no byte moved"):
            pending("vda", source.endpoint, Everything(), stall_limit=0.3)


def test_nobody_listening_is_an_error(tmp_path: Path) -> None:
    with random_source(tmp_path) as source, pytest.raises(TransferFailed, match="target"):
        copy_disks([full_copy(source.endpoint, NOWHERE)])


def test_a_lost_capture_ends_the_copy(tmp_path: Path) -> None:
    def lost() -> None:
        raise CaptureLost("capture", "the source was started")

    with (
        random_source(tmp_path) as source,
        qcow2_target(tmp_path) as target,
        pytest.raises(CaptureLost),
    ):
        copy_disks(
            [full_copy(source.endpoint, target.endpoint)], limiter=RateLimit(MIB), alive=lost
        )


def test_the_capture_is_looked_at_after_the_last_read(tmp_path: Path) -> None:
    """However short the copy: what was read counts only if the capture was still there."""
    looked: list[int] = []
    image = create(tmp_path / "s.qcow2", 64 * KIB)
    with qemu_nbd(image) as source, qcow2_target(tmp_path) as target:
        copy_disks([full_copy(source.endpoint, target.endpoint)], alive=lambda: looked.append(1))
    assert looked


def test_failing_again_and_again_keeps_no_memory(tmp_path: Path) -> None:
    """What is in flight at a failure is given back, not held by callbacks for ever."""
    faults = ("--filter=error", "error-pread=EIO", "error-pread-rate=20%")
    with random_source(tmp_path, *faults) as source, qcow2_target(tmp_path) as target:
        before = 0
        for attempt in range(12):
            with pytest.raises(StandbyError):
                copy_disks([full_copy(source.endpoint, target.endpoint)])
            if attempt == 3:
                before = _resident()
        assert _resident() - before < 16 * MIB


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_server_that_is_gone_is_not_called_an_invalid_argument(tmp_path: Path) -> None:
    """So libnbd calls it, and nobody would look after the server."""
    with random_source(tmp_path) as source, Lines(Patience()) as lines:
        line = lines.open("vda", Role.SOURCE, source.endpoint)
        lines.poller()
        source.kill()
        with suppress(TransferFailed):
            line.notify(select.POLLIN | select.POLLHUP, time.monotonic())
        with pytest.raises(TransferFailed) as raised:
            line.read(memoryview(bytearray(512)), 0, lambda: None)
    assert raised.value.errno == errno.ENOTCONN
    assert "still runs" in raised.value.remedy


def test_a_loss_that_shows_when_a_request_is_begun_is_told_as_one(tmp_path: Path) -> None:
    with random_source(tmp_path) as source, Lines(Patience()) as lines:
        line = lines.open("vda", Role.SOURCE, source.endpoint)
        poller = lines.poller()
        source.kill()
        line.read(memoryview(bytearray(512)), 0, lambda: None)
        with pytest.raises(TransferFailed, match="disk vda, source"):
            poller.until(lambda: False, lambda: None)

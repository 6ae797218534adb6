"""Others use the same machine: a second standby, other tools' checkpoints and backup jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support import KIB, MIB, Protect, Protection, Scribbler
from support_messages import Stop, StopAt
from support_traces import backup_job, bitmaps, checkpoints, expect_no_traces, needed_checkpoints

from standby.cycle.report import Phase
from standby.errors import ExitStatus, TryLater
from standby.model.point import Way

SIZES = (12 * MIB, 4 * MIB)
THEIR_CHECKPOINT = """
<domaincheckpoint><name>theirs</name><disks>
<disk name="vda" checkpoint="bitmap"/><disk name="vdb" checkpoint="no"/>
</disks></domaincheckpoint>
"""
THEIR_BACKUP = """
<domainbackup mode="pull"><server transport="unix" socket="/var/lib/libvirt/qemu/theirs.sock"/>
<disks><disk name="vda" backup="yes" type="file" exportname="vda">
<scratch file="/srv/vms/theirs.scratch"/></disk>
<disk name="vdb" backup="no"/></disks></domainbackup>
"""


def create_their_checkpoint(protection: Protection) -> None:
    protection.lab.exec(
        "source",
        ["virsh", "checkpoint-create", protection.name, "/dev/stdin"],
        text=THEIR_CHECKPOINT,
    )


@contextmanager
def their_backup(protection: Protection) -> Iterator[None]:
    """Let another tool's backup job run."""
    argv = ["virsh", "backup-begin", protection.name, "/dev/stdin"]
    protection.lab.exec("source", argv, text=THEIR_BACKUP)
    yield
    protection.lab.virsh("source", "domjobabort", protection.name)


def test_checkpoints_of_other_tools_stay_and_ours_is_one(protect: Protect) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(1)
    create_their_checkpoint(protection)
    for _ in range(3):
        scribbler.scribble(protection.guest, SIZES)
        protection.cycle()
    names = protection.lab.virsh("source", "checkpoint-list", protection.name, "--name").split()
    assert sorted(names) == sorted(["theirs", *needed_checkpoints(protection)])
    protection.expect_exact()
    # Theirs is deleted by them, in the midst of ours: our history does not suffer.
    protection.lab.virsh("source", "checkpoint-delete", protection.name, "theirs")
    scribbler.scribble(protection.guest, SIZES)
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()


def test_a_backup_job_of_another_tool_is_left_alone_and_the_cycle_tries_later(
    protect: Protect,
) -> None:
    protection = protect(*SIZES)
    protection.guest.write(0, MIB, 1)
    protection.cycle()
    with their_backup(protection):
        with pytest.raises(TryLater, match="another backup job") as told:
            protection.cycle()
        assert told.value.exit_status is ExitStatus.TRY_LATER
        assert "theirs.sock" in backup_job(protection)
    protection.guest.write(0, 64 * KIB, 2)
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_two_standbys_of_one_machine_follow_it_side_by_side(protect: Protect) -> None:
    first = protect(*SIZES, limit=2)
    second, scribbler = protect.beside(first), Scribbler(2)
    for one, other in ((first, second), (second, first), (first, first), (second, second)):
        scribbler.scribble(first.guest, SIZES)
        one.cycle()
        scribbler.scribble(first.guest, SIZES)
        other.cycle()
        first.expect_exact()
        second.expect_exact()
    both = needed_checkpoints(first) | needed_checkpoints(second)
    assert set(checkpoints(first)) == both
    assert bitmaps(first) == dict.fromkeys(first.disks, both)


def test_a_running_capture_of_another_standby_is_not_disturbed(protect: Protect) -> None:
    first = protect(*SIZES)
    second, scribbler = protect.beside(first), Scribbler(3)
    scribbler.scribble(first.guest, SIZES)
    now = first.copy()
    with first.managers.manager() as manager:
        manager.begin(first.name, stop=StopAt(Stop.PHASE, Phase.TRANSFER))
        assert manager.reaches()
        with pytest.raises(TryLater, match="another backup job"):
            second.cycle()
        manager.go_on()
        first.keep(manager.finish(), now)
    second.cycle()
    first.expect_exact()
    second.expect_exact()

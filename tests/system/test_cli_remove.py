"""`standby remove`: names what goes, asks, and takes away exactly that."""

from __future__ import annotations

import pytest
from support import MIB, Protect, Protection
from support_cli import CommandLine, cycles
from support_traces import bitmaps, checkpoints

FOREIGN = "nightly-backup"


def domains(protection: Protection) -> list[str]:
    return protection.lab.virsh("kvm", "list", "--all", "--name").split()


def test_a_script_has_to_say_yes(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 2)
    before = (protection.store / "standby.json").read_bytes()
    for words in ((), ("--delete-standby",)):
        assert "--yes" in cli.fails("remove", protection.name, *words, status=2)
    assert (protection.store / "standby.json").read_bytes() == before
    assert len(checkpoints(protection)) == 1


@pytest.mark.parametrize("power", ["running", "off"])
def test_our_checkpoints_go_from_the_source_and_others_and_the_standby_stay(
    protect: Protect, cli: CommandLine, power: str
) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 2)
    lab, guest = protection.lab, protection.guest
    lab.virsh("source", "checkpoint-create-as", guest.name, FOREIGN)
    if power == "off":
        guest.destroy()
    done = cli.json("remove", protection.name, "--yes")
    assert len(done["checkpoints_deleted"]) == 1
    assert checkpoints(protection) == []
    assert bitmaps(protection) == {"vda": set()}
    assert FOREIGN in lab.virsh("source", "checkpoint-list", guest.name, "--name").split()
    assert f"{protection.name}-standby" in domains(protection)
    protection.expect_exact()
    protection.expect_head_on(protection.points[-1])


def test_nothing_is_left_of_a_standby_that_is_deleted_but_what_others_put_there(
    protect: Protect, cli: CommandLine
) -> None:
    protection, other = protect(16 * MIB), protect(16 * MIB)
    cycles(protection, 2)
    cycles(other, 1)
    (protection.store / "notes.txt").write_text("mine")
    done = cli.json("remove", protection.name, "--delete-standby", "--yes")
    assert len(done["points_deleted"]) == 2
    assert done["left_in_directory"] == ["notes.txt"]
    assert [path.name for path in protection.store.iterdir()] == ["notes.txt"]
    assert checkpoints(protection) == []
    assert domains(protection) == [f"{other.name}-standby"]
    other.expect_exact()
    (protection.store / "notes.txt").unlink()
    # The same name may be protected anew.
    protection.kept.clear()
    cycles(protection, 1, first=5)
    protection.expect_exact()
    cli.run("remove", protection.name, "--delete-standby", "--yes")
    assert not protection.store.exists()


def test_a_person_is_told_what_goes_and_may_say_no(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    first, second = cycles(protection, 2)
    for answer, status in (("n\n", 1), ("\n", 1), ("\x03", 130)):
        with cli.on_terminal("remove", protection.name, "--delete-standby") as terminal:
            terminal.await_text("Go on?")
            terminal.type(answer)
            assert terminal.end() == status, terminal.seen
        for named in (f"{first} to {second}", str(protection.directory), "domain "):
            assert named in terminal.seen
    protection.expect_exact()
    assert len(checkpoints(protection)) == 1
    with cli.on_terminal("remove", protection.name, "--delete-standby") as terminal:
        terminal.await_text("Go on?")
        terminal.type("y\n")
        assert terminal.end() == 0, terminal.seen
    assert not protection.store.exists()


def test_what_was_made_while_a_person_thought_is_not_removed(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    with cli.on_terminal("remove", protection.name) as terminal:
        terminal.await_text("Go on?")
        cycles(protection, 1, first=2)
        terminal.type("y\n")
        assert terminal.end() == 75, terminal.seen
    assert "have changed" in terminal.seen
    assert len(checkpoints(protection)) == 1  # the newest point's, by which cycles go on
    cycles(protection, 1, first=3)
    protection.expect_exact()


def test_a_standby_that_runs_is_not_removed(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    protection.lab.virsh("kvm", "start", f"{protection.name}-standby")
    try:
        for words in ((), ("--delete-standby",)):
            said = cli.fails("remove", protection.name, "--yes", *words, status=1)
            assert "virsh shutdown" in said
    finally:
        protection.lab.virsh("kvm", "destroy", f"{protection.name}-standby")
    assert len(checkpoints(protection)) == 1
    protection.expect_exact()


def test_boot_points_that_somebody_reads_are_not_deleted(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    with cli.started("mount", protection.name, "latest") as mount:
        assert mount.stdout is not None
        assert "boot point" in mount.stdout.readline()
        said = cli.fails("remove", protection.name, "--delete-standby", "--yes", status=1)
        assert "a read-only export" in said
    assert len(checkpoints(protection)) == 1
    protection.expect_exact()


def test_a_standby_whose_source_is_gone_for_good_can_be_deleted_all_the_same(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    protection.configure(domain="gone")
    words = ("remove", protection.name, "--delete-standby", "--yes")
    assert "not found on source" in cli.fails(*words, status=1)
    protection.expect_exact()
    done = cli.json(*words, "--leave-source")
    assert done["checkpoints_deleted"] == []
    assert not protection.store.exists()

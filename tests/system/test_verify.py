"""`standby verify`: damage is named, mended or marked, never offered, and healed by a cycle."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import MIB, Protect, Protection
from support_cli import ENVIRONMENT, CommandLine, cycles
from support_damage import BLOCK, file_of, flip, flip_digest, make_unreadable
from support_traces import expect_no_traces

from lab.waiting import wait_until
from standby.cycle.report import Outcome
from standby.errors import RepairStore
from standby.model.point import Way


def verify(cli: CommandLine, protection: Protection, *words: str, status: int) -> Any:
    """Verify, and return what is told in JSON."""

    done = cli.run("verify", protection.name, *words, "--json", status=status)
    return json.loads(done.stdout)


def block(offset: int) -> list[int]:
    start = offset - offset % BLOCK
    return [start, start + BLOCK]


def marked(protection: Protection) -> dict[str, list[list[int]]]:
    """Return the marks of all points, as the manifest has them, of the first disk."""
    points = protection.manifest.points
    return {str(p.name): [list(it) for it in p.spoilt_ranges("vda")] for p in points if p.spoilt}


def test_damage_is_mended_from_the_source_for_every_point_that_shares_it(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    protection.guest.write(0, MIB // 2, 0x77)
    first, second, third = cycles(protection, 3)
    flip(protection, file_of(protection, 0), 3 * BLOCK + 9)  # shared by all
    flip(protection, file_of(protection, 1), 2 * MIB + 5)  # by the second and the third
    told = verify(cli, protection, "--all", status=1)
    assert marked(protection) == {
        first: [block(3 * BLOCK)],
        second: [block(3 * BLOCK), block(2 * MIB)],
        third: [block(3 * BLOCK), block(2 * MIB)],
    }
    assert {name: disks[0]["ranges"] for name, disks in told["spoilt"].items()} == marked(
        protection
    )
    told = verify(cli, protection, "--all", "--repair", status=0)
    assert told["sound"]
    assert [(it["file"], it["ranges"]) for it in told["mended"]] == [
        (file_of(protection, 0), [block(3 * BLOCK)]),
        (file_of(protection, 1), [block(2 * MIB)]),
    ]
    assert marked(protection) == {}
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_what_cannot_be_mended_is_marked_never_offered_and_healed_by_the_next_cycle(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    first, second = cycles(protection, 2)
    flip(protection, file_of(protection, 0), MIB + 9)
    protection.guest.write(MIB, BLOCK, 0x99)  # the source has something else there now
    told = verify(cli, protection, "latest", "--repair", status=1)
    assert told["mended"] == []
    assert marked(protection) == {first: [block(MIB)], second: [block(MIB)]}

    # Told everywhere, and not offered.
    for words in (("revert", second), ("revert", "latest"), ("revert", "before:1s ago")):
        said = cli.fails(words[0], protection.name, *words[1:], status=2)
        assert "spoilt" in said
    shown = cli.json("show", protection.name)
    assert shown["problems"][0]["severity"] == "critical"
    assert second in shown["problems"][0]["text"]
    assert [p["spoilt"][0]["bytes"] for p in cli.json("points", protection.name)["points"]] == [
        BLOCK,
        BLOCK,
    ]
    assert "SPOILT" in cli.run("points", protection.name).stdout
    assert "spoilt" in cli.run("list").stdout
    script = (protection.store / "standby.json").read_text()
    assert '"standing": "whole"' not in script  # what people grep for by hand
    assert cli.json("revert", protection.name, first, "--spoilt")["point"] == first
    cli.run("revert", protection.name, "latest", "--spoilt")

    # Healed, though nothing else changed, by the spoilt blocks alone.
    protection.guest.write(MIB, BLOCK, 0x98)
    report = protection.cycle()
    assert (report.outcome, report.way, report.data) == (Outcome.PUBLISHED, Way.INCREMENTAL, BLOCK)
    assert marked(protection) == {first: [block(MIB)], second: [block(MIB)]}
    protection.expect_exact(only=str(report.point))
    protection.expect_head_on(str(report.point))
    assert verify(cli, protection, "latest", status=1)["points"][0]["damaged_bytes"] == 0
    assert cli.json("revert", protection.name, "latest")["spoilt"] == []


@pytest.mark.long
def test_a_cycle_of_an_unchanged_machine_sends_what_is_spoilt_and_nothing_else(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB, limit=2)
    first, second = cycles(protection, 2)
    flip_digest(protection, 1, 2 * MIB // BLOCK)  # the table lies; the data is good
    verify(cli, protection, "--all", status=1)
    assert marked(protection) == {second: [block(2 * MIB)]}
    cli.run("revert", protection.name, first)
    cli.run("revert", protection.name, "latest", "--spoilt")
    report = protection.cycle()
    assert (report.outcome, report.data) == (Outcome.PUBLISHED, BLOCK)
    assert first not in protection.points  # merged into the spoilt one, which keeps its mark
    assert marked(protection) == {second: [block(2 * MIB)]}
    protection.expect_exact()
    protection.guest.write(9 * MIB, BLOCK, 1)
    report = protection.cycle()  # the spoilt one is merged away: the heir has the block anew
    assert second not in protection.points
    assert marked(protection) == {}
    assert verify(cli, protection, "--all", status=0)["sound"]
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_the_source_tells_damage_from_a_wrong_digest_and_from_its_own_rot(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    protection.guest.write(0, 4 * MIB, 0x42)
    cycles(protection, 1, first=8)
    protection.guest.write(3 * MIB, BLOCK, 0x43)  # changed: not compared
    told = verify(cli, protection, "--source", status=0)
    (disk,) = told["source"]["disks"]
    assert (disk["compared_bytes"], disk["changed_bytes"]) == (16 * MIB - BLOCK, BLOCK)
    flip(protection, file_of(protection, 0), BLOCK)
    flip_digest(protection, 0, 2)
    flip_digest(protection, 0, 3 * MIB // BLOCK)
    before = (protection.store / file_of(protection, 0)).read_bytes()
    told = verify(cli, protection, "--source", status=1)
    (disk,) = told["source"]["disks"]
    assert disk["wrong_digests"] == [block(2 * BLOCK)]
    assert disk["unlike"] == []
    assert (protection.store / file_of(protection, 0)).read_bytes() == before
    told = verify(cli, protection, "--source", "--repair", status=1)
    assert [it["ranges"] for it in told["mended"]] == [[block(BLOCK)]]
    (name,) = protection.points
    assert marked(protection) == {name: [block(2 * BLOCK), block(3 * MIB)]}
    protection.expect_exact()  # good data was not written over
    expect_no_traces(protection)


@pytest.mark.long
def test_a_point_that_runs_is_never_written_to(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 2)
    file, standby = file_of(protection, 0), f"{protection.name}-standby"
    flip(protection, file, MIB)
    protection.lab.virsh("kvm", "start", standby)
    before = (protection.store / file).read_bytes()
    told = verify(cli, protection, "--repair", status=1)
    assert (protection.store / file).read_bytes() == before
    assert any("in use" in note for note in told["notes"])
    assert len(marked(protection)) == 2
    protection.lab.virsh("kvm", "destroy", standby)
    assert verify(cli, protection, "--repair", status=0)["sound"]
    protection.expect_exact()


@pytest.mark.long
def test_a_block_is_mended_from_an_image_that_somebody_names(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    (name,) = cycles(protection, 1)
    kept = protection.store / "copy.raw"
    protection.extract(file_of(protection, 0), kept)
    flip(protection, file_of(protection, 0), MIB)
    protection.guest.write(MIB, BLOCK, 0x55)
    verify(cli, protection, "--repair", status=1)
    image = f"vda={protection.directory}/copy.raw"
    assert verify(cli, protection, "--from", image, status=0)["sound"]
    kept.unlink()
    protection.expect_exact(only=name)
    assert "in no boot point" in cli.fails(
        "verify", protection.name, "--from", image.replace("vda", "vdz"), status=2
    )


@pytest.mark.long
def test_an_image_whose_metadata_is_damaged_is_not_written_to_but_younger_points_get_their_own(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    protection.guest.write(4 * MIB, 2 * MIB, 0x31)
    first, second = cycles(protection, 2)
    file = file_of(protection, 0)
    make_unreadable(protection, file, 4 * MIB // BLOCK + 3)
    before = (protection.store / file).read_bytes()
    verify(cli, protection, "--all", status=1)
    spoilt = [block(4 * MIB + 3 * BLOCK)]
    assert marked(protection) == {first: spoilt, second: spoilt}
    told = verify(cli, protection, "--all", "--repair", status=1)
    assert any("metadata is damaged" in note for note in told["notes"])
    assert (protection.store / file).read_bytes() == before
    assert marked(protection) == {first: spoilt}
    protection.expect_exact(only=second)


def cut(protection: Protection) -> str:
    """Lose the second half of the newest point's table; return its name."""
    delta = protection.manifest.points[-1].deltas[0]
    table = protection.store / delta.digests
    table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])
    return delta.digests


def lose(protection: Protection) -> str:
    """Lose the newest point's table; return its name."""
    delta = protection.manifest.points[-1].deltas[0]
    (protection.store / delta.digests).unlink()
    return delta.digests


@pytest.mark.long
@pytest.mark.parametrize("harm", [cut, lose])
def test_a_table_of_digests_that_cannot_be_read_is_named_and_made_anew_when_asked(
    protect: Protect, cli: CommandLine, harm: Callable[[Protection], str]
) -> None:
    protection = protect(16 * MIB)
    first, second = cycles(protection, 2)
    table = harm(protection)
    told = verify(cli, protection, "--all", status=1)
    assert [(it["file"], it["points"]) for it in told["damaged_tables"]] == [(table, [second])]
    assert marked(protection) == {second: [[0, 16 * MIB]]}
    told = verify(cli, protection, "--all", "--repair", status=0)
    assert [it["file"] for it in told["rebuilt_tables"]] == [table]
    assert told["mended"] == []
    assert marked(protection) == {}
    protection.expect_exact()
    protection.guest.write(2 * MIB, BLOCK, 0)  # changed and now zero is a change
    report = protection.cycle()
    assert report.way is Way.INCREMENTAL
    protection.expect_exact()
    assert verify(cli, protection, "--all", "--source", status=0)["sound"]
    assert first in protection.points


@pytest.mark.long
def test_a_table_that_is_made_anew_does_not_vouch_for_damage_that_is_known(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    protection.guest.write(0, MIB // 2, 0x77)
    first, second = cycles(protection, 2)
    flip(protection, file_of(protection, 0), 3 * BLOCK + 9)  # shared by both
    protection.guest.write(3 * BLOCK, BLOCK, 0x99)  # the source has something else there now
    cut(protection)
    for words in (("--repair",), ("--repair",), ()):  # nor does it the next time
        verify(cli, protection, "--all", *words, status=1)
        assert marked(protection) == {first: [block(3 * BLOCK)], second: [block(3 * BLOCK)]}
    protection.guest.write(3 * BLOCK, BLOCK, 0x77)  # as it was
    protection.expect_exact(only=str(protection.cycle().point))


@pytest.mark.long
def test_a_disk_whose_digests_are_lost_is_sent_whole_only_when_asked_for(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB, limit=2)
    cycles(protection, 2)
    lose(protection)
    verify(cli, protection, status=1)
    with pytest.raises(RepairStore, match="run PROFILE --full"):
        protection.cycle()
    report = protection.cycle(full_copy=True)
    assert "spoilt as a whole" in report.deferred[0]
    protection.expect_exact(only=str(report.point))
    assert verify(cli, protection, status=1)["points"][0]["damaged_bytes"] == 0
    assert protection.manifest.points[-1].good
    assert verify(cli, protection, "--all", "--repair", status=0)["sound"]
    protection.guest.write(9 * MIB, BLOCK, 1)
    assert len(protection.cycle().merged) == 2
    assert verify(cli, protection, "--all", status=0)["sound"]
    protection.expect_exact()
    expect_no_traces(protection)


def reads_on(protection: Protection) -> bool:
    """Tell whether the same image is open for a while: its digests are only glanced at."""
    before = set((protection.store / "run").glob("mount-*.pid"))
    time.sleep(2)
    return bool(before & set((protection.store / "run").glob("mount-*.pid")))


@pytest.mark.long
def test_points_that_were_made_and_merged_during_a_verify_are_marked_as_well(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB, limit=3)
    protection.guest.write(8 * MIB, 4 * MIB, 0x61)
    cycles(protection, 3)
    flip(protection, file_of(protection, 0), 9 * MIB)
    words = ("verify", protection.name, "latest~2", "--limit", "1MiB/s")
    with cli.started(*words) as process:
        wait_until(lambda: reads_on(protection), "reading", 30, 1.0)
        for number in (4, 5):  # the verify may have the lock by then
            protection.guest.write(number * MIB, MIB // 2, 0x10 + number)
            newest = str(protection.cycle_when_free().point)
        told, _ = process.communicate(timeout=60)
    assert "spoilt: " in told, told + _
    whole = [str(point.name) for point in protection.manifest.whole_points]
    assert list(marked(protection)) == whole  # who is being merged is offered to nobody
    assert marked(protection)[newest] == [block(9 * MIB)]
    assert verify(cli, protection, "--all", "--repair", status=0)["sound"]
    protection.expect_exact()


def expect_damage_marked(protection: Protection) -> int:
    """Every block that is not what it was is marked, in every point; return how many there are."""
    damaged = 0
    for point in protection.manifest.points:
        (delta,) = point.deltas
        raw = protection.copies / "extracted.raw"
        protection.extract(delta.file, raw)
        found, kept = raw.read_bytes(), protection.kept[str(point.name)]["vda"].read_bytes()
        for at in range(0, len(kept), BLOCK):
            if found[at : at + BLOCK] != kept[at : at + BLOCK]:
                damaged += 1
                marks = point.spoilt_ranges("vda")
                assert any(start <= at < end for start, end in marks), (point.name, at)
    return damaged


@pytest.mark.long
def test_a_repair_killed_at_any_moment_leaves_nothing_damaged_that_is_not_marked(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    protection.guest.write(8 * MIB, 4 * MIB, 0x61)
    cycles(protection, 2)
    for at in range(8 * MIB, 12 * MIB, 2 * BLOCK):
        flip(protection, file_of(protection, 0), at + 3)
    flip(protection, file_of(protection, 1), 2 * MIB)
    for moment in ("standby-create", "mending", "mending*2", "standby-drop"):
        word, _, count = moment.partition("*")
        awaited = int(count or 1)
        with cli.started("-v", "verify", protection.name, "--all", "--repair") as process:
            assert process.stderr is not None
            for line in process.stderr:
                awaited -= word in line
                if not awaited:
                    break
            assert not awaited, moment
        damaged = expect_damage_marked(protection)
        assert marked(protection) or not damaged
    wait_until(lambda: _repaired(cli, protection), "the lock of the dead one is free", 60, 1)
    assert expect_damage_marked(protection) == 0
    assert marked(protection) == {}
    protection.cycle_when_free()
    expect_no_traces(protection)


def _repaired(cli: CommandLine, protection: Protection) -> bool:
    argv = cli.argv(["verify", protection.name, "--all", "--repair"])
    done = protection.lab.run("manager", argv, env=ENVIRONMENT)
    return done.returncode == 0

"""`standby points`, `revert`, `pin`, `unpin`, `list`, `show` and `vms` on real standbys."""

from __future__ import annotations

import pytest
from support import MIB, Protect
from support_cli import CommandLine, cycles
from support_traces import expect_no_traces


def test_points_lists_the_chain_as_the_manifest_has_it(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    names = cycles(protection, 3)
    told = cli.json("points", protection.name)
    assert [point["name"] for point in told["points"]] == names == list(protection.points)
    assert [point["made"] for point in told["points"]] == ["seed", "incremental", "incremental"]
    assert told["head"] == names[-1]
    (disk,) = told["points"][-1]["disks"]
    assert disk["size_bytes"] == 16 * MIB
    assert (protection.store / disk["file"]).is_file()
    table = cli.run("points", protection.name).stdout
    rows = [line for line in table.splitlines() if line.startswith("V")]
    assert len(rows) == 3
    assert "seed: first copy" in rows[0]
    assert "head" in rows[2]
    delta = protection.store / protection.manifest.points[1].deltas[0].file
    away = delta.rename(delta.with_name("away"))
    told = cli.json("points", protection.name)["points"]
    assert [bool(point["missing"]) for point in told] == [False, True, True]
    assert cli.run("points", protection.name).stdout.count("CANNOT BE STARTED") == 2
    away.rename(delta)
    assert not any(point["missing"] for point in cli.json("points", protection.name)["points"])


def test_revert_lets_the_standby_boot_that_point_and_no_other_is_lost(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    first, second, third = cycles(protection, 3)
    for asked, expected in (
        (first, first),
        ("latest~1", second),
        ("latest", third),
        ("before:1s ago", third),
    ):
        assert cli.json("revert", protection.name, asked)["point"] == expected
        protection.expect_head_on(expected)
        protection.expect_exact()
    expect_no_traces(protection)


def test_a_revert_holds_while_cycles_go_on_until_it_is_taken_back(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB, limit=3)
    first, *_ = cycles(protection, 2)
    cli.run("revert", protection.name, first)
    names = cycles(protection, 3, first=4)
    protection.expect_head_on(first)
    assert first in protection.points, "the point that was reverted to was merged away"
    assert cli.json("show", protection.name)["reverted_to"] == first
    assert "reverted to" in cli.run("points", protection.name).stdout
    cli.run("revert", protection.name, "latest")
    protection.expect_head_on(names[-1])
    newest = cycles(protection, 1, first=8)[-1]
    protection.expect_head_on(newest)
    assert first not in protection.points
    protection.expect_exact()


def test_revert_is_refused_while_the_standby_runs_and_keeps_what_a_run_left(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    first, second = cycles(protection, 2)
    standby, lab = f"{protection.name}-standby", protection.lab
    lab.virsh("kvm", "start", standby)
    said = cli.fails("revert", protection.name, first, status=1)
    assert "runs on kvm" in said
    assert f"virsh shutdown {standby}" in said
    assert cli.json("show", protection.name)["head"]["use"] == "running"
    device = "/machine/peripheral/virtio-disk0/virtio-backend"
    write = f'qemu-io -d {device} "write -P 0x77 0 65536"'
    lab.virsh("kvm", "qemu-monitor-command", standby, "--hmp", write)
    lab.virsh("kvm", "destroy", standby)
    done = cli.json("revert", protection.name, first)
    assert (done["point"], done["head_kept"]) == (first, True)
    protection.expect_head_on(first)
    kept = [path for path in (protection.store / "kept").iterdir() if path.is_dir()]
    assert [path.name.partition(".")[0] for path in kept] == [second]
    protection.expect_exact()


def test_what_is_not_there_is_wrong_usage_and_names_what_is(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    assert "standby run" in cli.fails("revert", protection.name, "latest", status=2)
    (only,) = cycles(protection, 1)
    assert only in cli.fails("revert", protection.name, "V20200101_000000", status=2)
    assert "there are only 1" in cli.fails("pin", protection.name, "latest~1", status=2)
    assert "not understood" in cli.fails("unpin", protection.name, "newest", status=2)
    assert "none is that old" in cli.fails("pin", protection.name, "before:2020-01-01", status=2)


def test_a_pinned_point_is_not_merged_until_it_is_unpinned(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(24 * MIB, limit=2)
    pinned, *_ = cycles(protection, 2)
    cli.run("pin", protection.name, pinned)
    cycles(protection, 3, first=4)
    assert protection.points[0] == pinned
    assert len(protection.points) == 2
    protection.expect_exact()
    assert [p["pinned"] for p in cli.json("points", protection.name)["points"]] == [True, False]
    cli.run("unpin", protection.name, pinned)
    cycles(protection, 1, first=8)
    assert pinned not in protection.points
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_standby_needs_no_profile_to_be_found_shown_and_reverted(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    first, _ = cycles(protection, 2)
    manifest = protection.manifest
    text = protection.profile_file.read_text()
    protection.profile_file.unlink()
    try:
        name = f"{protection.name}-standby"
        assert manifest.domain is not None
        for called in (name, manifest.domain.uuid, manifest.machine.uuid, protection.directory):
            assert cli.json("show", f"kvm/{called}")["standby"] == name
        found = [it["standby"] for it in cli.json("vms", "kvm")]
        assert name in found
        cli.run("revert", f"kvm/{name}", "latest~1")
        protection.expect_head_on(first)
        assert "not found on kvm" in cli.fails("show", "kvm/nobody", status=2)
    finally:
        protection.profile_file.write_text(text)


def test_show_says_what_is_merged_next_and_what_to_do(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB, limit=2)
    first, second = cycles(protection, 2)
    shown = cli.json("show", protection.name)
    (next_merge,) = shown["merges_after_next_point"]["due"]
    assert (next_merge["older"], next_merge["younger"]) == (first, second)
    assert shown["merges_due"] == {"due": [], "waiting": []}
    assert shown["state"] == "protected"
    assert shown["newest"]["name"] == second
    assert 0 <= shown["age_seconds"] < 600
    assert shown["available_bytes"] > 0
    assert f"{first} into {second}" in cli.run("show", protection.name).stdout


def test_list_shows_hosts_that_do_not_answer_beside_those_that_do(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    (newest,) = cycles(protection, 1)
    gone = cli.root / "hosts/gone.yaml"
    lost = cli.root / "profiles/lost.yaml"
    gone.write_text("address: root@kvm:1\n")
    lost.write_text(protection.profile_file.read_text().replace("host: kvm", "host: gone"))
    try:
        told = {it["called"]: it for it in cli.json("list")}
        assert told["lost"]["error"]["kind"] == "ReachHost"
        assert told[protection.name]["newest"]["name"] == newest
        lines = cli.run("list").stdout.splitlines()
        assert any("lost" in line and "unreachable" in line for line in lines)
        assert any(protection.name in line and "protected" in line for line in lines), lines
    finally:
        lost.unlink()
        gone.unlink()


def test_a_foreign_file_of_the_storage_is_not_taken_for_a_standby(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    stranger = protection.store.parent / "a 'strange' name"
    stranger.mkdir()
    try:
        (stranger / "standby.json").write_text("not ours")
        told = {it["called"]: it for it in cli.json("vms", "kvm")}
        assert told[f"kvm/{protection.name}-standby"]["state"] == "protected"
        broken = told["/srv/standby/a 'strange' name"]
        assert broken["error"]["kind"] == "RepairStore"
    finally:
        (stranger / "standby.json").unlink()
        stranger.rmdir()

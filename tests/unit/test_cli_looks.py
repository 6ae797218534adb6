"""What `show`, `list`, `vms` and `points` say about a standby."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from chain_world import EMPTY, START, observed
from cli_world import MIB, look, manifest, place, points, running

from standby.app.inspect import NotSeen
from standby.app.points import Chain
from standby.cli import points as points_command
from standby.cli import show as show_command
from standby.cli.look_output import look_as_json, print_looks
from standby.cli.output import print_facts
from standby.errors import FixProfile, GrantAccess, ReachHost
from standby.model.health import Concern, Condition, Health, Problem, Severity
from standby.model.names import PointName
from standby.model.observation import User
from standby.model.point import Standing

HOUR = timedelta(hours=1)
UNKNOWN = Condition(Health.UNKNOWN)
NAMES = [str(PointName.at(START + n * HOUR)) for n in range(6)]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


def facts(tmp_path: Path, *arguments: object, **more: object) -> dict[str, str]:
    """What `show` prints, by its first column; what has none follows what it belongs to."""
    return dict(show_command.facts(look(tmp_path, *arguments, **more)))


def test_show_names_the_newest_point_with_its_time_and_age(tmp_path: Path) -> None:
    told = facts(tmp_path, observed(manifest(2)), now=START + timedelta(hours=3, minutes=5))
    assert told["newest boot point"] == f"{NAMES[1]} (2026-11-22 04:56:00 UTC), 2 h 5 min ago"
    assert told["boot points"] == "2 of at most 3"
    assert told["state"] == "protected"
    assert told["space"].startswith("3.0 MiB taken")


def test_the_age_counts_from_when_the_point_was_last_found_true(tmp_path: Path) -> None:
    *older, newest = points(2)
    stamped = replace(newest, true_at=START + 5 * HOUR)
    target = observed(replace(EMPTY, points=(*older, stamped)))
    seen = look(tmp_path, target, now=START + 6 * HOUR)
    assert seen.age == HOUR
    assert look_as_json(seen)["age_seconds"] == 3600


def test_the_next_merge_is_the_one_that_one_more_point_makes_due(tmp_path: Path) -> None:
    below = facts(tmp_path, observed(manifest(2)))
    assert below["next merge"] == "none before more boot points"
    full = facts(tmp_path, observed(manifest(3)))
    assert full["next merge"] == (
        f"after one more boot point: {NAMES[0]} into {NAMES[1]}: above the limit"
    )
    over = facts(tmp_path, observed(manifest(4)))
    assert over["next merge"] == f"now: {NAMES[0]} into {NAMES[1]}: above the limit"


def test_the_next_merge_knows_that_the_head_moves_on_with_the_next_cycle(tmp_path: Path) -> None:
    told = facts(tmp_path, observed(manifest(1)), limit=1)
    assert told["next merge"].startswith(f"after one more boot point: {NAMES[0]} into ")
    assert told["next merge"].endswith(": above the limit")
    held = replace(manifest(1), reverted_to=PointName.parse(NAMES[0]))
    waits = facts(tmp_path, observed(held), limit=1)
    assert f"{NAMES[0]} is what the standby is reverted to" in waits["next merge"]


def test_a_merge_that_waits_says_for_what(tmp_path: Path) -> None:
    user = User("a read-only export", PointName.parse(NAMES[3]))
    told = facts(tmp_path, observed(manifest(4), users=(user,)))
    assert "waits: in use by a read-only export" in told["next merge"]


def test_problems_come_with_the_command_that_helps_and_its_name_for_the_standby(
    tmp_path: Path,
) -> None:
    seen = look(tmp_path, observed(EMPTY))
    (problem,) = seen.problems
    assert problem.remedy == "standby run web1"
    told = [*show_command.facts(seen), *show_command.problem_facts(seen)]
    assert told[-2:] == [("warning", "waiting for its first seed"), ("", "standby run web1")]
    assert ("newest boot point", "-") in told


def test_a_running_standby_is_said_to_run(tmp_path: Path) -> None:
    told = facts(tmp_path, running(manifest(2)))
    assert told["state"] == "protected, runs"
    assert told["head"] == f"running, on {NAMES[1]}"


def test_show_fits_what_it_prints_for_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_facts(show_command.facts(look(tmp_path, observed(manifest(2)))))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["standby", "web", "on", "kvm1"]
    assert any(line.startswith("checkpoints ") and "standby-web1-q7x2m4-" in line for line in lines)


def test_programs_are_told_bytes_seconds_and_utc(tmp_path: Path) -> None:
    told = json.loads(json.dumps(look_as_json(look(tmp_path, observed(manifest(2))))))
    assert told["newest"]["captured_at"] == "2026-11-22T04:56:00Z"
    assert told["stored_bytes"] == 3 * MIB
    assert told["points"] == 2
    assert told["limit"] == 3
    assert told["problems"] == []
    assert told["kvm_host"] == "kvm1"


def test_a_line_for_each_standby_also_for_one_that_could_not_be_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = place(tmp_path, 3).profile
    looks = (
        look(tmp_path, running(manifest(2))),
        NotSeen("web2", ReachHost("kvm2", "no answer within 15 s"), START, UNKNOWN, profile),
        NotSeen("web3", GrantAccess("kvm3", "permission denied"), START, UNKNOWN, profile),
        NotSeen("web4", ReachHost("profile", "wrong"), START, UNKNOWN),
    )
    print_looks(looks, as_json=False, nothing="")
    lines = capsys.readouterr().out.splitlines()
    row = {line.split()[0]: line for line in lines if line.startswith("web")}
    assert "protected, runs" in row["web1"]
    assert "warning: the standby runs" in row["web1"]
    assert "unreachable" in row["web2"]
    assert "no answer within 15 s" in row["web2"]
    assert "unknown" in row["web3"]
    assert "permission denied" in row["web3"]
    print_looks(looks, as_json=True, nothing="")
    told = json.loads(capsys.readouterr().out)
    assert [it["called"] for it in told] == ["web1", "web2", "web3", "web4"]
    assert told[1]["error"] == {"kind": "ReachHost", "text": "kvm2: no answer within 15 s"}


def test_nothing_to_list_is_said_beside_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    print_looks((), as_json=False, nothing="no profiles in /etc/standby")
    assert capsys.readouterr() == ("", "no profiles in /etc/standby\n")


def test_points_are_marked_with_what_holds_for_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second, third = points(3)
    chain = Chain(
        manifest=replace(
            EMPTY,
            reverted_to=second.name,
            points=(
                replace(first, standing=Standing.GIVEN_UP),
                replace(second, pinned=True),
                replace(third, true_at=START + 4 * HOUR),
            ),
        ),
        head=second.name,
        at=START + 5 * HOUR,
    )
    points_command.print_chain(chain)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("V")]
    assert [row.split()[0] for row in rows] == NAMES[:3]
    assert "given up to a merge" in rows[0]
    assert "head, reverted to, pinned" in rows[1]
    assert "2026-11-22 07:56:00 UTC" in rows[2]
    assert "2026-11-22 06:56:00 UTC" not in "".join(rows)


def test_points_tell_programs_their_disks(capsys: pytest.CaptureFixture[str]) -> None:
    told = points_command.chain_as_json(Chain(manifest(2), None, START + HOUR))
    assert told["head"] is None
    assert told["points"][1]["disks"] == [
        {
            "disk": "vda",
            "file": "deltas/vda.0002.qcow2",
            "size_bytes": 64 * MIB,
            "stored_bytes": 2 * MIB,
        }
    ]
    assert capsys.readouterr().out == ""


def test_the_gravest_reason_is_told_also_of_one_that_could_not_be_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mistakes = Problem(Concern.PROFILE, Severity.WARNING, "the profile has mistakes", "mend it")
    failing = Problem(Concern.FAILED_RUNS, Severity.CRITICAL, "the last 6 runs failed", "see why")
    judged = Condition(Health.CRITICAL, (failing, mistakes))
    print_looks((NotSeen("web1", FixProfile("a", "b"), START, judged),), as_json=False, nothing="")
    assert "critical: the last 6 runs failed (and 1 more)" in capsys.readouterr().out

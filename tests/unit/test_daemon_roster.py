"""Profiles as they last were good: what changed is taken in, what is wrong disturbs nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from configuration_files import PROFILE, write_root

from standby.daemon.roster import Changes, Roster

FAST = PROFILE + "schedule: {every: 5m}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path, {f"profiles/web{n}.yaml": FAST for n in (1, 2, 3)})


def looked(root: Path) -> Roster:
    roster = Roster(root)
    roster.look()
    return roster


def change(root: Path, file: str, text: str) -> None:
    """Write a file as editors do: beside, then in its place."""
    new = root / "new"
    new.write_text(text)
    (root / file).parent.mkdir(exist_ok=True)
    new.replace(root / file)


def names(changes: Changes) -> list[str]:
    return [profile.name for profile in changes.profiles]


def test_the_first_look_finds_all_and_the_next_nothing(root: Path) -> None:
    roster = Roster(root)
    assert names(roster.look()) == ["web1", "web2", "web3"]
    assert roster.look() == Changes()


def test_only_what_changed_is_read(root: Path) -> None:
    roster = looked(root)
    change(root, "profiles/web2.yaml", FAST + "boot_points: {limit: 9}\n")
    change(root, "profiles/web4.yaml", FAST)
    assert names(roster.look()) == ["web2", "web4"]
    assert roster.profile("web2").boot_points.limit == 9


@pytest.mark.parametrize("shared", ["hosts/kvm1.yaml", "defaults.yaml", "policies/gold.yaml"])
def test_what_profiles_share_is_read_again_for_all_of_them(root: Path, shared: str) -> None:
    roster = looked(root)
    text = (
        "address: root@elsewhere\n" if shared.startswith("hosts") else "boot_points: {limit: 5}\n"
    )
    change(root, shared, text)
    assert names(roster.look()) == ["web1", "web2", "web3"]


def test_a_bad_new_version_keeps_the_old_one_and_is_named(root: Path) -> None:
    roster = looked(root)
    change(root, "profiles/web1.yaml", FAST + "nonsense: 1\n")
    assert roster.look() == Changes()
    (broken,) = roster.broken()
    assert (broken.profile, broken.keeps_older) == ("web1", True)
    assert "nonsense" in broken.found
    assert roster.profile("web1").schedule.every is not None
    change(root, "profiles/web1.yaml", FAST)
    assert names(roster.look()) == ["web1"]
    assert roster.broken() == ()


def test_a_new_profile_that_is_bad_is_named_too(root: Path) -> None:
    roster = looked(root)
    change(root, "profiles/new.yaml", "source: 1\n")
    roster.look()
    assert [(it.profile, it.keeps_older) for it in roster.broken()] == [("new", False)]
    assert "new" not in roster.names()


def test_a_bad_policy_breaks_nobody(root: Path) -> None:
    change(root, "policies/gold.yaml", "boot_points: {limit: 5}\n")
    change(root, "profiles/web1.yaml", FAST + "policy: gold\n")
    roster = looked(root)
    change(root, "policies/gold.yaml", "boot_points: {limit: many}\n")
    roster.look()
    assert [it.profile for it in roster.broken()] == ["web1"]
    assert roster.profile("web1").boot_points.limit == 5


def test_a_removed_profile_is_named_and_gone(root: Path) -> None:
    roster = looked(root)
    (root / "profiles/web2.yaml").unlink()
    assert roster.look().removed == {"web2"}
    assert roster.names() == {"web1", "web3"}


def test_a_directory_that_vanished_removes_nobody(root: Path) -> None:
    roster = looked(root)
    (root / "profiles").rename(root / "away")
    assert roster.look() == Changes()
    assert "cannot be read" in roster.problem
    assert roster.names() == {"web1", "web2", "web3"}
    (root / "away").rename(root / "profiles")
    assert roster.look() == Changes()
    assert roster.problem == ""


def test_a_directory_that_was_emptied_at_once_removes_nobody_unless_it_is_meant(
    root: Path,
) -> None:
    roster = looked(root)
    for file in (root / "profiles").iterdir():
        file.unlink()
    assert roster.look() == Changes()
    assert "all profiles are gone" in roster.problem
    assert roster.look(sure=True).removed == {"web1", "web2", "web3"}
    assert roster.problem == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_directory_that_may_not_be_read_removes_nobody(root: Path) -> None:
    roster = looked(root)
    (root / "profiles").chmod(0)
    assert roster.look() == Changes()
    assert "cannot be read" in roster.problem
    (root / "profiles").chmod(0o700)


def test_changed_settings_of_the_manager_are_noticed(root: Path) -> None:
    roster = looked(root)
    change(root, "manager.yaml", "at_once: {runs: 9}\n")
    assert roster.look() == Changes(settings=True)
    assert roster.look() == Changes()

"""`standby profile …` shows, checks, describes and begins profiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from configuration_files import PROFILE, write_root
from typer.testing import CliRunner, Result

from standby.cli.profile import app
from standby.errors import ChooseOtherName, FixProfile
from standby.profile import ProfileMistakes
from standby.profile.file_kind import FileKind
from standby.profile.reference import reference
from standby.profile.schema import json_schema


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(
        tmp_path,
        {
            "policies/gold.yaml": "boot_points: {limit: 30}\n",
            "profiles/web1.yaml": f"policy: gold\n{PROFILE}",
        },
    )


def test_show_prints_each_value_with_its_place(root: Path) -> None:
    result = run("show", "web1", "--config", str(root))
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    values = {row[1]: tuple(row[2:4]) for row in rows if len(row) > 3}
    assert values["boot_points.limit"] == ("30", f"{root}/policies/gold.yaml:1")
    assert values["source.domain"] == ("web1", f"{root}/profiles/web1.yaml:2")
    assert values["standby.link"] == ("up", "built in")
    assert values["hosts.kvm1.address"] == ("root@kvm1", f"{root}/hosts/kvm1.yaml:1")


def test_show_prints_the_same_as_json(root: Path) -> None:
    printed = json.loads(run("show", "web1", "--json", "--config", str(root)).stdout)
    assert printed["values"]["boot_points"]["limit"] == 30
    assert printed["origins"]["boot_points.limit"] == f"{root}/policies/gold.yaml:1"
    assert printed["values"]["hosts"]["kvm1"]["address"] == "root@kvm1"


def test_show_takes_the_path_of_a_file(root: Path) -> None:
    file = str(root / "profiles/web1.yaml")
    assert '"name": "web1"' in run("show", file, "--json", "--config", str(root)).stdout


def test_the_root_may_come_from_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDBY_CONFIG", str(root))
    assert run("show", "web1").exit_code == 0


def test_check_names_both_ends_of_every_profile(root: Path) -> None:
    line = "web1: web1 on hv1 (root@hv1) -> web1-standby on kvm1 (root@kvm1)\n"
    assert run("check", "--config", str(root)).stdout == line
    assert run("check", "web1", "--config", str(root)).stdout == line


def test_check_tells_all_mistakes_of_all_profiles_named(root: Path) -> None:
    write_root(root, {"profiles/a.yaml": "x: 1\n" + PROFILE, "profiles/b.yaml": PROFILE + "y: 1\n"})
    for names in ((), ("a", "web1", "b")):
        with pytest.raises(ProfileMistakes) as caught:
            run("check", *names, "--config", str(root))
        assert [mistake.path for mistake in caught.value.mistakes] == ["x", "y"]


def test_check_prints_profiles_or_mistakes_as_json(root: Path) -> None:
    printed = json.loads(run("check", "--json", "--config", str(root)).stdout)
    assert [it["name"] for it in printed["profiles"]] == ["web1"]
    assert printed["mistakes"] == []
    write_root(root, {"profiles/a.yaml": "x: 1\n" + PROFILE})
    result = run("check", "--json", "--config", str(root))
    assert result.exit_code == 2
    (mistake,) = json.loads(result.stdout)["mistakes"]
    assert (mistake["file"], mistake["line"]) == (str(root / "profiles/a.yaml"), 1)
    assert (mistake["key"], mistake["wrong"]) == ("x", "unknown key")


def test_check_says_so_when_there_are_no_profiles(tmp_path: Path) -> None:
    assert "no profiles in" in run("check", "--config", str(tmp_path)).stdout


def test_new_writes_a_profile_that_check_takes_and_never_overwrites(root: Path) -> None:
    arguments = ("--source-host", "hv1", "--target-host", "kvm1", "--config", str(root))
    assert str(root / "profiles/db1.yaml") in run("new", "db1", *arguments).stdout
    assert run("check", "db1", "--config", str(root)).stdout.startswith("db1: db1 on hv1")
    with pytest.raises(ChooseOtherName):
        run("new", "db1", *arguments)


def test_new_makes_the_root_that_was_named(tmp_path: Path) -> None:
    run("new", "db1", "--config", str(tmp_path / "made"))
    assert (tmp_path / "made/profiles/db1.yaml").is_file()


@pytest.mark.parametrize("kind", list(FileKind))
def test_schema_prints_the_json_schema(kind: FileKind) -> None:
    assert json.loads(run("schema", "--kind", kind.value).stdout) == json_schema(kind)


def test_reference_prints_the_reference() -> None:
    assert run("reference").stdout == reference()


def test_a_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FixProfile, match="no directory"):
        run("show", "web1", "--config", str(tmp_path / "gone"))


@pytest.mark.parametrize("command", ["show", "check", "new", "schema", "reference"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    assert f"Example: standby profile {command}" in run(command, "--help").stdout

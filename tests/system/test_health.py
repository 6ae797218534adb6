"""Health, statistics and figures of real standbys: true, or said to be unknown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support import MIB, Protect
from support_cli import ENVIRONMENT, PYTHON, CommandLine, cycles
from support_daemon import Served, grows, served
from support_manager import ManagerHost

from lab.waiting import wait_until

PORT = 9750
_FETCH = f"""
from urllib.request import urlopen
print(urlopen("http://127.0.0.1:{PORT}/metrics", timeout=30).read().decode(), end="")
"""


@pytest.fixture
def daemon(managers: ManagerHost, tmp_path: Path) -> Iterator[Served]:
    with served(managers, tmp_path) as made:
        yield made


def figures(text: str) -> dict[str, float]:
    """What was told, by names and labels."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.long
def test_without_a_daemon_and_a_history_what_can_be_seen_is_told_and_the_rest_is_unknown(
    protect: Protect, cli: CommandLine, tmp_path: Path
) -> None:
    alone = CommandLine(cli.managers, cli.root, {"STANDBY_STATE": str(tmp_path / "none")})
    protection = protect(16 * MIB)
    (newest,) = cycles(protection, 1)
    told = alone.json("show", protection.name)
    assert (told["state"], told["health"]) == ("protected", "Normal")
    assert told["newest"]["name"] == newest
    assert (told["statistics"], told["next_run"]) == (None, None)
    assert told["pending"]["bytes"] == 0

    protection.guest.write(2 * MIB, 10 * MIB, 0x66)
    told = alone.json("show", protection.name)
    assert told["pending"]["bytes"] == 10 * MIB
    assert told["health"] == "Warning"  # more than half of the disk
    assert [it["concern"] for it in told["problems"]] == ["many changes"]

    (row,) = (it for it in alone.json("list") if it["called"] == protection.name)
    assert (row["state"], row["health"], row["rpo_seconds"]) == ("protected", "Normal", None)
    plugin = alone.run("list", "--nagios", protection.name).stdout
    assert plugin.startswith("STANDBY OK - 1 normal | ")
    assert f"'{protection.name} points'=1;22;;0" in plugin
    seen = figures(alone.run("metrics").stdout)
    assert seen[f'standby_points{{profile="{protection.name}"}}'] == 1
    assert seen["standby_daemon_up"] == 0


@pytest.mark.long
def test_a_host_that_does_not_answer_is_no_good_news(
    protect: Protect, cli: CommandLine, tmp_path: Path
) -> None:
    alone = CommandLine(cli.managers, cli.root, {"STANDBY_STATE": str(tmp_path / "state")})
    protection = protect(16 * MIB)
    alone.run("run", protection.name)  # now there is a history
    assert alone.json("show", protection.name)["statistics"]["good"] == 1
    profile = yaml.safe_load(protection.profile_file.read_text())
    (alone.root / "hosts/dead.yaml").write_text("address: root@192.0.2.1\nconnect_timeout: 1s\n")
    try:
        profile["target"]["host"] = "dead"
        protection.profile_file.write_text(yaml.safe_dump({**profile, "rpo": {"target": "1h"}}))
        said = alone.run("list", "--nagios", protection.name, status=1).stdout
        assert said.startswith("STANDBY WARNING - 1 warning")  # the history: it is not late yet
        protection.profile_file.write_text(yaml.safe_dump({**profile, "rpo": {"target": "5s"}}))
        said = alone.run("list", "--nagios", protection.name, status=2).stdout
        assert "nobody can look at the standby" in said
        nobody = CommandLine(cli.managers, cli.root, {"STANDBY_STATE": str(tmp_path / "none")})
        assert nobody.run("list", "--nagios", protection.name, status=3).stdout.startswith(
            "STANDBY UNKNOWN - 1 unknown"
        )
    finally:
        (alone.root / "hosts/dead.yaml").unlink()


@pytest.mark.long
def test_the_daemon_offers_figures_of_what_it_does(
    protect: Protect, daemon: Served, tmp_path: Path
) -> None:
    textfile = tmp_path / "standby.prom"
    metrics = {"listen": f"127.0.0.1:{PORT}", "textfile": str(textfile)}
    (daemon.root / "manager.yaml").write_text(yaml.safe_dump({"metrics": metrics}))
    protection = protect(16 * MIB)
    daemon.protect(protection, schedule={"every": "5s"})
    daemon.start()
    grows(protection, 2)
    name = f'{{profile="{protection.name}"}}'

    def told() -> dict[str, float]:
        done = daemon.managers.lab.run("manager", [str(PYTHON), "-c", _FETCH], env=ENVIRONMENT)
        return figures(done.stdout) if done.returncode == 0 else {}

    def good() -> bool:
        return told().get(f"standby_last_run_success{name}") == 1

    wait_until(good, "figures of a good run", 60, 1)
    seen = told()
    assert seen["standby_daemon_up"] == 1
    assert seen[f"standby_seen{name}"] == 1
    newest = protection.manifest.points[-1].name.moment.timestamp()
    assert newest - 60 < seen[f"standby_newest_point_timestamp_seconds{name}"] < newest + 60
    assert seen[f"standby_rpo_seconds{name}"] >= 10
    wait_until(textfile.exists, "the file of figures", 60, 1)
    assert figures(textfile.read_text())["standby_profiles"] == 1

    row = daemon.cli.json("list")[0]
    assert row["next_run"] is not None
    assert daemon.stop() == 0

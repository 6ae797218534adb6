"""A paused standby on the lab: kept on the KVM host, whatever becomes of the manager."""

from __future__ import annotations

import pytest
from support import MIB, Protect
from support_cli import ENVIRONMENT, PYTHON, CommandLine, cycles

# What a daemon does at a profile's time, and what its control socket does for people.
_PROGRAM = """
import sys
from pathlib import Path
from standby.app.opening import open_session
from standby.app.pausing import pause, resume
from standby.app.places import locate
from standby.app.replicate import run
from standby.model.plan import CycleRequest
from standby.model.run import Cause

root, name, what = sys.argv[1:]
with open_session(Path(root)) as session:
    if what == "pause":
        print(pause(session, locate(session, name), reason="the array is rebuilt").by)
    elif what == "resume":
        print(resume(session, locate(session, name)))
    else:
        print(run(session, session.profile(name), CycleRequest(), Cause[what]).point)
"""


def do(cli: CommandLine, name: str, what: str, *, fails: bool = False) -> str:
    """Let a manager do it; return what it printed last."""
    argv = [str(PYTHON), "-c", _PROGRAM, str(cli.root), name, what]
    done = cli.lab.run("manager", argv, env=ENVIRONMENT)
    assert (done.returncode != 0) is fails, done.stderr
    return (done.stderr if fails else done.stdout).splitlines()[-1]


@pytest.mark.long
def test_a_pause_outlives_its_manager_and_keeps_scheduled_runs_from_making_points(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    made = cycles(protection, 1)
    who = do(cli, protection.name, "pause")
    refused = do(cli, protection.name, "SCHEDULE", fails=True)
    assert "Paused" in refused
    assert f"by {who}: the array is rebuilt" in refused
    assert list(protection.points) == made
    assert cli.json("show", protection.name)["state"] == "paused"

    by_hand = cli.json("run", protection.name)
    assert "the pause goes on" in by_hand["warnings"][0]
    do(cli, protection.name, "RETRY", fails=True)

    assert "array" in do(cli, protection.name, "resume")
    assert do(cli, protection.name, "resume") == "None"
    protection.guest.write(0, MIB, 0x77)
    assert do(cli, protection.name, "SCHEDULE") == protection.points[-1]
    assert cli.json("show", protection.name)["state"] == "protected"


@pytest.mark.long
def test_a_machine_without_a_first_copy_can_be_paused_before_it_gets_one(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    do(cli, protection.name, "pause")
    assert "Paused" in do(cli, protection.name, "SCHEDULE", fails=True)
    assert protection.points == ()
    assert cli.json("show", protection.name)["state"] == "paused"
    do(cli, protection.name, "resume")
    do(cli, protection.name, "SCHEDULE")
    assert len(protection.points) == 1

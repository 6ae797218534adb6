"""The demo proves what it claims, says so by its exit status, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from lab import Lab
from lab.demo_site import STANDBY
from lab.layout import CHECKOUT, Layout, root_directory
from lab.processes import ProcessRecord
from lab.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

RUNNING_LIMIT = 600.0
README = CHECKOUT / "README.md"
EXAMPLE_POINT, EXAMPLE_FILE = "V20261122_035600", "deltas/vda.0007.qcow2"
_numbers = count(1)
LIE = """
import sys
from lab import demo_story
from lab.demo import main
from lab.demo_machine import Machine

demo_story.INCREMENTS = 2
honest = Machine.files
Machine.files = lambda machine: {**honest(machine), "never-written": "0" * 64}
sys.exit(main(sys.argv[1:]))
"""
"""The story in short, with a record of the machine's files that holds one file too many."""


@pytest.fixture
def name() -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    remove_what_killed_tests_left()
    chosen = f"demo{os.getpid()}-{next(_numbers)}"
    yield chosen
    Lab(chosen).down()


def remove_what_killed_tests_left() -> None:
    """A lab that was to be kept is not tied to the process that tested it."""
    for directory in root_directory().glob("demo*-*"):
        found = re.fullmatch(r"demo(\d+)-\d+", directory.name)
        if found and ProcessRecord.of(int(found[1])) is None:
            Lab(directory.name).down()


def demo(*arguments: str, output: Path, program: tuple[str, ...] = ("-m", "lab.demo")) -> Demo:
    with output.open("w") as stream:
        return Demo(
            [sys.executable, *program, *arguments],
            cwd=CHECKOUT, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


class Demo(subprocess.Popen[bytes]):
    """A running demo, in a process group of its own as a shell would start it."""

    def interrupt(self) -> None:
        """Do what Ctrl-C does: the signal goes to all of its processes."""
        os.killpg(self.pid, signal.SIGINT)

    def __exit__(self, *exception: object) -> None:
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()


def nothing_is_left(name: str) -> bool:
    loops = subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True)
    directory = Layout(name).directory
    return not directory.exists() and f"{directory}/" not in loops.stdout


def recover_by_hand(lab: Lab) -> None:
    """Type what the README says about a dead manager, with the names of a point that is there."""
    blocks = re.findall(r"^```\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if "grep -o" in block)
    reading, _, making = block.partition("mkdir")

    def typed(lines: str) -> list[str]:
        return lab.run("kvm", ["bash", "-c", lines]).stdout.splitlines()

    point = next(line for line in typed(reading) if line.endswith(" whole")).split()[0]
    files = typed(reading.replace(EXAMPLE_POINT, point))
    (file,) = (file for file in files if re.fullmatch(r"deltas/vda\.\d+\.qcow2", file))
    begin = f"cd /srv/standby/{STANDBY}\nmkdir"
    typed(begin + making.replace(EXAMPLE_POINT, point).replace(EXAMPLE_FILE, file))

    standby = lab.guest("kvm", STANDBY)
    standby.wait_for_agent(RUNNING_LIMIT)
    reports = {path for path in standby.files("/data") if path.startswith("report-")}
    assert reports == {f"report-{number}" for number in range(4)}, "the oldest that is left"
    standby.destroy()


def typed_in_a_terminal(shell: str, line: str) -> str:
    """Return all that a terminal shows when a line is typed into a shell and the shell left."""
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", shell, "/dev/null"],
        cwd=CHECKOUT, input=f"{line}\nexit\n", capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def test_it_holds_and_the_commands_it_leaves_to_play_with_work(name: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with demo("--name", name, "--keep", output=output) as running:
        status = running.wait(RUNNING_LIMIT)
    told = output.read_text()
    assert status == 0, told
    held = re.search(r"^(\d+) of (\d+) checks hold", told, re.MULTILINE)
    assert held is not None
    assert held[1] == held[2]
    assert int(held[1]) >= 25
    assert "\x1b" not in told

    story, _, offered = told.partition("ready to paste:\n")
    assert "bit for bit" in story
    recover_by_hand(Lab(name))

    lines = [line.strip() for line in offered.splitlines() if line.strip()]
    for line in lines:
        if line.endswith("shell manager"):
            assert "boot points of web1-standby" in typed_in_a_terminal(line, "standby points web1")
        else:
            done = subprocess.run(
                ["bash", "-c", line], cwd=CHECKOUT, capture_output=True, text=True,
                timeout=RUNNING_LIMIT, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert lines[-1].startswith("make lab-down")
    assert nothing_is_left(name)


def test_what_is_not_so_ends_it_with_a_failure(name: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with demo("--name", name, output=output, program=("-c", LIE)) as running:
        status = running.wait(RUNNING_LIMIT)
    told = output.read_text()
    assert status == 1, told
    wrong = re.findall(r"^NOT SO: (.*)\n  found: (.*)$", told, re.MULTILINE)
    assert ("bit for bit" in wrong[0][0], wrong[0][1]) == (True, "never-written: MISSING"), told
    assert nothing_is_left(name)


def test_ctrl_c_in_a_cycle_removes_the_lab(name: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with demo("--name", name, "--keep", output=output) as running:
        wait_until(
            lambda: "# standby run web1\n" in output.read_text() or running.poll() is not None,
            "the first cycle",
            RUNNING_LIMIT,
        )
        running.interrupt()
        status = running.wait(60)
    assert status == 128 + signal.SIGINT, output.read_text()
    assert nothing_is_left(name)


def test_a_second_demo_does_not_take_the_lab_of_the_first(name: str, tmp_path: Path) -> None:
    with demo("--name", name, output=tmp_path / "first") as first:
        wait_until(
            lambda: "== 1." in (tmp_path / "first").read_text() or first.poll() is not None,
            "begin of the demo",
            60,
        )
        with demo("--name", name, output=tmp_path / "second") as second:
            assert second.wait(60) == 1
        assert "runs already" in (tmp_path / "second").read_text()
        assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 128 + signal.SIGTERM
    assert nothing_is_left(name)

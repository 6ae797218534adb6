"""Scripts of an administrator: whatever they do, they end in time and leave nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standby.errors import ReachHost
from standby.host.connections import Connections
from standby.host.interface import Host
from standby.host.local import LocalHost
from standby.host.scripts import GRACE_S, MOST_OUTPUT, Script, ScriptEnding, run_script
from tests.integration.host_sshd import running_sshd, until
from tests.integration.test_host_contract import alive, pid_in


@pytest.fixture(scope="module")
def over_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    directory = tmp_path_factory.mktemp("sshd")
    with running_sshd(directory) as sshd, Connections() as connections:
        yield connections.host(sshd.address)


@pytest.fixture(params=["local", "over_ssh"])
def host(request: pytest.FixtureRequest) -> Host:
    if request.param == "local":
        return LocalHost()
    found: Host = request.getfixturevalue(request.param)
    return found


def shell(text: str, *arguments: object, limit: float = 30) -> Script:
    words = [str(argument) for argument in arguments]
    return Script(("sh", "-c", text, "test", *words), {"STANDBY_PROFILE": "web 1=$(x)"}, limit)


def always() -> bool:
    return True


def run(host: Host, script: Script) -> ScriptEnding:
    return run_script(host, script, always)


def test_status_output_and_environment_arrive_as_they_are(host: Host) -> None:
    text = 'echo "$STANDBY_PROFILE"; echo "to stderr" >&2; pwd; cat; exit 7'
    ending = run(host, shell(text))
    assert ending.status == 7
    assert not ending.is_good
    assert sorted(ending.output.splitlines()) == ["/", "to stderr", "web 1=$(x)"]
    good = run(host, shell("echo no newline at the end | tr -d '\\n'"))
    assert (good.is_good, good.output, good.left) == (True, "no newline at the end", 0)


def test_a_command_that_looks_like_a_setting_or_is_missing_is_a_command(host: Host) -> None:
    ending = run(host, Script(("NAME=value", "echo", "ran"), {}, 30))
    assert ending.status == 127
    assert "NAME=value" in ending.output


def test_a_script_that_hangs_ends_at_its_limit(host: Host, tmp_path: Path) -> None:
    begun = time.monotonic()
    text = 'echo $$ >"$1"; echo before; exec sleep 1000'
    ending = run(host, shell(text, tmp_path / "pid", limit=1))
    assert (ending.late, ending.is_good, ending.output) == (True, False, "before")
    assert not alive(pid_in(tmp_path / "pid"))
    assert time.monotonic() - begun < 1 + GRACE_S


def test_a_script_that_will_not_end_is_killed(host: Host, tmp_path: Path) -> None:
    text = "trap '' TERM; echo $$ >\"$1\"; while :; do sleep 1; done"
    ending = run(host, shell(text, tmp_path / "pid", limit=1))
    assert ending.late
    assert not alive(pid_in(tmp_path / "pid"))


def test_of_a_gigabyte_the_last_of_it_is_kept(host: Host) -> None:
    ending = run(host, shell("head -c 1073741824 /dev/zero; echo; echo the end", limit=120))
    assert ending.is_good
    assert ending.output.endswith("the end")
    assert "only the last 64 KiB are kept" in ending.output
    assert len(ending.output) < MOST_OUTPUT + 100
    assert "\0" not in ending.output


def test_what_a_script_leaves_in_the_background_ends_with_it(host: Host, tmp_path: Path) -> None:
    text = """
    setsid sh -c 'trap "" TERM; echo $$ >"$1"; while :; do sleep 1; done' stubborn "$1" &
    (setsid sleep 1000 & echo $! >"$2") &
    while ! [ -s "$1" ] || ! [ -s "$2" ]; do sleep 0.1; done
    echo done
    """
    files = tmp_path / "stubborn", tmp_path / "plain"
    begun = time.monotonic()
    ending = run(host, shell(text, *files))
    assert (ending.is_good, ending.output) == (True, "done")
    assert ending.left >= 2
    assert not any(alive(pid_in(file)) for file in files)
    assert time.monotonic() - begun < GRACE_S


def test_who_hides_from_us_keeps_no_run_waiting(host: Host, tmp_path: Path) -> None:
    """A process without its mark is not found, but may hold the script's output open."""
    text = 'env -i setsid sh -c \'echo $$ >"$1"; exec sleep 1000\' hidden "$1" & exit 3'
    begun = time.monotonic()
    ending = run(host, shell(text, tmp_path / "pid"))
    hidden = pid_in(tmp_path / "pid")
    try:
        assert ending.status == 3
        assert time.monotonic() - begun < GRACE_S
    finally:
        os.kill(hidden, signal.SIGKILL)


def test_a_script_that_nobody_wants_any_more_is_ended(host: Host, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = shell('echo $$ >"$1"; setsid sleep 1000', pid, limit=1000)
    ending = run_script(host, script, lambda: not pid.exists())
    assert (ending.unwanted, ending.late, ending.is_good) == (True, False, False)
    assert not alive(pid_in(pid))


def test_a_script_holds_its_limit_when_the_connection_is_gone(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with running_sshd(tmp_path / "sshd") as sshd, Connections() as connections:
        host = connections.host(sshd.address)
        script = shell('echo $$ >"$1"; exec sleep 1000', pid, limit=4)

        def hang_up() -> bool:
            if pid.exists() and pid.read_text():
                for session in sshd.sessions():
                    if "sshd" in Path(f"/proc/{session}/comm").read_text():
                        os.kill(session, signal.SIGKILL)
            return True

        with pytest.raises(ReachHost, match="connection lost during the script sh"):
            run_script(host, script, hang_up)
        assert alive(pid_in(pid))
        assert until(lambda: not alive(pid_in(pid)), 4 + GRACE_S)

"""What every host promises, on this machine and over SSH alike."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standby.errors import (
    CommandFailed,
    CommandTimedOut,
    FixRequest,
    GrantAccess,
    InstallPrograms,
)
from standby.host import commands
from standby.host.connections import Connections
from standby.host.interface import Host
from standby.host.leash import leashed
from standby.host.local import LocalHost
from standby.host.privilege import Privilege
from tests.integration.host_sshd import running_sshd, until

ROOT = Path(__file__).parents[2]
MANY_FILES = 1100  # select(2) knows no descriptor above 1,023


@pytest.fixture(scope="module")
def over_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    directory = tmp_path_factory.mktemp("sshd")
    with running_sshd(directory) as sshd, Connections() as connections:
        yield connections.host(sshd.address)


@pytest.fixture(scope="module")
def under_sudo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    if (
        shutil.which("sudo") is None
        or subprocess.run(("sudo", "-n", "true"), check=False).returncode
    ):
        pytest.skip("needs sudo without a password")
    directory = tmp_path_factory.mktemp("sshd")
    with running_sshd(directory) as sshd, Connections() as connections:
        yield connections.host(sshd.but(privilege=Privilege.SUDO))


@pytest.fixture(params=["local", "over_ssh", "under_sudo"])
def host(request: pytest.FixtureRequest) -> Host:
    if request.param == "local":
        return LocalHost()
    found: Host = request.getfixturevalue(request.param)
    return found


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def pid_in(file: Path) -> int:
    assert until(lambda: file.exists() and file.read_text().strip())
    return int(file.read_text())


def test_gives_status_and_both_outputs(host: Host) -> None:
    done = host.run(
        ("sh", "-c", "echo out; echo err >&2; exit 3"), timeout=10, accept=frozenset({3})
    )
    assert (done.status, done.stdout, done.text, done.stderr) == (3, b"out\n", "out\n", "err")


def test_a_status_that_is_not_accepted_is_an_error_with_the_last_words(host: Host) -> None:
    with pytest.raises(CommandFailed) as caught:
        host.run(("sh", "-c", "echo reason >&2; exit 3"), timeout=10)
    assert caught.value.status == 3
    assert caught.value.stderr == "reason"
    assert "reason" in str(caught.value)
    assert caught.value.argv[0] == "sh"


def test_a_missing_program_is_named(host: Host) -> None:
    with pytest.raises(InstallPrograms, match="no-such-program"):
        host.run(("no-such-program",), timeout=10)


def test_a_status_127_of_the_command_itself_is_not_a_missing_program(host: Host) -> None:
    with pytest.raises(CommandFailed):
        host.run(("sh", "-c", "exit 127"), timeout=10)


UGLY = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(UGLY, max_size=5))
def test_every_argument_arrives_unchanged(host: Host, words: list[str]) -> None:
    printed = host.run(("printf", "%s\\0", *words, "end"), timeout=20).stdout
    assert printed == b"".join(word.encode() + b"\0" for word in (*words, "end"))


@pytest.mark.parametrize(
    "word",
    ["", " ", "$(id)", "`id`", "'", '"', "a\nb", "\\", "*", "~", "-n", "ü€😀", "a;b|c&d>e<f"],
)
def test_what_means_something_to_a_shell_arrives_unchanged(host: Host, word: str) -> None:
    assert host.run(("printf", "%s", word), timeout=10).text == word


def test_a_file_name_that_is_not_utf8_arrives_unchanged(host: Host) -> None:
    name = os.fsdecode(b"a\xff\xfeb")
    assert host.run(("printf", "%s", name), timeout=10).stdout == b"a\xff\xfeb"


def test_an_argument_with_a_null_byte_is_refused(host: Host) -> None:
    with pytest.raises(FixRequest):
        host.run(("printf", "a\0b"), timeout=10)


def test_messages_are_in_english_and_system_programs_are_found(host: Host) -> None:
    done = host.run(("sh", "-c", 'echo "$LC_ALL" "$LANGUAGE"; echo "$PATH"'), timeout=10)
    locale, path = done.text.splitlines()
    assert locale == "C.UTF-8 "
    assert "/usr/sbin" in path.split(":")


def test_input_of_any_bytes_and_size_goes_through(host: Host) -> None:
    data = os.urandom(5 << 20)
    assert host.run(("cat",), timeout=60, stdin=data).stdout == data


def test_a_command_that_ignores_its_input_still_succeeds(host: Host) -> None:
    assert host.run(("echo", "done"), timeout=20, stdin=bytes(5 << 20)).text == "done\n"


def test_without_input_a_command_reads_nothing(host: Host) -> None:
    assert host.run(("cat",), timeout=10).stdout == b""


def test_much_on_standard_error_does_not_stop_a_command(host: Host) -> None:
    noise = ("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2")
    done = host.run(noise, timeout=60)
    assert done.stderr.endswith("x\nend")
    assert len(done.stderr) <= 64 << 10


def test_endless_output_is_cut_off(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MOST_OUTPUT", 1 << 20)
    with pytest.raises(CommandFailed, match="printed more than"):
        host.run(("yes",), timeout=60)


def test_a_daemon_that_keeps_the_streams_open_is_not_waited_for(host: Host) -> None:
    began = time.monotonic()
    done = host.run(("sh", "-c", "setsid sleep 20 & echo started"), timeout=15)
    assert done.text == "started\n"
    assert time.monotonic() - began < 5


def test_a_command_over_its_time_is_really_gone(host: Host, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CommandTimedOut, match=r"0\.5 s"):
        host.run(
            ("sh", "-c", 'sleep 1000 & echo $! > "$1"; wait', "sh", str(tmp_path / "pid")),
            timeout=0.5,
        )
    assert time.monotonic() - began < 4
    assert until(lambda: not alive(pid_in(tmp_path / "pid")), 2)


def test_a_command_that_ignores_term_is_killed(host: Host, tmp_path: Path) -> None:
    stubborn = 'trap "" TERM; echo $$ > "$1"; while :; do sleep 0.1; done'
    with pytest.raises(CommandTimedOut):
        host.run(("sh", "-c", stubborn, "sh", str(tmp_path / "pid")), timeout=0.5)
    assert until(lambda: not alive(pid_in(tmp_path / "pid")), 2)


def test_a_command_that_is_fed_is_bound_by_time_too(host: Host, tmp_path: Path) -> None:
    slow = 'echo $$ > "$1"; exec sleep 1000'
    with pytest.raises(CommandTimedOut):
        host.run(("sh", "-c", slow, "sh", str(tmp_path / "pid")), timeout=0.5, stdin=b"x")
    assert until(lambda: not alive(pid_in(tmp_path / "pid")), 2)


def is_starting_a_process(thread: int) -> bool:
    """Tell whether a thread is within Popen, where an exception loses sight of the process.

    No command of ours lets Ctrl-C raise there: it sets a flag.
    """
    frames = traceback.walk_stack(sys._current_frames()[thread])
    return any(frame.f_code is subprocess.Popen.__init__.__code__ for frame, _ in frames)


def test_an_interrupted_command_is_gone(host: Host, tmp_path: Path) -> None:
    file, main = tmp_path / "pid", threading.main_thread().ident or 0

    def interrupt() -> None:
        pid_in(file)
        until(lambda: not is_starting_a_process(main))
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        host.run(("sh", "-c", 'echo $$ > "$1"; exec sleep 1000', "sh", str(file)), timeout=60)
    assert until(lambda: not alive(pid_in(file)), 2)


def test_many_threads_may_share_a_host(host: Host) -> None:
    with ThreadPoolExecutor(20) as pool:
        texts = pool.map(lambda n: host.run(("echo", str(n)), timeout=30).text, range(60))
        assert list(texts) == [f"{n}\n" for n in range(60)]


def test_a_missing_file_reads_as_none(host: Host, tmp_path: Path) -> None:
    assert host.read_file(str(tmp_path / "nothing")) is None
    assert host.read_file(str(tmp_path / "no" / "thing")) is None


def test_what_cannot_be_read_is_an_error_not_absent(host: Host, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="Is a directory"):
        host.read_file(str(tmp_path))


def test_a_written_file_reads_the_same_with_its_mode(host: Host, tmp_path: Path) -> None:
    data = os.urandom(200_000)
    file = tmp_path / "it's a $(file)"
    host.write_file(str(file), data, 0o640)
    assert host.read_file(str(file)) == data
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_empty_file_can_be_written(host: Host, tmp_path: Path) -> None:
    host.write_file(str(tmp_path / "empty"), b"")
    assert host.read_file(str(tmp_path / "empty")) == b""


def test_a_file_is_replaced_never_overwritten(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with file.open("rb") as before:
        host.write_file(str(file), b"new")
        assert before.read() == b"old"
    assert file.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(host: Host) -> None:
    with pytest.raises(CommandFailed):
        host.write_file("/proc/self/nothing", b"data")
    assert not Path("/proc/self/nothing").exists()


FILL = """
import subprocess, sys
from standby.errors import FreeSpace
from standby.host.local import LocalHost
subprocess.run(("mount", "-t", "tmpfs", "-o", "size=64k", "small", sys.argv[1]), check=True)
host, path = LocalHost(), sys.argv[1] + "/file"
host.write_file(path, b"old")
try:
    host.write_file(path, bytes(1 << 20))
except FreeSpace:
    assert host.read_file(path) == b"old"
    assert host.run(("ls", "-A", sys.argv[1]), timeout=5).text == "file\\n"
    sys.exit(42)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small storage")
def test_a_full_storage_is_said_to_be_full_and_nothing_is_left_there(tmp_path: Path) -> None:
    # The mount is gone with its namespace, however this ends.
    command = ("unshare", "--mount", sys.executable, "-c", FILL, str(tmp_path))
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == 42


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused_not_absent(host: Host, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(GrantAccess):
        host.read_file(str(tmp_path / "closed" / "file"))


def test_a_held_command_lives_until_it_is_closed(host: Host, tmp_path: Path) -> None:
    program = 'echo $$ > "$1"; echo starting; echo ready; echo more; exec sleep 1000'
    command = leashed(("sh", "-c", program, "sh", str(tmp_path / "pid")), 30)
    held = host.hold(command, ready=b"ready", timeout=10)
    assert held.read_line(5) == b"more"
    assert held.alive
    assert alive(pid_in(tmp_path / "pid"))
    held.close()
    assert not held.alive
    assert until(lambda: not alive(pid_in(tmp_path / "pid")), 2)


def test_more_commands_are_held_than_one_connection_takes(host: Host) -> None:
    with ExitStack() as stack:
        for _ in range(12):  # sshd allows 10 sessions for each connection
            held = host.hold(("sh", "-c", "echo ready; cat"), ready=b"ready", timeout=10)
            stack.callback(held.close)
        assert host.run(("echo", "still"), timeout=10).text == "still\n"


def test_a_held_command_gets_heartbeats_and_then_the_end_of_its_input(host: Host) -> None:
    program = "echo ready; while read -r line; do echo beat; done; echo over >&2"
    held = host.hold(("sh", "-c", program), ready=b"ready", timeout=10, heartbeat=0.05)
    assert [held.read_line(5) for _ in range(3)] == [b"beat"] * 3
    held.close()
    assert not held.alive


def test_a_held_command_without_heartbeats_ends(host: Host) -> None:
    command = leashed(("sh", "-c", "echo ready; exec sleep 1000"), 0.5)
    held = host.hold(command, ready=b"ready", timeout=10, heartbeat=3600)
    assert until(lambda: not held.alive, 5)
    assert held.read_line(1) is None
    held.close()


def test_heartbeats_keep_a_held_command_alive(host: Host) -> None:
    command = leashed(("sh", "-c", "echo ready; sleep 1.5; echo survived"), 0.5)
    held = host.hold(command, ready=b"ready", timeout=10, heartbeat=0.1)
    assert held.read_line(10) == b"survived"
    held.close()


def test_heartbeats_reach_a_command_of_a_manager_that_holds_thousands_of_files(
    host: Host,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY_FILES + 200:
        pytest.skip(f"may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY_FILES + 200), hard))
    try:
        with ExitStack() as stack:
            for _ in range(MANY_FILES):
                stack.enter_context(open(os.devnull, "rb"))  # noqa: PTH123 - a file, not a path
            argv = ("sh", "-c", "echo ready; while read -r line; do echo beat; done")
            held = host.hold(argv, ready=b"ready", timeout=10, heartbeat=0.1)
            stack.callback(held.close)
            assert held.read_line(10) == b"beat"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_held_command_that_ends_by_itself_is_no_longer_alive(host: Host) -> None:
    held = host.hold(
        leashed(("sh", "-c", "echo ready; echo oh no >&2"), 30), ready=b"ready", timeout=10
    )
    assert until(lambda: not held.alive, 5)
    assert until(lambda: held.last_words == "oh no", 2)
    held.close()


def test_a_command_that_ends_before_it_is_ready_is_an_error_with_status(host: Host) -> None:
    with pytest.raises(CommandFailed, match="busy") as caught:
        host.hold(("sh", "-c", "echo busy >&2; exit 75"), ready=b"ready", timeout=10)
    assert caught.value.status == 75


def test_a_command_that_is_never_ready_is_given_up(host: Host, tmp_path: Path) -> None:
    program = 'echo $$ > "$1"; exec sleep 1000'
    command = leashed(("sh", "-c", program, "sh", str(tmp_path / "pid")), 30)
    with pytest.raises(CommandTimedOut):
        host.hold(command, ready=b"ready", timeout=0.5)
    assert until(lambda: not alive(pid_in(tmp_path / "pid")), 2)


def test_a_line_that_does_not_come_is_waited_for_only_so_long(host: Host) -> None:
    held = host.hold(("sh", "-c", "echo ready; cat >&2"), ready=b"ready", timeout=10)
    with pytest.raises(CommandTimedOut):
        held.read_line(0.3)
    assert held.alive
    held.close()

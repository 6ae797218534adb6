"""The command line as a whole: help, usage, exit statuses, signals, what is logged where."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest
from configuration_files import PROFILE, write_root
from typer.testing import CliRunner

from standby.app import opening
from standby.app.session import Session
from standby.cli import main as main_module
from standby.cli.main import app, main
from standby.errors import (
    AskForResync,
    Cancelled,
    FixProfile,
    FixRequest,
    Overtaken,
    ReachHost,
    StandbyError,
    StopStandbyFirst,
    TryLater,
)
from standby.profile import Profile

COMMAND = (sys.executable, "-m", "standby")
STARTS_WITHIN_S = 0.5
COMMANDS = (
    "check", "run", "list", "show", "points", "revert", "pin", "unpin", "mount", "vms", "remove",
)  # fmt: skip
HEAVY = {"libvirt", "nbd", "paramiko", "qemu", "sqlalchemy", "asyncio"}


def called(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command line in this process and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["standby", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def helped(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    return result.stdout


def test_help_lists_every_command() -> None:
    listed = re.findall(r"^  ([a-z]+) ", helped().partition("Commands:")[2], re.MULTILINE)
    assert {*COMMANDS, "profile"} <= set(listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_of_itself(command: str) -> None:
    text = " ".join(helped(command).split())
    assert f"Example: standby {command} " in text
    assert "--config DIR" in text
    assert "--json" in text


def test_help_names_what_others_call_these_things() -> None:
    text = helped()
    assert all(word in text for word in ("recovery point", "snapshot", "virsh", "aipcontrol"))
    assert "docs/names-of-others.md" in text


def test_help_names_the_exit_statuses() -> None:
    assert "0 done, 1 failed, 2 wrong usage, 75 busy" in " ".join(helped().split())


def processor_time_of_help() -> float:
    """Return seconds of the processor: other processes slow the clock's, and these a little."""
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_less_than_half_a_second() -> None:
    assert min(processor_time_of_help() for _ in range(3)) < STARTS_WITHIN_S


def test_help_loads_nothing_that_talks_to_hosts() -> None:
    program = "import sys, standby.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert not HEAVY & set(done.stdout.decode().split())


def test_version_prints_the_version(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert called(monkeypatch, "--version") == 0
    assert re.fullmatch(r"standby \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        ("show",),
        ("nonsense",),
        ("run", "web1", "--fast"),
        ("revert", "web1"),
        ("--config",),
        ("mount", "a", "b", "c", "d"),
    ],
)
def test_wrong_usage_ends_with_2(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    assert called(monkeypatch, *words) == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ReachHost("kvm1", "no answer"), 1),
        (AskForResync("disk vda", "lost"), 1),
        (StopStandbyFirst("standby web1", "runs"), 1),
        (FixProfile("profile", "wrong"), 2),
        (FixRequest("point", "unknown"), 2),
        (TryLater("standby web1", "busy"), 75),
        (Overtaken("standby web1", "taken over"), 75),
        (Cancelled("transfer", "stopped"), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, StandbyError) else str(value),
)
def test_an_error_ends_with_its_status_and_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, error: StandbyError, status: int
) -> None:
    error.expected, error.remedy = "something else", "do this"

    def fail(words: list[str], prog_name: str) -> None:
        assert (words, prog_name) == ([], "standby")
        raise error

    monkeypatch.setattr(main_module, "app", fail)
    assert called(monkeypatch) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"standby: {error}\n"
    assert "do this" in printed.err


def test_a_profile_with_mistakes_is_told_with_file_and_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    write_root(tmp_path, {"profiles/web1.yaml": PROFILE + "x: 1\n"})
    assert called(monkeypatch, "--config", str(tmp_path), "show", "web1") == 2
    assert f"{tmp_path}/profiles/web1.yaml:3: x: " in capsys.readouterr().err


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_configuration_root_stands_before_or_after_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path, place: str
) -> None:
    write_root(tmp_path, {})
    named = ("--config", str(tmp_path))
    words = (*named, "list") if place == "before" else ("list", *named)
    assert called(monkeypatch, *words) == 0
    assert capsys.readouterr().err == f"no profiles in {tmp_path}/profiles\n"


@pytest.mark.parametrize("flag", ["-v", "--verbose"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_verbose_stands_before_or_after_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flag: str, place: str
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(main_module, "wanted", lambda *, verbose: asked.append(verbose))
    monkeypatch.setattr(main_module, "start_logging", lambda _: None)
    write_root(tmp_path, {})
    words = ["list", "--config", str(tmp_path)]
    words = [flag, *words] if place == "before" else [*words, flag]
    assert called(monkeypatch, *words) == 0
    assert asked == [True]


def test_a_list_of_nothing_is_a_list_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    write_root(tmp_path, {})
    assert called(monkeypatch, "list", "--json", "--config", str(tmp_path)) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_unreachable_hosts_and_wrong_profiles_are_lines_of_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    write_root(
        tmp_path,
        {
            "profiles/web1.yaml": PROFILE,
            "profiles/web2.yaml": PROFILE + "x: 1\n",
            "hosts/kvm1.yaml": "address: root@127.0.0.1:1\n",  # nobody listens on tcpmux
        },
    )
    assert called(monkeypatch, "list", "--json", "--config", str(tmp_path)) == 0
    seen = {it["called"]: it["error"]["kind"] for it in json.loads(capsys.readouterr().out)}
    assert seen == {"web1": "ReachHost", "web2": "ProfileMistakes"}
    assert called(monkeypatch, "list", "--config", str(tmp_path)) == 0
    assert "unreachable" in capsys.readouterr().out


def test_a_standby_of_a_host_that_is_not_known_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    write_root(tmp_path, {})
    assert called(monkeypatch, "show", "kvm9/web1", "--config", str(tmp_path)) == 2
    assert "host kvm9: there is no such host" in capsys.readouterr().err


@pytest.fixture
def silent_host() -> Iterator[socket.socket]:
    """Something that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def test_the_list_asks_the_next_host_while_one_is_silent(
    tmp_path: Path, silent_host: socket.socket
) -> None:
    port = silent_host.getsockname()[1]
    address = f"address: root@127.0.0.1:{port}\nconnect_timeout: 60s\n"
    write_root(
        tmp_path,
        {
            "profiles/web1.yaml": PROFILE,
            "profiles/web2.yaml": PROFILE.replace("kvm1", "kvm2"),
            "hosts/kvm1.yaml": address,
            "hosts/kvm2.yaml": address,
        },
    )
    argv = (*COMMAND, "list", "--config", str(tmp_path))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        first, _ = silent_host.accept()
        second, _ = silent_host.accept()  # while the first still waits for a word
        command.kill()
    first.close()
    second.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_only_looks_with_130_and_no_traceback(
    tmp_path: Path, silent_host: socket.socket, number: signal.Signals
) -> None:
    port = silent_host.getsockname()[1]
    write_root(
        tmp_path,
        {
            "profiles/web1.yaml": PROFILE,
            "hosts/kvm1.yaml": f"address: root@127.0.0.1:{port}\nconnect_timeout: 3s\n",
        },
    )
    argv = (*COMMAND, "list", "--config", str(tmp_path))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        connection, _ = silent_host.accept()
        with connection:
            os.kill(command.pid, number)
            out, err = command.communicate(timeout=30)
    assert command.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


class StoppedSession(Session):
    """Is stopped at once; whoever stopped it is impatient and does so again while it closes."""

    def profile(self, name_or_file: str) -> Profile:
        raise Cancelled(name_or_file, "stopped because somebody asked for it")

    def __exit__(self, *exception: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        super().__exit__(*exception)


def test_an_impatient_second_signal_does_not_hide_what_was_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    write_root(tmp_path, {})
    monkeypatch.setattr(opening, "Session", StoppedSession)
    assert called(monkeypatch, "--config", str(tmp_path), "pin", "web1", "latest") == 130
    assert capsys.readouterr().err == "standby: web1: stopped because somebody asked for it\n"


SLOW_LIBRARY = """
import time
print("loading", flush=True)
time.sleep(60)
"""


def test_a_signal_before_the_program_is_loaded_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(SLOW_LIBRARY)
    program = "from standby.__main__ import main; main()"
    with subprocess.Popen(
        (sys.executable, "-c", program),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"loading\n"
        os.kill(command.pid, signal.SIGINT)
        _, err = command.communicate(timeout=30)
    assert command.returncode == -signal.SIGINT
    assert err == b""


Capture = pytest.CaptureFixture[str]

"""The daemon tells people what happens, waits for no mail server, and keeps what scripts say."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from mailbox import Maildir
from pathlib import Path

import pytest
import yaml
from support import MIB, Protect
from support_cli import PYTHON
from support_daemon import Served, grows, served
from support_manager import ManagerHost

from lab import Lab
from lab.entering import HostProcess
from lab.waiting import wait_until

PORT = 8025
QUICK = {"every": "5s"}
EVERYTHING = {"mail": [{"to": "ops@example.org", "news": ["failure", "recovery", "success"]}]}


@pytest.fixture
def daemon(managers: ManagerHost, tmp_path: Path) -> Iterator[Served]:
    with served(managers, tmp_path) as made:
        mail = {"host": "127.0.0.1", "port": PORT, "security": "none", "sender": "s@example.org"}
        (made.root / "manager.yaml").write_text(yaml.safe_dump({"mail": mail}))
        yield made


@pytest.fixture
def mail_server(lab: Lab, tmp_path: Path) -> Iterator[HostProcess]:
    """A real mail server beside the manager; what it takes lies in a Maildir of the test."""
    argv = [str(PYTHON), "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{PORT}"]
    handler = ["-c", "aiosmtpd.handlers.Mailbox", str(tmp_path / "mail")]
    with lab.popen("manager", [*argv, *handler]) as server:
        try:
            yield server
        finally:
            let_go_on(server)
            server.kill()


def let_go_on(process: HostProcess) -> None:
    """End its sleep, and that of who entered the host for it and fell asleep as it did."""
    process.send_signal(signal.SIGCONT)
    os.kill(process.pid, signal.SIGCONT)


def subjects(directory: Path) -> list[str]:
    """Of all mail that has arrived."""
    if not (directory / "mail/new").exists():
        return []
    return [str(mail["Subject"]) for mail in Maildir(directory / "mail")]


def test_people_hear_of_runs_and_no_run_waits_for_the_mail_server(
    protect: Protect, daemon: Served, mail_server: HostProcess, tmp_path: Path
) -> None:
    protection = protect(64 * MIB)
    daemon.protect(protection, schedule=QUICK, notify=EVERYTHING)
    daemon.start()
    grows(protection)
    wait_until(lambda: any("published" in it for it in subjects(tmp_path)), "mail", 60, 0.3)

    mail_server.send_signal(signal.SIGSTOP)  # it takes connections, and never says a word
    grows(protection, 3)
    let_go_on(mail_server)

    protection.configure(domain="nobody")
    daemon.protect(protection, notify=EVERYTHING)
    failed = f"{protection.name}: cycle failed"
    told = daemon.cli.run_when_free("run", protection.name, status=1)
    assert "domain nobody" in told.stderr
    wait_until(lambda: any(failed in it for it in subjects(tmp_path)), "mail", 90, 0.3)
    assert "not found on source" in next(it for it in subjects(tmp_path) if failed in it)
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.said


@pytest.mark.long
@pytest.mark.usefixtures("mail_server")
def test_people_hear_once_of_a_run_that_died_with_its_daemon(
    protect: Protect, daemon: Served, tmp_path: Path
) -> None:
    protection = protect(32 * MIB)
    daemon.protect(protection, transfer={"bandwidth": "1MiB/s"}, notify=EVERYTHING)
    for number in range(32):
        protection.guest.write(number * MIB, MIB, 1 + number)
    daemon.start()
    with daemon.cli.started("run", protection.name) as command:
        wait_until(lambda: any(it.steps for it in daemon.live().running), "the transfer", 60, 0.2)
        daemon.kill()
        command.communicate(timeout=60)
    (run,) = daemon.cli.json("history", protection.name)["runs"]  # who looks keeps it from nobody
    assert run["result"] == "lost"
    for _ in range(2):
        daemon.start()
        wait_until(lambda: bool(subjects(tmp_path)), "mail", 60, 0.3)
        assert daemon.stop() == 0
    (told,) = subjects(tmp_path)
    assert (
        told == f"[standby] {protection.name}: cycle failed: the manager ended in the midst of it"
    )
    shown = daemon.cli.run("show", protection.name).stdout
    assert "the last run failed: the manager ended in the midst of it" in shown


def test_what_a_script_prints_and_what_was_not_sent_is_in_the_log_of_its_run(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(16 * MIB)
    (daemon.root / "manager.yaml").write_text("{}\n")  # no mail server
    text = 'echo "run $STANDBY_RUN, point $STANDBY_POINT"'
    script = {"place": "source_host", "command": ["sh", "-c", text]}
    daemon.protect(protection, scripts={"after_publish": [script]}, notify=EVERYTHING)
    daemon.start()
    daemon.cli.run("run", protection.name)
    (run,) = daemon.cli.json("history", protection.name)["runs"]
    said = daemon.cli.run("log", run["run"]).stdout
    assert f"run {run['run']}, point {protection.points[0]}" in said
    wait_until(
        lambda: "no mail server is known" in daemon.cli.run("log", run["run"]).stdout, "note", 30
    )
    assert any(phase["phase"] == "scripts" for phase in run["phases"])

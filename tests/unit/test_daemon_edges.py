"""The daemon's memory, lock, service manager and socket: what each does when things go wrong."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from standby.app.client import DaemonClient, find_daemon
from standby.app.control import (
    Answer,
    Ask,
    AskCancel,
    AskLive,
    AskPause,
    AskRun,
    Done,
    PhaseOver,
    Progress,
    Refused,
    RunBegins,
    RunOver,
    line_of,
    message_of,
    socket_path,
)
from standby.app.live import BrokenProfile, Live, LiveRun, LiveStep, LiveWait, Outlook
from standby.cycle.report import CycleReport, Outcome, Phase, PhaseTime
from standby.daemon.control import ControlServer
from standby.daemon.desk import _Following
from standby.daemon.instance import Instance, only_one
from standby.daemon.memory import Memory
from standby.daemon.notify import Notifier
from standby.errors import (
    Cancelled,
    FixProfile,
    FixRequest,
    GrantAccess,
    Paused,
    StandbyError,
    TryLater,
)
from standby.model.names import PointName
from standby.model.plan import HeadMove
from standby.model.point import Way
from standby.model.run import Amounts, Cause, Run, RunKind, RunPhase, RunResult

NOW = datetime(2026, 11, 26, 12, 0, 3, 250000, tzinfo=UTC)
POINT = PointName.parse("V20261126_120000")
RUN = Run(
    "ab12",
    "web",
    RunKind.RESYNC,
    Cause.HAND,
    NOW,
    ended=NOW,
    result=RunResult.PUBLISHED,
    way=Way.RESYNC,
    point=POINT,
    merged=(POINT,),
    amounts=Amounts(1, 2, 3, 4),
    phases=(RunPhase("copy", NOW, 0.5),),
)
REPORT = CycleReport(
    outcome=Outcome.PUBLISHED,
    point=POINT,
    way=Way.RESYNC,
    reason="asked",
    data=1,
    zero=2,
    unchanged=3,
    merged=(),
    deferred=("x: y",),
    head=next(iter(HeadMove)),
    warnings=("w",),
    started=NOW,
    seconds=1.5,
    phases=(PhaseTime(Phase.TRANSFER, 1.0),),
)
LIVE = Live(
    NOW,
    1,
    Path("/etc/standby"),
    NOW,
    running=(
        LiveRun("ab", "web", RunKind.CYCLE, Cause.RETRY, NOW, "copy", (LiveStep("vda", 1, 2),)),
    ),
    waiting=(LiveWait("db", RunKind.CYCLE, Cause.EVENT, NOW, 1.5),),
    outlooks=(Outlook("web", NOW, None, 2, "why", waits_for_change=True),),
    broken=(BrokenProfile("bad", "found", keeps_older=False),),
    problems=("p",),
)
MESSAGES = [
    AskLive(everything=True),
    AskRun("web", RunKind.FULL_COPY),
    AskCancel("web"),
    AskPause("web", NOW, "because: ü"),
    AskPause("web"),
    LIVE,
    RunBegins("ab12"),
    Progress("vda", 1, 2),
    PhaseOver("copy", 0.25),
    RunOver(RUN, REPORT),
    RunOver(RUN),
    Done("done"),
]


# ---- messages ----------------------------------------------------------------------------


@pytest.mark.parametrize("message", MESSAGES, ids=lambda it: type(it).__name__)
def test_what_arrives_is_what_was_sent(message: Ask | Answer) -> None:
    line = line_of(message)
    assert line.count(b"\n") == 1
    assert message_of(line) == message


@pytest.mark.parametrize(
    "error", [TryLater("a", "b", "c", "d"), Paused("a", "b", until=NOW), Cancelled("a", "b")]
)
def test_an_error_arrives_as_what_it_is(error: StandbyError) -> None:
    arrived = message_of(line_of(Refused.of(error))).error
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert arrived.exit_status is error.exit_status


def test_an_error_that_is_not_known_here_arrives_as_its_kind() -> None:
    class _OfLater(TryLater):
        pass

    arrived = message_of(line_of(Refused.of(_OfLater("a", "b")))).error
    assert type(arrived) is TryLater


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b'{"version": 1, "message": "os.system", "fields": {}}',
     b'{"version": 1, "message": "AskRun", "fields": {"profile": 7}}',
     b'{"version": 1, "message": "AskRun", "fields": {}}',
     b'{"version": 1, "message": "AskRun", "fields": {"profile": "a", "kind": "x"}}',
     b'{"version": 9, "message": "AskLive", "fields": {}}'],
)  # fmt: skip
def test_nonsense_is_refused_as_such(line: bytes) -> None:
    with pytest.raises(FixRequest):
        message_of(line)


def test_what_a_newer_one_adds_is_passed_over() -> None:
    plain = json.loads(line_of(AskRun("web")))
    plain["fields"]["new"] = 1
    assert message_of(json.dumps(plain).encode()) == AskRun("web")


# ---- the socket --------------------------------------------------------------------------


class Scripted:
    """Answers as it is told."""

    def __init__(self, *answers: Answer | StandbyError) -> None:
        self.answers = answers
        self.asked: list[tuple[Ask, str]] = []

    def answer(self, ask: Ask, who: str) -> Iterator[Answer]:
        self.asked.append((ask, who))
        for answer in self.answers:
            if isinstance(answer, StandbyError):
                raise answer
            yield answer


def test_a_run_is_followed_to_its_end(tmp_path: Path) -> None:
    desk = Scripted(RunBegins("ab"), Progress("vda", 1, 2), RunOver(RUN, REPORT))
    path = socket_path(tmp_path)
    told: list[Answer] = []
    with ControlServer(path, None, desk):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert DaemonClient(path).run(AskRun("web"), told.append) == RunOver(RUN, REPORT)
    assert told == [RunBegins("ab"), Progress("vda", 1, 2)]
    ((ask, who),) = desk.asked
    assert ask == AskRun("web")
    assert str(os.getpid()) in who
    assert not path.exists()


def test_an_error_is_raised_by_whoever_asked(tmp_path: Path) -> None:
    with ControlServer(socket_path(tmp_path), None, Scripted(TryLater("web", "is busy"))):
        client = DaemonClient(socket_path(tmp_path))
        with pytest.raises(TryLater, match="is busy"):
            client.run(AskRun("web"), lambda _: None)
        with pytest.raises(TryLater, match="is busy"):
            client.cancel("web")


def test_nonsense_and_silence_leave_the_daemon_answering(tmp_path: Path) -> None:
    path = socket_path(tmp_path)
    with ControlServer(path, None, Scripted(Done("yes"))):
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(str(path))
        for nonsense in (b"\n", b"GET / HTTP/1.1\r\n\r\n", b"\xff\xfe\n"):
            with socket.socket(socket.AF_UNIX) as rude:
                rude.connect(str(path))
                rude.sendall(nonsense)
                assert isinstance(message_of(rude.makefile("rb").readline()), Refused)
        assert DaemonClient(path).cancel("web") == "yes"
        silent.close()


def test_a_daemon_that_cannot_take_a_connection_takes_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OSError(24, "Too many open files")])
    accept = socket.socket.accept

    def fails_first(listening: socket.socket) -> tuple[socket.socket, Any]:
        for failure in failures:
            raise failure
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", fails_first)
    with ControlServer(socket_path(tmp_path), None, Scripted(Done("yes"))):
        assert DaemonClient(socket_path(tmp_path)).cancel("web") == "yes"


def test_nothing_is_kept_for_whoever_follows_a_run_no_more() -> None:
    following = _Following()
    following._progress("vda", 1, 9)
    following.is_over = True
    following._progress("vdb", 1, 9)
    following._phase("transfer", 1.0)
    assert following.answers.qsize() == 1


def test_a_path_that_no_socket_can_have_is_said_to_be_wrong(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    with pytest.raises(FixProfile, match="107 bytes"):
        ControlServer(socket_path(deep), None, Scripted())


def test_a_state_directory_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    with (
        pytest.raises(GrantAccess, match=r"daemon\.lock"),
        only_one(tmp_path / "none", Instance(1, tmp_path, NOW)),
    ):
        pytest.fail("nothing can be locked there")


def test_a_socket_that_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = socket_path(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert find_daemon(tmp_path, tmp_path) is None
    with ControlServer(path, None, Scripted(Done("yes"))):
        assert DaemonClient(path).cancel("web") == "yes"


def test_a_daemon_of_another_configuration_is_not_asked(tmp_path: Path) -> None:
    with ControlServer(socket_path(tmp_path), None, Scripted(LIVE)):
        assert find_daemon(tmp_path, tmp_path) is None
        assert find_daemon(tmp_path, Path("/etc/standby")) is not None
    assert find_daemon(tmp_path / "nowhere", tmp_path) is None


# ---- one daemon --------------------------------------------------------------------------


def test_the_second_daemon_is_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = Instance(123, Path("/a"), NOW), Instance(456, Path("/b"), NOW)
    with only_one(tmp_path, first):
        with pytest.raises(TryLater, match=r"process 123 .*/a"), only_one(tmp_path, second):
            pytest.fail("two of them")
        with pytest.raises(TryLater, match="process 123"), only_one(tmp_path, second):
            pytest.fail("the refused one wrote its name there")
    with only_one(tmp_path, second):
        pass


# ---- memory ------------------------------------------------------------------------------


def test_what_is_remembered_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "followed.json"
    memory = Memory.read(file)
    memory.see("web", NOW)
    assert not memory.was_once("db")
    memory.do_once("db")
    memory.save()
    again = Memory.read(file)
    assert again.seen("web") == NOW
    assert again.was_once("db")
    again.keep_only(["db"])
    assert again.seen("web") is None


@pytest.mark.parametrize(
    "damaged", ["", "{", "[]", '{"seen": {"web": "yesterday"}, "once": []}', '{"seen": 1}']
)
def test_a_damaged_memory_is_none(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "followed.json").write_text(damaged)
    assert Memory.read(tmp_path / "followed.json").seen("web") is None


def test_a_memory_that_cannot_be_written_is_a_problem_and_no_error(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    memory = Memory.read(directory / "followed.json")
    memory.see("web", NOW)
    memory.save_now_and_then(10.0)
    assert "cannot be written" in memory.problem
    directory.mkdir()
    memory.save_now_and_then(12.0)  # too early to try again
    assert memory.problem
    memory.save_now_and_then(15.0)
    assert not memory.problem
    assert Memory.read(directory / "followed.json").seen("web") == NOW


# ---- the service manager -----------------------------------------------------------------


def test_the_service_manager_hears_that_we_are_up_alive_and_ending(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        variables = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}
        notifier = Notifier.of(variables, 7)
        notifier.ready("3 profiles")
        assert manager.recv(999) == b"READY=1\nSTATUS=3 profiles"
        for steady in (100.0, 100.5, 101.0):
            notifier.alive(steady)
        assert [manager.recv(999), manager.recv(999)] == [b"WATCHDOG=1"] * 2
        notifier.reloading()
        assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        notifier.stopping(60)
        assert manager.recv(999) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=105000000"
    notifier.ready("nobody listens any more")
    assert Notifier.of({"WATCHDOG_USEC": "3", "WATCHDOG_PID": "8"}, 7).watchdog_s is None
    Notifier.of({}, 7).ready("nobody asked")


def test_time_left_is_that_of_the_rate_seen() -> None:
    assert LiveStep("vda", 50, 100, 10.0).left == timedelta(seconds=5)
    assert LiveStep("vda", 50, 100).left is None

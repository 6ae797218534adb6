"""What is started on a host gives way as the profile says, at either end of the connection."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from standby.errors import InstallPrograms
from standby.host.address import HostAddress
from standby.host.connections import Connections
from standby.host.gentle import gentle
from standby.host.interface import Host
from standby.host.leash import leashed
from standby.host.storage_daemon import DaemonSettings, Export, storage_daemon
from standby.model.priority import NO_PRIORITY, InputOutputClass, Priority
from tests.integration.host_sshd import Sshd, descendants, running_sshd, until

GENTLE = Priority(7, InputOutputClass.IDLE)
NULL = {"driver": "null-co", "node-name": "null", "size": 1 << 20}
SERVED = (Export("null", "null", writable=True),)

pytestmark = pytest.mark.skipif(shutil.which("ionice") is None, reason="needs util-linux")


def manners(pid: int) -> tuple[int, str]:
    """Return niceness and input/output class of a process that runs."""
    told = subprocess.run(("ionice", "-p", str(pid)), check=True, capture_output=True, text=True)
    return os.getpriority(os.PRIO_PROCESS, pid), told.stdout.split(":")[0].strip()


def all_give_way(pids: Iterable[int]) -> bool:
    """Tell whether they do, once those that are just starting have come so far."""
    return until(lambda: {manners(pid) for pid in pids} == {WANTED})


MINE = manners(os.getpid())
WANTED = (MINE[0] + 7, "idle")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def connections() -> Iterator[Connections]:
    with Connections() as made:
        yield made


@pytest.fixture(params=["local", "ssh"])
def address(request: pytest.FixtureRequest, sshd: Sshd) -> HostAddress:
    local = HostAddress("local", None, priority=GENTLE)
    return local if request.param == "local" else sshd.but(priority=GENTLE)


@pytest.fixture
def host(address: HostAddress, connections: Connections) -> Host:
    return connections.host(address)


def below(sshd: Sshd) -> list[int]:
    """All processes that we and the sshd have made, but for those of the sshd itself."""
    return [pid for top in (os.getpid(), sshd.process.pid) for pid in descendants(top)]


def commands_below(sshd: Sshd, pattern: str, among: Iterable[int] = ()) -> dict[int, str]:
    """Return those whose command line fits a pattern, once certain processes are `among` them.

    A process that is just becoming another program has no command line for a moment.
    """
    wanted = set(among)
    assert until(lambda: wanted <= set(_commands_below(sshd, pattern)))
    return _commands_below(sshd, pattern)


def _commands_below(sshd: Sshd, pattern: str) -> dict[int, str]:
    found = {}
    for pid in below(sshd):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if re.search(pattern, words):
            found[pid] = words
    return found


def test_a_storage_daemon_and_the_shell_that_holds_it_give_way(
    host: Host, sshd: Sshd, tmp_path: Path
) -> None:
    pidfile = tmp_path / "daemon.pid"
    with storage_daemon(host, DaemonSettings(str(pidfile), (NULL,), SERVED)):
        daemon = int(pidfile.read_text())
        assert manners(daemon) == WANTED
        ours = commands_below(sshd, re.escape(str(pidfile)), among=[daemon])
        assert len(ours) >= 2  # the shell that holds it among them
        assert all_give_way(ours)


def test_what_a_command_starts_gives_way_and_so_does_what_limits_it(host: Host, sshd: Sshd) -> None:
    program = ("sh", "-c", "echo $$; (sleep 1007 & echo $!; wait)")
    with closing(host.hold(leashed(program, 0), ready=b"", timeout=20)) as held:
        numbers = [int(held.read_line(20) or b"") for _ in range(2)]
        ours = commands_below(sshd, "sleep 1007", among=numbers)
        assert all_give_way(ours)


def test_what_is_run_to_its_end_gives_way(host: Host, tmp_path: Path) -> None:
    """qemu-img for one: it works within the time that it takes to look."""
    image = tmp_path / "image.qcow2"
    watching = ("sh", "-c", 'nice; ionice -p $$; exec qemu-img create -f qcow2 "$1" 1M', "w", image)
    told = host.run(tuple(map(str, watching)), timeout=20).text.splitlines()
    assert told[:2] == [str(WANTED[0]), "idle"]
    assert image.exists()


def test_ssh_itself_gives_way(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    host = connections.host(sshd.but(priority=GENTLE))
    with host.forward(str(tmp_path / "any.sock")):
        masters = commands_below(sshd, f"ControlMaster=yes.*{sshd.port}")
        assert masters
        assert all_give_way(masters)


def test_a_proxy_command_gives_way(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    proxy = tmp_path / "proxy"
    proxy.write_text(
        "#!/usr/bin/python3\n"
        "import os, select, socket, subprocess\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(f'{{os.nice(0)}}')\n"
        f"link = socket.create_connection(('127.0.0.1', {sshd.port}))\n"
        "while True:\n"
        "    for ready in select.select([0, link], [], [])[0]:\n"
        "        data = os.read(0, 65536) if ready == 0 else link.recv(65536)\n"
        "        if not data: raise SystemExit\n"
        "        link.sendall(data) if ready == 0 else os.write(1, data)\n"
    )
    proxy.chmod(0o755)
    config = tmp_path / "ssh_config"
    config.write_text(f"ProxyCommand {proxy}\n")
    host = connections.host(sshd.but(priority=GENTLE, ssh_config=str(config)))
    assert host.run(("true",), timeout=20).status == 0
    assert (tmp_path / "seen").read_text() == str(WANTED[0])


def test_without_a_priority_everything_runs_as_the_manager_does(
    sshd: Sshd, connections: Connections
) -> None:
    look = ("sh", "-c", "nice; ionice -p $$")
    for address in (HostAddress("local", None), sshd.address):
        told = connections.host(address).run(look, timeout=20).text.splitlines()
        assert (int(told[0]), told[1].split(":")[0]) == MINE


def test_profiles_of_different_priority_do_not_lend_each_other_theirs(
    sshd: Sshd, connections: Connections
) -> None:
    look = ("sh", "-c", "nice")
    told = [
        connections.host(sshd.but(priority=Priority(nice))).run(look, timeout=20).text.strip()
        for nice in (3, 0, 9)
    ]
    assert told == [str(MINE[0] + nice) for nice in (3, 0, 9)]


def test_the_lowest_of_the_usual_class_is_taken(connections: Connections) -> None:
    usual = Priority(0, InputOutputClass.BEST_EFFORT)
    host = connections.host(HostAddress("local", None, priority=usual))
    told = host.run(("sh", "-c", "nice; ionice -p $$"), timeout=20).text.splitlines()
    assert told == [str(MINE[0]), "best-effort: prio 7"]


def test_a_host_without_ionice_still_works(tmp_path: Path) -> None:
    for name in ("sh", "nice", "echo"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    words = gentle(("nice",), GENTLE)
    done = subprocess.run(
        words, check=True, capture_output=True, text=True, env={"PATH": str(tmp_path)}
    )
    assert done.stdout.strip() == str(WANTED[0])


def test_a_missing_program_is_still_named(host: Host) -> None:
    with pytest.raises(InstallPrograms, match="no-such-program"):
        host.run(("no-such-program",), timeout=20)


def test_a_command_without_priority_is_as_it_was() -> None:
    assert gentle(("true", "x y"), NO_PRIORITY) == ("true", "x y")
    assert gentle(("true", "x y"), replace(GENTLE))[-2:] == ("true", "x y")

"""Command line of the lab: `python -m lab VERB …`."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from lab import guest, hosts, lifetime
from lab.errors import LabError
from lab.inside.services import COMMANDS
from lab.lab import Lab
from lab.layout import CHECKOUT, DEFAULT_NAME, HOSTS


class Verbs(Protocol):
    """What argparse's subparsers can do: their own class has no public name."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:  # noqa: ANN401
        """Add one verb."""


_KEPT_VARIABLES = ("STANDBY_LAB_ROOT", "XDG_CACHE_HOME", "HOME")


def main(argv: list[str]) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(argv)
    if os.geteuid() != 0:
        return _run_as_root(argv)
    try:
        verb: Callable[[Lab, argparse.Namespace], int] = options.verb
        return verb(Lab(options.name), options)
    except (LabError, subprocess.CalledProcessError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("--name", default=DEFAULT_NAME, help="which lab (default: %(default)s)")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    up = _verb(verbs, "up", _up, "build the lab, anew if there is one")
    up.add_argument("--with-parent", type=int, metavar="PID", help="end when this process ends")
    up.add_argument("--storage-gib", type=float, default=lifetime.DEFAULT_STORAGE_BYTES / (1 << 30))
    _verb(verbs, "down", _down, "remove the lab and all it holds")
    _verb(verbs, "status", _status, "say what runs")
    run = _host_verb(verbs, "exec", _exec, "run a command on a host")
    run.add_argument("--user", default="root")
    run.add_argument("command", nargs=argparse.REMAINDER)
    _host_verb(verbs, "shell", _shell, "open a shell on a host").add_argument(
        "--user", default="root"
    )
    _add_faults(verbs)
    _add_guests(verbs)
    return parser


def _add_faults(verbs: Verbs) -> None:
    _host_verb(verbs, "cut", _cut, "cut a host's link")
    _host_verb(verbs, "restore", _restore, "restore a host's link")
    throttle = _host_verb(verbs, "throttle", _throttle, "limit a host's link in both directions")
    throttle.add_argument("rate", help="as in tc(8), such as 20mbit; off lifts the limit")
    fill = _host_verb(verbs, "fill", _fill, "use up a host's storage")
    fill.add_argument("--leave", type=int, default=0, metavar="BYTES")
    _host_verb(verbs, "unfill", _unfill, "give back what fill took")
    for service in COMMANDS:
        text = f"kill {service} on a host"
        kill = _host_verb(verbs, f"kill-{service}", _kill_service, text)
        again = _host_verb(verbs, f"restart-{service}", _restart_service, f"{text}, start it anew")
        for parser in (kill, again):
            parser.set_defaults(service=service)
    _host_verb(verbs, "crash", _crash, "end everything that runs on a host, at once")
    _host_verb(verbs, "start", _start, "start a crashed host")
    damage = _host_verb(verbs, "damage", _damage, "invert bytes of a file on a host")
    damage.add_argument("file", type=Path)
    damage.add_argument("--offset", type=int, default=0)
    damage.add_argument("--length", type=int, default=1)


def _add_guests(verbs: Verbs) -> None:
    guest_parser = _verb(verbs, "guest", _guest_build, "build and define the lab's real guest")
    actions = guest_parser.add_subparsers(required=True, metavar="ACTION")
    _verb(actions, "build", _guest_build, "build the guest's disk unless it is cached")
    define = _verb(actions, "define", _guest_define, "define a guest and start it")
    define.add_argument("guest", metavar="GUEST")
    define.add_argument("--host", default="source", choices=["source", "kvm"])
    define.add_argument("--machine", default="q35", help="machine type (default: %(default)s)")


def _verb(
    verbs: Verbs,
    name: str,
    function: Callable[[Lab, argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(verb=function)
    return parser


def _host_verb(
    verbs: Verbs,
    name: str,
    function: Callable[[Lab, argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = _verb(verbs, name, function, text)
    parser.add_argument("host", choices=[host.value for host in HOSTS])
    return parser


def _run_as_root(argv: list[str]) -> int:
    kept = [f"{name}={os.environ[name]}" for name in _KEPT_VARIABLES if name in os.environ]
    command = ["sudo", "env", *kept, sys.executable, "-m", "lab", *argv]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode


def _up(lab: Lab, options: argparse.Namespace) -> int:
    lab.up(storage_bytes=int(options.storage_gib * (1 << 30)), with_parent=options.with_parent)
    print(f"lab {lab.name} is up: python -m lab --name {lab.name} shell manager")
    return 0


def _down(lab: Lab, _options: argparse.Namespace) -> int:
    lab.down()
    return 0


def _status(lab: Lab, _options: argparse.Namespace) -> int:
    state = hosts.running(lab.layout)
    for host, alive in state.items():
        print(f"{host.value:8} {'up' if alive else 'down'}")
    return 0 if all(state.values()) else 1


def _exec(lab: Lab, options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise LabError("exec: which command? exec HOST -- COMMAND ARGUMENT…")
    return _attached(lab, options, command)


def _shell(lab: Lab, options: argparse.Namespace) -> int:
    return _attached(lab, options, ["bash", "-l"] if sys.stdin.isatty() else ["bash"])


def _attached(lab: Lab, options: argparse.Namespace, command: list[str]) -> int:
    variables = {"TERM": os.environ.get("TERM", "dumb")}
    entrance = lab.entrance(options.host, user=options.user, env=variables)
    cwd = Path(CHECKOUT) if options.host == "manager" else None
    before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command alone
    try:
        return subprocess.run(entrance.argv(command, cwd), check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _cut(lab: Lab, options: argparse.Namespace) -> int:
    lab.cut(options.host)
    return 0


def _restore(lab: Lab, options: argparse.Namespace) -> int:
    lab.restore(options.host)
    return 0


def _throttle(lab: Lab, options: argparse.Namespace) -> int:
    lab.throttle(options.host, None if options.rate == "off" else options.rate)
    return 0


def _fill(lab: Lab, options: argparse.Namespace) -> int:
    lab.fill(options.host, leave=options.leave)
    return 0


def _unfill(lab: Lab, options: argparse.Namespace) -> int:
    lab.unfill(options.host)
    return 0


def _kill_service(lab: Lab, options: argparse.Namespace) -> int:
    lab.kill_service(options.host, options.service)
    return 0


def _restart_service(lab: Lab, options: argparse.Namespace) -> int:
    lab.restart_service(options.host, options.service)
    return 0


def _crash(lab: Lab, options: argparse.Namespace) -> int:
    lab.crash(options.host)
    return 0


def _start(lab: Lab, options: argparse.Namespace) -> int:
    lab.start(options.host)
    return 0


def _damage(lab: Lab, options: argparse.Namespace) -> int:
    lab.damage(options.host, options.file, offset=options.offset, length=options.length)
    return 0


def _guest_build(_lab: Lab, _options: argparse.Namespace) -> int:
    print(guest.build())
    return 0


def _guest_define(lab: Lab, options: argparse.Namespace) -> int:
    made = lab.define_guest(options.guest, host=options.host, machine=options.machine)
    made.start()
    print(f"{made.name} answers after {made.wait_for_agent():.1f} s, at {made.address()}")
    return 0

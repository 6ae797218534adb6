"""Command line of the lab: `python -m lab VERB …`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lab import hosts, lifetime
from lab.errors import LabError
from lab.lab import Lab
from lab.layout import CHECKOUT, DEFAULT_NAME, HOSTS

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
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    function: Callable[[Lab, argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(verb=function)
    return parser


def _host_verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
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
    return subprocess.run(entrance.argv(command, cwd), check=False).returncode

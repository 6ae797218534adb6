"""`python -m lab.demo`: the whole story in a lab of two hosts, checked as it is told.

The exit status is 0 if everything was as claimed, 1 if not, 130 or 143 when interrupted.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
from types import FrameType
from typing import NoReturn

from lab.demo_screen import Screen
from lab.demo_site import commands_to_play_with
from lab.demo_story import Story
from lab.errors import LabError
from lab.lab import Lab
from lab.layout import DEFAULT_NAME

_SIGNALLED = 128
"""Shells report a command that a signal ended with this and the signal's number."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Interrupted(BaseException):
    """Somebody wants the demo to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = _SIGNALLED + number


def main(argv: list[str]) -> int:
    """Tell the story; return the exit status."""
    options = _parser().parse_args(argv)
    if os.geteuid() != 0:
        print("demo: only root can make the hosts; make demo asks sudo", file=sys.stderr)
        return 2
    for number in _ENDING:
        signal.signal(number, _interrupt)
    try:
        lab = Lab(options.name)
        with _reserved(lab.name):
            return _demonstrate(lab, keep=options.keep)
    except _Interrupted as interruption:
        print("\ndemo: interrupted, the lab is removed", file=sys.stderr)
        return interruption.status
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description=__doc__)
    parser.add_argument("--name", default=DEFAULT_NAME, help="of the lab (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the lab up to play with")
    return parser


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise _Interrupted(number)


def _reserved(name: str) -> socket.socket:
    """Hold a name that the kernel frees when this process ends; raises LabError when taken.

    A second demo would begin by clearing the lab of the first.
    """
    reserved = socket.socket(socket.AF_UNIX)
    try:
        reserved.bind(f"\0standby-demo-{name}")
    except OSError as error:
        reserved.close()
        raise LabError(f"a demo in the lab {name} runs already; another: NAME=...") from error
    return reserved


def _demonstrate(lab: Lab, *, keep: bool) -> int:
    screen = Screen()
    stays = False
    try:
        held = _told(lab, screen, keep=keep)
        stays = keep
    finally:
        if not stays:
            _remove(lab)
    if keep:
        screen.say("\nThe lab is up. Commands to play with, ready to paste:")
        for line in commands_to_play_with(lab.name):
            screen.output(line)
    return 0 if held else 1


def _told(lab: Lab, screen: Screen, *, keep: bool) -> bool:
    """Tell the story; return whether every claim held."""
    story = Story(lab, screen)
    try:
        # A lab that shall not stay is tied to this process: it ends even if this is killed.
        story.tell(None if keep else os.getpid())
        story.summarise()
    except (LabError, subprocess.CalledProcessError) as error:
        screen.check("the story could be told to its end", holds=False, found=str(error))
    failed = screen.failed()
    for check in failed:
        screen.say(f"NOT SO: {check.claim}\n  found: {check.found}")
    screen.say(f"{len(screen.checks) - len(failed)} of {len(screen.checks)} checks hold.")
    return not failed


def _remove(lab: Lab) -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half a lab
    lab.down()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""An exported boot point as files in a directory of the manager, where the tools for it exist.

guestmount shows the guest's own files; nbdfuse shows the disk as one raw file, which loop
mounts and partition tools read.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from standby.app.export import ExportedDisk
from standby.app.session import Session
from standby.errors import Cancelled, CommandFailed, FixRequest, InstallPrograms
from standby.host import leash
from standby.host.interface import Held, Host

log = logging.getLogger(__name__)

# Seconds. guestmount starts a small VM of its own: 20 s and more without hardware virtualisation.
_APPEARS_S: Final = 300.0
_SILENCE_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.1
_UNMOUNT_S: Final = 30.0
_START_S: Final = 10.0


# Arguments: a directory. Its program may be dead and somebody may look at it right now; an
# ordinary user unmounts by fusermount, which is missing where only root mounts.
_UNMOUNT: Final = """
for tool in "fusermount3 -u" "fusermount -u" "umount" "umount -l"; do
  $tool "$1" 2>/dev/null && break
done
exit 0
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that shows NBD exports in a directory. `shows` is for people."""

    shows: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mounted:
    """What appeared where."""

    directory: Path
    tool: Tool
    _held: Held

    @property
    def alive(self) -> bool:
        """Whether it is still mounted: somebody may have unmounted it."""
        return self._held.alive


@contextmanager
def mounted(session: Session, disks: Sequence[ExportedDisk], directory: Path) -> Generator[Mounted]:
    """Show exported disks in `directory`, made if need be, until the context is left.

    Raises FixRequest when the directory is not empty, InstallPrograms when no tool is there,
    CommandFailed with the last words of the tool that failed last.
    """
    tools = _tools(disks, directory)
    manager = session.host(session.configuration.host("local"))
    with _empty_directory(directory), ExitStack() as stack:
        yield _first_that_works(stack, manager, tools, directory, session.cancel)


def _tools(disks: Sequence[ExportedDisk], directory: Path) -> tuple[Tool, ...]:
    """Return the tools that are here, the best first."""
    known = (_guestmount(disks, directory), *(_nbdfuse(disk, directory) for disk in disks))
    found = tuple(tool for tool in known if shutil.which(tool.argv[0]))
    if not found:
        raise InstallPrograms(
            "this machine",
            "no program that mounts an NBD export",
            "guestmount, for the guest's own files, or nbdfuse, for the disk as one file",
            "apt-get install guestmount, or libnbd-bin; the export itself works without DIR",
        )
    if len(disks) > 1 and found[0] is not known[0]:
        raise FixRequest(
            "mount",
            f"{len(disks)} disks, and nbdfuse shows only one",
            "one disk",
            f"name it: --disk {disks[0].disk}; or apt-get install guestmount",
        )
    return found if len(disks) == 1 else found[:1]


def _guestmount(disks: Sequence[ExportedDisk], directory: Path) -> Tool:
    # libguestfs knows the older form of NBD addresses only.
    uris = (disk.uri.replace("nbd+unix://", "nbd://", 1) for disk in disks)
    images = (word for uri in uris for word in ("--format=raw", "-a", uri))
    argv = ("guestmount", "--no-fork", "--ro", *images, "-i", str(directory))
    return Tool("the guest's own files", argv)


def _nbdfuse(disk: ExportedDisk, directory: Path) -> Tool:
    file = directory / f"{disk.disk}.raw"
    return Tool(f"the disk as one file, {file}", ("nbdfuse", "-r", str(file), disk.uri))


def _first_that_works(
    stack: ExitStack, manager: Host, tools: Sequence[Tool], directory: Path, cancel: Event
) -> Mounted:
    last = tools[-1]
    for tool in tools:
        held = manager.hold(leash.leashed(tool.argv, _SILENCE_S), ready=b"", timeout=_START_S)
        stack.callback(_unmount, manager, held, directory)
        try:
            _await_mount(tool, held, directory, cancel)
        except CommandFailed as error:
            if tool is last:
                raise
            log.warning("%s; the next tool is tried", error)
        else:
            return Mounted(directory, tool, held)
    raise AssertionError("the last tool either works or raises")


def _await_mount(tool: Tool, held: Held, directory: Path, cancel: Event) -> None:
    deadline = time.monotonic() + _APPEARS_S
    while not os.path.ismount(directory):
        if cancel.wait(_LOOK_EVERY_S):
            raise Cancelled(f"mount at {directory}", "stopped before it was there")
        if not held.alive or time.monotonic() > deadline:
            words = held.last_words or "no message"
            raise CommandFailed(
                tool.argv[0],
                f"nothing appeared in {directory}: {words}",
                "a mount",
                "the export itself works without DIR",
                argv=tool.argv,
                stderr=words,
            )


def _unmount(manager: Host, held: Held, directory: Path) -> None:
    """Unmount, so that the program ends by itself, and wait for its end."""
    argv = ("sh", "-c", _UNMOUNT, "standby-unmount", str(directory))
    manager.run(argv, timeout=_UNMOUNT_S)
    held.close()


@contextmanager
def _empty_directory(directory: Path) -> Generator[None]:
    subject, expected = f"directory {directory}", "an empty directory, or none"
    try:
        made = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True)
        taken = os.path.ismount(directory) or any(directory.iterdir())
    except OSError as error:  # a file, one that is not ours to make, a mount whose program died
        raise FixRequest(subject, f"cannot be used: {error.strerror}", expected) from error
    if taken:
        raise FixRequest(subject, "not empty", expected)
    try:
        yield
    finally:
        if made:
            with suppress(OSError):  # somebody is in it still
                directory.rmdir()

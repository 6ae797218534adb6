"""Programs that change a standby's directory, run only while nobody has taken over."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from standby.errors import CommandFailed, FreeSpace, Overtaken, StandbyError
from standby.host.interface import Held, Host
from standby.target import programs
from standby.target.layout import StandbyDirectory

# Deleting what a seed wrote can take minutes on slow storage; nothing is wrong until then.
_DROP_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Writer:
    """The holder of the lock at work on the KVM host. `generation` is the one it raised."""

    host: Host
    directory: StandbyDirectory
    generation: int

    def run(self, program: str, name: str, *words: str, timeout: float) -> str:
        """Run one of the fenced programs; return what it printed. Raises Overtaken, FreeSpace."""
        argv = ("sh", "-c", program, name, self.directory.path, str(self.generation), *words)
        try:
            return self.host.run(argv, timeout=timeout).text
        except CommandFailed as error:
            raise self._why(error) from error

    @contextmanager
    def held(
        self, program: str, name: str, *words: str, ready: bytes, timeout: float
    ) -> Generator[Held]:
        """Run one of the fenced programs that live until the context is left; as `run`."""
        argv = ("bash", "-c", program, name, self.directory.path, str(self.generation), *words)
        try:
            held = self.host.hold(argv, ready=ready, timeout=timeout)
        except CommandFailed as error:
            raise self._why(error) from error
        try:
            yield held
        finally:
            held.close()

    def drop(self, paths: Sequence[str]) -> None:
        """Delete relative paths for good. Raises Overtaken."""
        if paths:
            self.run(programs.DROP, "standby-drop", *paths, timeout=_DROP_S)

    def _why(self, error: CommandFailed) -> StandbyError:
        if error.status == programs.STATUS_OVERTAKEN:
            return overtaken(self.host, self.directory)
        where = f"standby directory {self.directory.path} on {self.host.name}"
        return no_space(error, where) or error


def no_space(error: CommandFailed, subject: str) -> FreeSpace | None:
    """Return the error of a program that the storage had no room for; None for any other."""
    if "No space left on device" not in error.stderr:
        return None
    return FreeSpace(
        subject,
        "No space left on device",
        "room for the next write",
        "nothing is lost; free some there, then run again",
    )


def overtaken(host: Host, directory: StandbyDirectory) -> Overtaken:
    """Return the error of a manager that was overtaken without noticing."""
    return Overtaken(
        f"standby directory {directory.path} on {host.name}",
        "another manager took over while we worked",
        "our own generation in the manifest",
        "nothing was published; run again",
    )

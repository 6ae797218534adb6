"""An editor at this terminal: the one program of ours that people talk to."""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from standby.errors import FixRequest, InstallPrograms

_VARIABLES: Final = ("VISUAL", "EDITOR")
_USUAL: Final = "vi"  # POSIX has it everywhere


def editor_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of the user's editor, as words: `code --wait`. Raises FixRequest."""
    for name in _VARIABLES:
        text = environment.get(name, "").strip()
        if not text:
            continue
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            raise FixRequest(
                f"${name}", f"{text!r}: {error}", "a program and its options"
            ) from error
    return (_USUAL,)


def edit(editor: tuple[str, ...], file: Path) -> None:
    """Let somebody edit `file`; return when the editor has ended.

    Raises InstallPrograms when there is no such editor, FixRequest when it fails.
    """
    command = (*editor, str(file))
    try:
        with _left_to_the_editor():
            status = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise InstallPrograms(
            f"editor {editor[0]}",
            f"cannot be started: {error.strerror}",
            "an editor in $VISUAL or $EDITOR",
        ) from error
    if status != 0:
        raise FixRequest(f"editor {editor[0]}", f"ended with status {status}", "0")


@contextmanager
def _left_to_the_editor() -> Generator[None]:
    # A handler of ours and not SIG_IGN: what is ignored here would be ignored by the editor too.
    before = signal.signal(signal.SIGINT, _nothing)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    return

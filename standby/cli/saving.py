"""Writing what a command would print to a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from standby.errors import FixRequest


def save(file: Path, lines: Iterable[str]) -> None:
    """Write lines to a file, over what was there. Raises FixRequest when that cannot be."""
    try:
        with file.open("w", encoding="utf-8") as opened:
            opened.writelines(lines)
    except OSError as error:
        raise FixRequest(f"file {file}", str(error), "a file that can be written") from error

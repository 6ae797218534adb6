"""Mistakes in configuration files: all of them at once, each with its file and line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from standby.errors import FixProfile

PathInFile = tuple[str, ...]
Plain = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None  # as JSON has it


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; lines count from 1."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong at one place, and what would be right there."""

    mark: Mark
    path: str  # the dotted key, empty for the file as a whole
    wrong: str
    allowed: str = ""

    def __str__(self) -> str:
        where = f"{self.mark}: {self.path}: " if self.path else f"{self.mark}: "
        return where + self.wrong + (f", allowed: {self.allowed}" if self.allowed else "")


@dataclass(eq=False)
class ProfileMistakes(FixProfile):
    """Everything that is wrong with a profile and the files it refers to."""

    mistakes: tuple[Mistake, ...] = ()

    @classmethod
    def of(cls, subject: str, mistakes: list[Mistake]) -> Self:
        """Wrap `mistakes`, sorted by file and line, each once."""
        unique = sorted(set(mistakes), key=_place)
        found = "1 mistake" if len(unique) == 1 else f"{len(unique)} mistakes"
        return cls(subject, found, mistakes=tuple(unique))

    def __str__(self) -> str:
        """Render one line per mistake."""
        return "\n".join(str(mistake) for mistake in self.mistakes)


def dotted(path: PathInFile) -> str:
    """Render a path as people write it: source.disks.exclude."""
    return ".".join(path)


def _place(mistake: Mistake) -> tuple[str, int, str, str]:
    return str(mistake.mark.file), mistake.mark.line, mistake.path, mistake.wrong

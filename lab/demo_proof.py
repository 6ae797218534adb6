"""Comparing the files of a guest with those that were recorded when they were written."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How a file of the standby compares with the record."""

    SAME = "same"
    DIFFERENT = "DIFFERENT"
    MISSING = "MISSING"
    NOT_OF_THIS_POINT = "NOT OF THIS POINT"


@dataclass(frozen=True, slots=True)
class ComparedFile:
    """One file: its SHA-256 as recorded and as found, "" where there is none."""

    name: str
    recorded: str
    found: str

    @property
    def verdict(self) -> Verdict:
        """Say how they compare."""
        if self.recorded == self.found:
            return Verdict.SAME
        if not self.found:
            return Verdict.MISSING
        return Verdict.DIFFERENT if self.recorded else Verdict.NOT_OF_THIS_POINT


def compare(recorded: Mapping[str, str], found: Mapping[str, str]) -> list[ComparedFile]:
    """Compare SHA-256 by file name: every file of either side, by name."""
    names = sorted({*recorded, *found})
    return [ComparedFile(name, recorded.get(name, ""), found.get(name, "")) for name in names]


def differences(compared: list[ComparedFile]) -> str:
    """Say which files are not the same, "" when all are."""
    wrong = [file for file in compared if file.verdict is not Verdict.SAME]
    return ", ".join(f"{file.name}: {file.verdict.value}" for file in wrong)

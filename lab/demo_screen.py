"""What the demo shows: chapters, commands as one would type them, checks, tables.

Coloured and with a spinner on a terminal; plain lines in a pipe.
"""

import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 160
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Check:
    """Something that had to be so: whether it was, and what was found if not."""

    claim: str
    holds: bool
    found: str = ""


@dataclass(frozen=True, slots=True)
class ChapterTime:
    """How long a chapter took, in seconds."""

    title: str
    seconds: float


class Screen:
    """Where the demo tells its story. Keeps the checks and the times for the summary."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = _PIPED_WIDTH
        self.checks: list[Check] = []
        self.chapters: list[ChapterTime] = []
        self._begun = time.monotonic()

    @property
    def is_terminal(self) -> bool:
        """Whether somebody watches."""
        return self._console.is_terminal

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._begun

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """Head a part of the story and take its time."""
        begun = time.monotonic()
        number = len(self.chapters) + 1
        self._print(Text())
        if self.is_terminal:
            self._print(Rule(Text(f"{number}. {title}", "bold cyan"), align="left"))
        else:
            self._print(Text(f"== {number}. {title}"))
        yield
        self.chapters.append(ChapterTime(title, time.monotonic() - begun))

    def say(self, text: str) -> None:
        """Tell what is going on."""
        self._print(Text(text))

    def command(self, prompt: str, words: Sequence[str]) -> None:
        """Show a command as somebody would type it behind a prompt."""
        self.typed(prompt, shlex.join(words))

    def typed(self, prompt: str, line: str) -> None:
        """Show a line that somebody would type behind a prompt."""
        self._print(Text.assemble((prompt, "bold green"), " ", (line, "bold")))

    def output(self, text: str) -> None:
        """Show what a command said or a file holds."""
        for line in text.rstrip().splitlines():
            self._print(Text(f"  {line}", "dim"))

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something takes its time."""
        if not self.is_terminal:
            self.say(f"... {what}")
            yield
            return
        with self._console.status(Text(what, "dim")):
            yield

    def check(self, claim: str, *, holds: bool, found: str = "") -> None:
        """Say whether something that must be so is so; `found` is shown when it is not."""
        self.checks.append(Check(claim, holds, found))
        mark, style = ("✓", "green") if holds else ("✗", "bold red")
        text = Text.assemble((f"{mark} {claim}", style))
        if not holds and found:
            text.append(f"\n  found: {found}", "red")
        self._print(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Show rows of cells; cells that look like numbers stand on the right."""
        table = Table(box=box.SIMPLE_HEAD if self.is_terminal else None, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right" if column.startswith(">") else "left")
            table.columns[-1].header = Text(column.removeprefix(">"))
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._print(table)

    def failed(self) -> list[Check]:
        """Return the checks that did not hold."""
        return [check for check in self.checks if not check.holds]

    def _print(self, what: Text | Rule | Table) -> None:
        self._console.print(what, soft_wrap=isinstance(what, Text))
        self._console.file.flush()  # what commands print follows, on the same terminal or pipe


def readable(amount: int) -> str:
    """Write bytes for people: 912 B, 3.4 MiB."""
    value, unit = float(amount), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < _KIB:
            break
        value, unit = value / _KIB, larger
    return f"{amount} B" if unit == "B" else f"{value:.1f} {unit}"

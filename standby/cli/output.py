"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from standby.planning.durations import readable_duration
from standby.profile.mistakes import Plain
from standby.profile.zone import local_zone

PIPED_WIDTH = 200  # columns; what reads a pipe wants whole lines
_NEVER_BROKEN = 24  # characters
_BROKEN = 16  # characters that a column keeps whose cells may be broken
_BETWEEN = 3  # characters between columns
NOTHING = "-"
_SECOND = timedelta(seconds=1)


def print_json(value: Plain) -> None:
    """Print JSON as it is, whatever the terminal."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of cells under a title; columns that are empty in all of them are left out.

    The first column names what the row is about, so it is never broken; nor is what is short, such
    as a boot point's name, since nobody finds half of it. Where a terminal is too narrow for that,
    it breaks the lines, and nothing is cut off.
    """
    cells = [tuple(row) for row in rows]
    out = console(least=_least_width(columns, cells))
    if title:
        out.print(Text(title, style="bold"))
    out.print(table_of("", columns, cells))


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return such a table."""
    cells = [tuple(row) for row in rows]
    shown = _shown(columns, cells)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, title=title or None)
    table.title_justify = "left"
    for n in shown:
        width = _widest(columns, cells, n)
        whole = n == 0 or width <= _NEVER_BROKEN
        least = width if whole else _BROKEN
        table.add_column(columns[n], overflow="fold", no_wrap=whole, min_width=least)
    for row in cells:
        table.add_row(*(Text(row[n]) for n in shown))
    return table


def _shown(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    return [n for n in range(len(columns)) if not cells or any(row[n] for row in cells)]


def _widest(columns: Sequence[str], cells: Sequence[Sequence[str]], n: int) -> int:
    return max(cell_len(text) for text in (columns[n], *(row[n] for row in cells)))


def _least_width(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Return the characters that a line needs for nothing to be cut off."""
    shown = _shown(columns, cells)
    widths = [_widest(columns, cells, n) for n in shown]
    needed = (
        w if n == 0 or w <= _NEVER_BROKEN else _BROKEN for n, w in zip(shown, widths, strict=True)
    )
    return sum(needed) + _BETWEEN * len(shown)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print what is known of one thing, a line for each fact; empty ones are left out."""
    for line in facts_as_lines(facts):
        typer.echo(line, nl=False)


def facts_as_lines(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield what is known of one thing, a line for each fact; empty ones are left out."""
    told = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        yield f"{name:<{width}}  {value}\n"


def print_note(text: str) -> None:
    """Print a sentence that is no data: to standard error."""
    typer.echo(text, err=True)


def console(least: int = 0) -> Console:
    """Return where tables are printed: as wide as the terminal, wide in a pipe.

    `least` characters wide in any case.
    """
    out = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    return out if out.width >= least else Console(width=least)


def local(moment: datetime) -> str:
    """Write a moment in local time with its zone, for people."""
    return moment.astimezone(local_zone()).strftime("%Y-%m-%d %H:%M:%S %Z")


def utc(moment: datetime) -> str:
    """Write a moment for programs: UTC, ISO 8601, with a trailing Z."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def readable_age(age: timedelta | None) -> str:
    """Write an age in its two largest units: 3 d 4 h, 12 min, 5 s."""
    if age is None:
        return NOTHING
    return "now" if age < _SECOND else readable_duration(age)

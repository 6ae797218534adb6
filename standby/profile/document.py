"""YAML files as trees that remember the line of every key.

Only what a configuration needs is read: mappings with text keys, lists, text, whole and broken
numbers, true, false and null as YAML 1.2 spells them. In YAML 1.1 an unquoted MAC address of
decimal digits is a number to base 60 and `no` is false; here both are text. Tags are refused,
and aliases too: what is shared stands in a policy, and a few bytes cannot grow into gigabytes.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from standby.profile.mistakes import Mark, Mistake, PathInFile, dotted

MAX_BYTES = 256 * 1024  # a profile with every key set and commented is below 16 KiB
MAX_DEPTH = 32  # keys go four levels deep

Scalar = str | int | float | bool | None

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is ten times faster
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_BROKEN = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value."""

    value: Scalar
    mark: Mark


@dataclass(frozen=True, slots=True)
class Listing:
    """A YAML sequence."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Branch:
    """A YAML mapping; the mark of an entry's node is the line of its key."""

    entries: Mapping[str, Node]
    mark: Mark


Node = Leaf | Listing | Branch


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its tree and what is wrong with its YAML. Unless `readable`, the tree is empty."""

    file: Path
    root: Branch
    mistakes: tuple[Mistake, ...] = ()
    readable: bool = True


class _Refused(Exception):
    def __init__(self, mistake: Mistake) -> None:
        super().__init__(str(mistake))
        self.mistake = mistake


def read_document(file: Path) -> Document:
    """Read `file`; whatever is wrong with it is in the result's mistakes, nothing is raised."""
    empty = Branch({}, Mark(file, 1))
    try:
        text = _read_text(file)
        return _Composer(file).compose(text)
    except _Refused as refused:
        return Document(file, empty, (refused.mistake,), readable=False)


def _read_text(file: Path) -> str:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise _Refused(Mistake(Mark(file, 1), "", "is not a regular file"))
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        wrong = f"cannot be read: {error.strerror}"
        raise _Refused(Mistake(Mark(file, 1), "", wrong)) from error
    if len(content) > MAX_BYTES:
        raise _Refused(Mistake(Mark(file, 1), "", "is too large", f"{MAX_BYTES // 1024} KiB"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Refused(Mistake(Mark(file, line), "", "is not text", "UTF-8")) from error


class _Composer:
    """Builds the tree from libyaml's events, so that limits hold before memory is spent."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._mistakes: list[Mistake] = []

    def compose(self, text: str) -> Document:
        try:
            root = self._document(yaml.parse(text, Loader=_LOADER))
        except yaml.YAMLError as error:
            raise _Refused(self._syntax(error)) from error
        return Document(self._file, root, tuple(self._mistakes))

    def _syntax(self, error: yaml.YAMLError) -> Mistake:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        line = mark.line + 1 if mark is not None else 1
        return Mistake(Mark(self._file, line), "", f"is not YAML: {problem}")

    def _document(self, events: Iterator[Event]) -> Branch:
        start = Mark(self._file, 1)
        next(events)  # start of the stream
        if isinstance(next(events), StreamEndEvent):
            return Branch({}, start)
        node = self._node(next(events), events, ())
        next(events)  # end of the document
        following = next(events)
        if not isinstance(following, StreamEndEvent):
            self._refuse(following, "begins a second document", "one document in a file")
        if isinstance(node, Branch):
            return node
        if isinstance(node, Leaf) and node.value is None:
            return Branch({}, start)
        raise _Refused(Mistake(node.mark, "", "holds no keys", "a mapping of keys to values"))

    def _node(self, event: Event, events: Iterator[Event], path: PathInFile) -> Node:
        if len(path) > MAX_DEPTH:
            self._refuse(event, "is nested too deeply", f"{MAX_DEPTH} levels")
        if isinstance(event, AliasEvent):
            self._refuse(event, "is an alias", "values shared through a policy", path)
        if getattr(event, "tag", None) is not None:
            self._refuse(event, "has a tag", "plain YAML", path)
        if isinstance(event, ScalarEvent):
            return Leaf(_scalar(event), self._mark(event))
        if isinstance(event, SequenceStartEvent):
            return self._listing(event, events, path)
        return self._branch(event, events, path)

    def _listing(self, start: Event, events: Iterator[Event], path: PathInFile) -> Listing:
        items: list[Node] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(self._node(event, events, (*path, str(len(items)))))
        return Listing(tuple(items), self._mark(start))

    def _branch(self, start: Event, events: Iterator[Event], path: PathInFile) -> Branch:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._key(event, path)
            node = self._node(next(events), events, (*path, key))
            if key in entries:
                first = entries[key].mark.line
                wrong = f"stands twice, first in line {first}"
                self._mistakes.append(
                    Mistake(self._mark(event), dotted((*path, key)), wrong, "once")
                )
            else:
                entries[key] = replace(node, mark=self._mark(event))
        return Branch(entries, self._mark(start))

    def _key(self, event: Event, path: PathInFile) -> str:
        if not isinstance(event, ScalarEvent) or event.tag is not None:
            self._refuse(event, "has a key that is not plain text", "text", path)
        return str(event.value)

    def _mark(self, event: Event) -> Mark:
        start = event.start_mark
        return Mark(self._file, 1 if start is None else start.line + 1)

    def _refuse(
        self, event: Event, wrong: str, allowed: str = "", path: PathInFile = ()
    ) -> NoReturn:
        raise _Refused(Mistake(self._mark(event), dotted(path), wrong, allowed))


def _scalar(event: ScalarEvent) -> Scalar:
    text = str(event.value)
    if not event.implicit[0]:  # quoted, or a block of text
        return text
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return _TRUE.fullmatch(text) is not None
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _BROKEN.fullmatch(text) else text

"""Every key of a kind of file, as the reference and the starter profile tell it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Final

import yaml

from standby.profile.file_kind import FileKind
from standby.profile.mistakes import PathInFile, dotted
from standby.profile.schema import (
    JsonSchema,
    alternatives,
    in_words,
    is_section,
    json_schema,
)

ENTRY: Final = "[]"
"""In the path of a key: any entry of a list."""


class Need(Enum):
    """Whether a key has to be there."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    SECTION = "section"  # holds other keys and no value of its own


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `default` (empty: none) and examples are written as in a file, on one line."""

    path: PathInFile
    need: Need
    description: str
    allowed: str
    default: str
    examples: tuple[str, ...]

    @property
    def name(self) -> str:
        """The key itself, without its parents."""
        return self.path[-1]

    @property
    def dotted(self) -> str:
        """The path as people write it: schedule.weekly[].days."""
        return dotted(self.path).replace(f".{ENTRY}", ENTRY)


@cache
def keys_of(kind: FileKind) -> tuple[Key, ...]:
    """Return all keys of files of `kind`, each section before its keys."""
    schema = json_schema(kind)
    return tuple(_keys(schema, schema, ()))


def _keys(schema: JsonSchema, section: JsonSchema, path: PathInFile) -> Iterator[Key]:
    required = section.get("required", ())
    for name, node in section["properties"].items():
        here = (*path, name)
        yield _key(schema, node, here, Need.REQUIRED if name in required else Need.OPTIONAL)
        for below, within in _sections(schema, node):
            yield from _keys(schema, below, (*here, *within))


def _sections(schema: JsonSchema, node: JsonSchema) -> Iterator[tuple[JsonSchema, PathInFile]]:
    """Yield the mappings that a value may be or hold in a list, and the path from it to them."""
    for form in alternatives(schema, node):
        if "properties" in form:
            yield form, ()
        elif "items" in form:
            yield from ((entry, (ENTRY, *to)) for entry, to in _sections(schema, form["items"]))


def _key(schema: JsonSchema, node: JsonSchema, path: PathInFile, need: Need) -> Key:
    return Key(
        path,
        Need.SECTION if is_section(schema, node) else need,
        node["description"],
        in_words(schema, node),
        one_line(node["default"]) if "default" in node else "",
        tuple(one_line(example) for example in node.get("examples", ())),
    )


@cache
def section_paths(kind: FileKind) -> tuple[PathInFile, ...]:
    """Return the paths of all sections of files of `kind`, outer ones first."""
    return tuple(key.path for key in keys_of(kind) if key.need is Need.SECTION)


def one_line(value: object) -> str:
    """Write a value as YAML on one line."""
    if isinstance(value, str) and not value.isprintable():
        return json.dumps(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")

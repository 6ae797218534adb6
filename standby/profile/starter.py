"""A first profile: complete, commented, ready to be edited."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from standby.errors import ChooseOtherName, FixProfile
from standby.model.names import SAFE_NAME_RULE, is_safe_name
from standby.profile.file_kind import FileKind
from standby.profile.keys import Key, Need, keys_of, one_line, section_paths
from standby.profile.mistakes import PathInFile, Plain
from standby.profile.root import SUFFIX, Layout

_WIDTH = 92
_NOTHING = frozenset({"null", "{}"})
_HEADER = """\
# How {name} is protected.
#
# A key behind '#' shows what holds where no policy and no defaults say otherwise, or an example
# where that is nothing; remove the '#' to change it. All keys: standby profile reference
# Look for mistakes, without contacting a host: standby profile check {name}
"""


def starter(name: str, values: Mapping[PathInFile, Plain]) -> str:
    """Return the text of a profile; `values` are those already known, by their paths.

    A required value that is not known stands there as an example, to be changed.
    """
    blocks = [_HEADER.format(name=name)]
    blocks += ("\n".join(_lines(key, values)) + "\n" for key in _shown())
    return "\n".join(blocks)


def write_starter(layout: Layout, name: str, values: Mapping[PathInFile, Plain]) -> Path:
    """Write a first profile called `name`; return its file.

    Raises FixProfile for a name that is not safe or a place that cannot be written to,
    ChooseOtherName when the profile exists: nothing is ever overwritten.
    """
    if not is_safe_name(name) or name.endswith(SUFFIX):
        raise FixProfile("profile", f"the name {name!r}", f"{SAFE_NAME_RULE}, without {SUFFIX}")
    file = layout.profiles.file(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(starter(name, values))
    except FileExistsError as error:
        raise ChooseOtherName(
            f"profile {name}", f"{file} exists", "a new name", "edit it, or take another name"
        ) from error
    except OSError as error:
        raise FixProfile(
            f"profile {name}", f"{file} cannot be written: {error.strerror}"
        ) from error
    return file


def _shown() -> Iterator[Key]:
    """Yield the sections and their keys; what lies deeper is shown by an example."""
    sections = {(), *section_paths(FileKind.PROFILE)}
    return (key for key in keys_of(FileKind.PROFILE) if key.path[:-1] in sections)


def _lines(key: Key, values: Mapping[PathInFile, Plain]) -> Iterator[str]:
    indent = "  " * (len(key.path) - 1)
    yield from textwrap.wrap(
        key.description, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
    )
    if key.need is Need.SECTION:
        yield f"{indent}{key.name}:"
    elif key.path in values:
        yield f"{indent}{key.name}: {one_line(values[key.path])}"
    elif key.need is Need.REQUIRED:
        yield f"{indent}{key.name}: {key.examples[0]}"
    else:
        yield f"{indent}#{key.name}: {_shown_value(key)}"


def _shown_value(key: Key) -> str:
    return key.examples[0] if key.default in _NOTHING else key.default
